//! Which brokers a member tries, when, and what it says of them.

use anyhow::{Result, ensure};
use cartridge_tests::stratos::golden::{self, ACTIVATED, STARTED, TOPOLOGY_REQUEST};
use cartridge_tests::stratos::member::Setup;
use cartridge_tests::stratos::mosquitto::Broker;
use cartridge_tests::stratos::platform::Platform;
use cartridge_tests::stratos::server::{Known, State};
use cartridge_tests::stratos::story::{MEMBER, STEP, Story, live_and_leave, tell};
use cartridge_tests::target::{Place, TOKEN, manage};
use qemu::Machine;
use std::thread;
use std::time::{Duration, Instant};

const MACHINE: Place = Place::Machine(Machine::Microvm);
/// Between two attempts to connect at most, and a busy host's delay.
const LONGEST_PAUSE: Duration = Duration::from_secs(70);

#[test]
fn a_broker_that_starts_30_s_after_the_member_is_found_within_the_cap() {
    let check = || -> Result<()> {
        let mut broker = Broker::absent()?;
        let member = Setup::new(MACHINE, MEMBER, broker.port).start()?;
        member.open()?;
        thread::sleep(Duration::from_secs(30));
        ensure!(
            !member.states().contains(&"Active".into()),
            "Active without a word to anyone"
        );
        let tries = member.lines_with("cannot be reached");
        // After 0, 2, 4, 8 and 16 s, each half of it at least.
        ensure!((2..=8).contains(&tries), "{tries} attempts in 30 s");
        broker.restart()?;
        let platform = Platform::start(&broker, vec![Known::own(MEMBER, State::Initialized)]);
        let mut story = Story {
            broker,
            platform,
            member,
        };
        tell(&mut story, |story| {
            story.platform.wait_for(STARTED, 1, LONGEST_PAUSE)?;
            story.platform.wait_state(MEMBER, State::Active, STEP)?;
            story.leave()?;
            story.was_whole()
        })
    };
    check().unwrap_or_else(|error| panic!("{error:?}"));
}

#[test]
fn a_list_of_brokers_is_tried_in_order_and_at_once() {
    let check = || -> Result<()> {
        let dead = Broker::absent()?;
        let begun = Instant::now();
        let mut life = Story::of(MACHINE, State::Initialized, |setup| setup.brokers.insert(0, dead.port))?;
        tell(&mut life, |story| {
            story.platform.wait_for(STARTED, 1, STEP)?;
            println!("Started {:.1?} after the start of QEMU", begun.elapsed());
            let line = story.member.wait_for("cannot be reached", STEP)?;
            ensure!(story.member.lines_with("cannot be reached") == 1, "{line}");
            live_and_leave(story)
        })
    };
    check().unwrap_or_else(|error| panic!("{error:?}"));
}

#[test]
fn a_wrong_password_is_told_in_clear_words_and_tried_seldom() {
    let check = || -> Result<()> {
        const WRONG: &str = "hunter2-as-it-was";
        let mut life = Story::of(MACHINE, State::Initialized, |setup| setup.password = WRONG.into())?;
        tell(&mut life, |story| {
            story.member.wait_for("mb.password", STEP)?;
            let begun = Instant::now();
            story.broker.wait_for("four attempts", LONGEST_PAUSE, |log| {
                (log.connections() > 4).then_some(())
            })?;
            let took = begun.elapsed();
            ensure!(took > Duration::from_secs(4), "four attempts in {took:?}");
            let told = story.member.lines_with("mb.password");
            ensure!((1..=2).contains(&told), "told {told} times");
            story.member.ensure_no_secret()?;
            ensure!(
                !story.member.console().join("\n").contains(WRONG),
                "the password is shown"
            );
            ensure!(story.platform.seen().is_empty(), "{:?}", story.platform.seen());
            // It can still be stopped, without the platform.
            ensure!(
                manage(story.member.management, "POST", "/stop", Some(TOKEN))?.status == 202,
                "POST /stop"
            );
            story.member.ends(STEP)
        })
    };
    check().unwrap_or_else(|error| panic!("{error:?}"));
}

/// No status event of a life is sent before the platform can hear it, or after it was heard.
#[test]
fn the_golden_life_is_the_same_with_a_platform_that_comes_late() {
    let check = || -> Result<()> {
        let broker = Broker::start()?;
        let member = Setup::new(MACHINE, MEMBER, broker.port).start()?;
        member.open()?;
        broker.wait_for("its request", STEP, |log| {
            (log.count(TOPOLOGY_REQUEST) > 0).then_some(())
        })?;
        let platform = Platform::start(&broker, vec![Known::own(MEMBER, State::Initialized)]);
        let mut story = Story {
            broker,
            platform,
            member,
        };
        tell(&mut story, |story| {
            story.platform.wait_ready()?;
            story.platform.send_topology()?;
            story.platform.wait_state(MEMBER, State::Active, STEP)?;
            let seen = story.platform.seen();
            ensure!(
                seen.iter().filter(|message| message.topic == ACTIVATED).count() == 1,
                "{seen:?}"
            );
            story.leave()?;
            story.platform.settle()?;
            let status: Vec<_> = story.platform.seen();
            let status: Vec<_> = status
                .into_iter()
                .filter(|message| message.topic.starts_with("instance/"))
                .collect();
            golden::ensure_same(&golden::life(MEMBER)[2..], &status)
        })
    };
    check().unwrap_or_else(|error| panic!("{error:?}"));
}

/// What it sent to the broker that is gone nobody has read, so it is sent again to the next.
#[test]
fn a_broker_that_is_gone_for_good_is_replaced_by_the_next_of_the_list() {
    let check = || -> Result<()> {
        let next = Broker::start()?;
        let mut life = Story::of(MACHINE, State::Initialized, |setup| setup.brokers.push(next.port))?;
        tell(&mut life, |story| {
            story.platform.wait_for(STARTED, 1, STEP)?;
            story.platform.settle()?;
            story.broker.freeze()?;
            story.member.open()?;
            story.broker.wait_unread(STEP)?;
            story.broker.crash()
        })?;
        // The platform goes on at the next broker, too, with what it knows.
        let platform = Platform::start(&next, vec![Known::own(MEMBER, State::Starting)]);
        let mut life = Story {
            broker: next,
            platform,
            member: life.member,
        };
        tell(&mut life, |story| {
            story.platform.wait_state(MEMBER, State::Active, LONGEST_PAUSE)?;
            story.leave()?;
            story.platform.settle()?;
            let status = story.platform.seen().into_iter();
            let status: Vec<_> = status
                .filter(|message| message.topic.starts_with("instance/"))
                .collect();
            golden::ensure_same(&golden::life(MEMBER)[3..], &status)?;
            story.platform.ensure_no_refusal()
        })
    };
    check().unwrap_or_else(|error| panic!("{error:?}"));
}
