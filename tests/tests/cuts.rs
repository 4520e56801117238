//! A member's connection is cut at every packet of its life: each event comes once all the same.

use anyhow::Result;
use cartridge_tests::stratos::member::Setup;
use cartridge_tests::stratos::mosquitto::Broker;
use cartridge_tests::stratos::platform::Platform;
use cartridge_tests::stratos::relay::{Cut, Relay, Way};
use cartridge_tests::stratos::server::{Known, State};
use cartridge_tests::stratos::story::{MEMBER, Story, tell};
use cartridge_tests::target::Place;
use qemu::Machine;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Lives at a time: they wait most of the time.
const SIDE_BY_SIDE: usize = 6;

/// Lives that may end before the packet at which they were to be cut: how many broadcasts a member still hears at its end is
/// a matter of moments.
const UNCUT: usize = 4;

/// One whole life through a relay; gives how many packets went each way, and whether it was cut.
fn live(place: Place, cut: Option<Cut>) -> Result<([usize; 2], bool)> {
    let broker = Broker::start()?;
    let relay = Relay::start(broker.port, cut)?;
    let platform = Platform::start(&broker, vec![Known::own(MEMBER, State::Initialized)]);
    platform.wait_ready()?;
    let member = Setup::new(place, MEMBER, relay.port).start()?;
    let mut story = Story {
        broker,
        platform,
        member,
    };
    tell(&mut story, |story| {
        story.activate()?;
        story.leave()?;
        story.was_whole()
    })?;
    let counts = [Way::ToBroker, Way::ToMember].map(|way| relay.packets(way).len());
    Ok((counts, relay.has_cut()))
}

#[test]
fn a_process_that_is_cut_off_after_any_packet_lives_a_whole_life() {
    cut_off(Place::Process, true);
}

#[test]
fn a_machine_that_is_cut_off_before_any_packet_lives_a_whole_life() {
    cut_off(Place::Machine(Machine::Microvm), false);
}

/// The packet at which the connection is cut `arrives`, or it does not.
fn cut_off(place: Place, arrives: bool) {
    let (counts, _) = live(place, None).unwrap_or_else(|error| panic!("uncut: {error:?}"));
    println!(
        "packets of a life: {} to the broker, {} to the member",
        counts[0], counts[1]
    );
    let mut cuts = Vec::new();
    for (way, count) in [Way::ToBroker, Way::ToMember].into_iter().zip(counts) {
        cuts.extend((0..count).map(|packet| Cut { way, packet, arrives }));
    }
    let (left, failed, uncut) = (Mutex::new(cuts), Mutex::new(Vec::new()), AtomicUsize::new(0));
    let next = || left.lock().ok()?.pop();
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(cut) = next() {
                    match live(place, Some(cut)) {
                        Ok((_, is_cut)) => _ = uncut.fetch_add(usize::from(!is_cut), Ordering::Relaxed),
                        Err(error) => failed
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(format!("{cut:?}: {error:?}")),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(
        failed.is_empty(),
        "{} lives were not whole:\n{}",
        failed.len(),
        failed.join("\n\n")
    );
    let uncut = uncut.into_inner();
    assert!(uncut <= UNCUT, "{uncut} lives were never cut");
}
