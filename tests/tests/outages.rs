//! What a broker can do to a member, in every phase of its life: nothing is lost and nothing doubled.

use anyhow::{Context, Result, ensure};
use cartridge_tests::stratos::golden::{self, ACTIVATED, MAINTENANCE, READY_TO_SHUTDOWN, STARTED, TOPOLOGY_REQUEST};
use cartridge_tests::stratos::identity::{Brokers, Payload};
use cartridge_tests::stratos::member::Setup;
use cartridge_tests::stratos::mosquitto::{Broker, PASSWORD};
use cartridge_tests::stratos::platform::Platform;
use cartridge_tests::stratos::server::{Known, State};
use cartridge_tests::stratos::story::{MEMBER, STEP, Story, live_and_leave, story, tell};
use cartridge_tests::target::{Place, TOKEN, manage};
use cartridge_tests::wire::world::World;
use cartridge_tests::wire::{ADDRESS, GUEST_LINK_LOCAL, dhcp};
use qemu::Machine;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

const MACHINE: Place = Place::Machine(Machine::Microvm);
/// Between two attempts to connect at most, and a busy host's delay.
const LONGEST_PAUSE: Duration = Duration::from_secs(70);

/// MQTT's (IANA).
const BROKER_PORT: u16 = 1883;

/// What is left of a broker's sessions after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    Kept,
    Lost,
}

fn crash(broker: &mut Broker, memory: Memory) -> Result<()> {
    match memory {
        Memory::Kept => broker.crash_when_saved(),
        Memory::Lost => broker.crash_and_forget(),
    }
}

/// Names the test twice: for a broker that has saved its sessions before it crashes, and for one that has lost them.
macro_rules! with_and_without_memory {
    ($($story:ident: $kept:ident, $lost:ident;)*) => {$(
        #[test]
        fn $kept() {
            $story(Memory::Kept).unwrap_or_else(|error| panic!("{error:?}"));
        }
        #[test]
        fn $lost() {
            $story(Memory::Lost).unwrap_or_else(|error| panic!("{error:?}"));
        }
    )*};
}

with_and_without_memory! {
    before_connack: a_crash_before_connack, a_crash_before_connack_of_a_broker_that_forgets;
    before_the_topology: a_crash_before_the_topology, a_crash_before_the_topology_of_a_broker_that_forgets;
    before_initialized: a_crash_before_initialized, a_crash_before_initialized_of_a_broker_that_forgets;
    before_activated: a_crash_before_activated, a_crash_before_activated_of_a_broker_that_forgets;
    under_activated: a_crash_with_activated_unread, a_crash_with_activated_unread_of_a_broker_that_forgets;
    while_active: a_crash_while_active, a_crash_while_active_of_a_broker_that_forgets;
    under_maintenance: a_crash_with_maintenance_unread, a_crash_with_maintenance_unread_of_a_broker_that_forgets;
    while_it_drains: a_crash_while_it_drains, a_crash_while_it_drains_of_a_broker_that_forgets;
    at_the_end: a_crash_between_maintenance_and_the_end, a_crash_between_maintenance_and_the_end_of_a_broker_that_forgets;
}

/// The broker has the member's CONNECT and says nothing; then it is killed.
fn before_connack(memory: Memory) -> Result<()> {
    let mut broker = Broker::start()?;
    broker.freeze()?;
    let member = Setup::new(MACHINE, MEMBER, broker.port).start()?;
    broker.wait_unread(STEP)?;
    match memory {
        Memory::Kept => broker.crash()?,
        Memory::Lost => broker.crash_and_forget()?,
    }
    broker.restart()?;
    let platform = Platform::start(&broker, vec![Known::own(MEMBER, State::Initialized)]);
    let mut begun = Story {
        broker,
        platform,
        member,
    };
    tell(&mut begun, live_and_leave_after_an_outage)
}

fn live_and_leave_after_an_outage(story: &mut Story) -> Result<()> {
    story.activate()?;
    story.leave()?;
    story.was_whole_after_an_outage()
}

fn before_the_topology(memory: Memory) -> Result<()> {
    let mut begun = unanswered()?;
    tell(&mut begun, |story| {
        story.platform.wait_for(TOPOLOGY_REQUEST, 1, STEP)?;
        crash(&mut story.broker, memory)?;
        story.platform.answers(|answers| answers.topology = true);
        story.broker.restart()?;
        live_and_leave_after_an_outage(story)
    })
}

/// A member whose platform does not answer yet.
fn unanswered() -> Result<Story> {
    let broker = Broker::start()?;
    let platform = Platform::start(&broker, vec![Known::own(MEMBER, State::Initialized)]);
    platform.answers(|answers| answers.topology = false);
    platform.wait_ready()?;
    let member = Setup::new(MACHINE, MEMBER, broker.port).start()?;
    Ok(Story {
        broker,
        platform,
        member,
    })
}

fn before_initialized(memory: Memory) -> Result<()> {
    let mut begun = Story::of(MACHINE, State::Created, |_| {})?;
    tell(&mut begun, |story| {
        story.platform.wait_for(TOPOLOGY_REQUEST, 1, STEP)?;
        crash(&mut story.broker, memory)?;
        story.broker.restart()?;
        story.platform.wait_ready()?;
        // Nobody hears it who is not back yet; the topology will say so.
        story.platform.set(Known::own(MEMBER, State::Initialized))?;
        live_and_leave_after_an_outage(story)
    })
}

/// The port is opened while the broker is away.
fn before_activated(memory: Memory) -> Result<()> {
    story(MACHINE, |story| {
        story.platform.wait_for(STARTED, 1, STEP)?;
        crash(&mut story.broker, memory)?;
        story.member.open()?;
        story.member.wait_for("\"state\":\"Active\"", STEP)?;
        story.broker.restart()?;
        story.platform.wait_state(MEMBER, State::Active, STEP)?;
        story.leave()?;
        story.was_whole_after_an_outage()
    })
}

/// The member has sent InstanceActivatedEvent; the broker never reads it.
fn under_activated(memory: Memory) -> Result<()> {
    story(MACHINE, |story| {
        story.platform.wait_for(STARTED, 1, STEP)?;
        story.platform.settle()?;
        story.broker.save()?;
        story.broker.freeze()?;
        story.member.open()?;
        story.broker.wait_unread(STEP)?;
        match memory {
            Memory::Kept => story.broker.crash()?,
            Memory::Lost => story.broker.crash_and_forget()?,
        }
        story.broker.restart()?;
        story.platform.wait_state(MEMBER, State::Active, STEP)?;
        story.leave()?;
        story.was_whole_after_an_outage()
    })
}

fn while_active(memory: Memory) -> Result<()> {
    story(MACHINE, |story| {
        story.activate()?;
        let asked = requests(story);
        crash(&mut story.broker, memory)?;
        story.broker.restart()?;
        // It asks for all that it may have missed.
        story.platform.wait_for(TOPOLOGY_REQUEST, asked + 1, STEP)?;
        story.platform.set(Known::dependency("db-9", State::Active))?;
        story.member.feed.wait_for("db-9\", state: Active", STEP)?;
        story.leave()?;
        story.was_whole_after_an_outage()
    })
}

fn requests(story: &Story) -> usize {
    let seen = story.platform.seen();
    seen.iter().filter(|message| message.topic == TOPOLOGY_REQUEST).count()
}

/// The member has sent InstanceMaintenanceModeEvent; the broker never reads it.
fn under_maintenance(memory: Memory) -> Result<()> {
    let mut begun = Story::of(MACHINE, State::Initialized, |setup| {
        setup.parameters = ",DRAIN_SECONDS=60".into()
    })?;
    tell(&mut begun, |story| {
        story.activate()?;
        story.member.hold()?;
        story.platform.settle()?;
        story.broker.save()?;
        story.broker.freeze()?;
        ensure!(
            manage(story.member.management, "POST", "/stop", Some(TOKEN))?.status == 202,
            "POST /stop"
        );
        story.broker.wait_unread(STEP)?;
        match memory {
            Memory::Kept => story.broker.crash()?,
            Memory::Lost => story.broker.crash_and_forget()?,
        }
        story.broker.restart()?;
        story.platform.wait_state(MEMBER, State::InMaintenance, STEP)?;
        story.member.release()?;
        story.is_gone()?;
        story.was_whole_after_an_outage()
    })
}

/// It is back before the work is done.
fn while_it_drains(memory: Memory) -> Result<()> {
    draining(memory, |story| {
        let asked = requests(story);
        story.broker.restart()?;
        story.platform.wait_for(TOPOLOGY_REQUEST, asked + 1, STEP)?;
        story.member.release()
    })
}

/// It comes back when the work is done, and the member is about to end.
fn at_the_end(memory: Memory) -> Result<()> {
    draining(memory, |story| {
        story.member.release()?;
        story.member.wait_for("\"state\":\"ReadyToShutDown\"", STEP)?;
        story.broker.restart()
    })
}

fn draining(memory: Memory, then: impl FnOnce(&mut Story) -> Result<()>) -> Result<()> {
    let mut begun = Story::of(MACHINE, State::Initialized, |setup| {
        setup.parameters = ",DRAIN_SECONDS=60".into()
    })?;
    tell(&mut begun, |story| {
        story.activate()?;
        story.member.hold()?;
        story.platform.clean_up(MEMBER)?;
        story.platform.wait_for(MAINTENANCE, 1, STEP)?;
        story.platform.settle()?;
        crash(&mut story.broker, memory)?;
        then(story)?;
        story.is_gone()?;
        story.platform.wait_for(READY_TO_SHUTDOWN, 1, STEP)?;
        story.was_whole_after_an_outage()
    })
}

/// The connection is there, and nobody at its other end.
#[test]
fn an_event_for_a_frozen_broker_arrives_once_it_thaws() {
    let frozen = |story: &mut Story| -> Result<()> {
        story.platform.wait_for(STARTED, 1, STEP)?;
        story.platform.settle()?;
        story.broker.freeze()?;
        story.member.open()?;
        story.member.wait_for("does not answer", LONGEST_PAUSE)?;
        story.broker.thaw()?;
        story.platform.wait_state(MEMBER, State::Active, LONGEST_PAUSE)?;
        story.leave()?;
        story.was_whole_after_an_outage()
    };
    story(MACHINE, frozen).unwrap_or_else(|error| panic!("{error:?}"));
}

/// Nothing is to be said, so only the keep-alive can tell.
#[test]
fn a_frozen_broker_is_noticed_while_nothing_is_to_be_said() {
    let frozen = |story: &mut Story| -> Result<()> {
        story.activate()?;
        let before = story.member.heap()?.now;
        story.broker.freeze()?;
        story.member.wait_for("does not answer", LONGEST_PAUSE)?;
        let asked = requests(story);
        story.broker.thaw()?;
        story.platform.wait_for(TOPOLOGY_REQUEST, asked + 1, LONGEST_PAUSE)?;
        story.platform.set(Known::dependency("db-9", State::Active))?;
        story.member.feed.wait_for("db-9\", state: Active", STEP)?;
        let after = story.member.heap()?.now;
        ensure!(after < before + 16 * 1024, "{before} bytes of heap became {after}");
        story.leave()?;
        story.was_whole_after_an_outage()
    };
    story(MACHINE, frozen).unwrap_or_else(|error| panic!("{error:?}"));
}

/// For a while the whole machine gets no processor: every deadline it had has passed when it goes on.
#[test]
fn a_machine_whose_clock_jumps_loses_nothing() {
    let jump = |story: &mut Story| -> Result<()> {
        story.platform.wait_for(STARTED, 1, STEP)?;
        story.platform.settle()?;
        story.member.freeze()?;
        thread::sleep(Duration::from_secs(45));
        story.member.thaw()?;
        story.member.open()?;
        story.platform.wait_state(MEMBER, State::Active, STEP)?;
        story.leave()?;
        story.was_whole()
    };
    story(MACHINE, jump).unwrap_or_else(|error| panic!("{error:?}"));
}

#[test]
fn a_machine_with_the_clock_of_another_century_lives_as_any() {
    for base in ["1970-01-01T00:00:00", "2099-12-31T23:59:58"] {
        let mut life = Story::of(MACHINE, State::Initialized, |setup| {
            setup.qemu = vec!["-rtc".into(), format!("base={base}")];
        })
        .with_context(|| base.to_owned())
        .unwrap_or_else(|error| panic!("{error:?}"));
        tell(&mut life, live_and_leave).unwrap_or_else(|error| panic!("{error:?}"));
    }
}

/// The member's address goes away under its session, and comes back.
#[test]
fn a_lease_that_ends_during_a_session_loses_nothing() {
    let broker = Broker::start().unwrap_or_else(|error| panic!("{error:?}"));
    let platform = Platform::start(&broker, vec![Known::own(MEMBER, State::Initialized)]);
    platform.wait_ready().unwrap_or_else(|error| panic!("{error:?}"));
    let payload = Payload {
        member: MEMBER.into(),
        brokers: Brokers::One(ADDRESS.to_string(), BROKER_PORT),
        password: PASSWORD.into(),
        is_bare: false,
    };
    let mut world = World::of("tests/cartridges/member", &payload.text(), "");
    world.lan.dhcp = Some(dhcp::Server::default().lease(8));
    world.lan.bridge(BROKER_PORT, broker.port);
    world.tell(|lan, guest| {
        let heard = |topic| platform.seen().iter().any(|message| message.topic == topic);
        lan.run("Started", STEP, |_| heard(STARTED).then_some(()))?;
        lan.dhcp.as_mut().context("the server")?.silent = true;
        lan.run("the end of the lease", STEP, |_| {
            guest.console().contains("lease ended").then_some(())
        })?;
        let control = SocketAddr::new(GUEST_LINK_LOCAL.into(), 8090);
        let open = lan.ask(control, "open", STEP)?;
        ensure!(open.parse::<u64>().is_ok(), "open: {open:?}");
        lan.run("Active", STEP, |_| {
            guest.console().contains("\"state\":\"Active\"").then_some(())
        })?;
        ensure!(!heard(ACTIVATED), "it has no address");
        lan.dhcp.as_mut().context("the server")?.silent = false;
        lan.run("Activated", LONGEST_PAUSE, |_| heard(ACTIVATED).then_some(()))?;
        platform.clean_up(MEMBER)?;
        // The cable ends with the guest.
        let ended = lan.run("the end", STEP, |_| guest.ended().then_some(()));
        let exit = guest.wait(STEP).map_err(|error| anyhow::anyhow!("{error}"))?;
        ensure!(exit.success(), "{}: {ended:?}", exit.describe());
        platform.settle()?;
        golden::ensure_same_status(&golden::life(MEMBER), &platform.seen())?;
        platform.ensure_no_refusal()
    });
}
