//! Brokers that come and go.

use super::super::{ANSWER, HURRIED_ANSWER, HURRIED_PAUSE};
use super::world::*;
use crate::control::{Command, ControlPlane};
use crate::lifecycle::State;
use core::time::Duration;
use std::format;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

/// Where the connection may end while a status event is under way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Published,
    Received,
}

#[test]
fn an_event_under_way_arrives_once_whatever_the_broker_remembers() {
    for at in [At::Published, At::Received] {
        for has_session in [true, false] {
            for is_shown in [true, false] {
                let mut world = World::new(PAYLOAD);
                world.accept(false);
                world.topology("Initialized");
                world.enter(State::Starting);
                if at == At::Received {
                    world.pubrec();
                }
                let first = world.identifier();
                world.said();
                world.drop_link();
                world.pass(Duration::from_secs(3));
                assert_eq!(world.said(), [CONNECT]);
                world.accept(has_session);
                assert_eq!(
                    World::published(&world.said(), "Started"),
                    0,
                    "it waits for the platform"
                );
                world.topology(if is_shown { "Starting" } else { "Initialized" });
                let said = world.said();
                let case = format!("{at:?}, session {has_session}, shown {is_shown}: {said:?}");
                match (is_shown, has_session, at) {
                    (true, ..) => assert!(said.is_empty() && world.plane.is_heard(), "{case}"),
                    (false, true, At::Published) => {
                        assert!(
                            said.len() == 1 && said[0].starts_with(&format!("PUBLISH2 #{first} dup ")),
                            "{case}"
                        );
                    }
                    (false, true, At::Received) => assert_eq!(said, [format!("PUBREL #{first}")], "{case}"),
                    (false, false, _) => assert_eq!(World::published(&said, "Started"), 1, "{case}"),
                }
            }
        }
    }
}

/// A member whose broker says that it has delivered Started, which was under way when the connection ended.
fn completed() -> World {
    let mut world = World::new(PAYLOAD);
    world.accept(false);
    world.topology("Initialized");
    world.enter(State::Starting);
    world.pubrec();
    world.drop_link();
    world.pass(Duration::from_secs(3));
    world.accept(true);
    world.topology("Initialized");
    world.said();
    world.pubcomp();
    assert_eq!(world.said(), ["PUBLISH0 initializer/CompleteTopologyRequestEvent {}"]);
    world
}

#[test]
fn a_broker_that_completes_what_it_has_forgotten_is_found_out() {
    let mut world = completed();
    world.topology("Initialized");
    world.pass(ANSWER);
    assert_eq!(World::published(&world.said(), "Started"), 1);
}

#[test]
fn an_old_topology_does_not_have_a_delivered_event_sent_again() {
    let mut world = completed();
    for _ in 0..3 {
        world.topology("Initialized");
        world.pass(Duration::from_secs(1));
    }
    world.topology("Starting");
    world.pass(ANSWER);
    assert_eq!(World::published(&world.said(), "Started"), 0);
    assert!(world.plane.outbox.is_empty());
}

#[test]
fn events_of_an_outage_wait_in_order_and_none_is_repeated() {
    let mut world = World::new(PAYLOAD);
    world.accept(false);
    world.topology("Initialized");
    world.enter(State::Starting);
    world.answer_status();
    world.is_reachable = false;
    world.drop_link();
    world.said();
    world.enter(State::Active);
    world.enter(State::InMaintenance);
    world.pass(Duration::from_secs(300));
    world.is_reachable = true;
    world.pass(Duration::from_secs(60));
    world.accept(true);
    assert_eq!(
        world.said()[1..],
        [
            "SUBSCRIBE topology/#:0",
            "PUBLISH0 initializer/CompleteTopologyRequestEvent {}",
            "SUBSCRIBE instance/#:1 tenant/#:1 application/signup/#:1",
            "PUBLISH0 initializer/CompleteTenantRequestEvent {}"
        ]
    );
    world.topology("Starting");
    world.answer_status();
    world.answer_status();
    let said = world.said();
    let topics: Vec<_> = said.iter().filter(|packet| packet.starts_with("PUBLISH2")).collect();
    assert!(
        topics.len() == 2 && topics[0].contains("Activated") && topics[1].contains("Maintenance"),
        "{said:?}"
    );
    assert_eq!(world.commands, [Command::Initialize]);
}

#[test]
fn attempts_stay_within_the_cap_and_go_through_the_list() {
    let mut world = World::new("MB_URLS=a|b,MEMBER_ID=m,CLUSTER_ID=c");
    world.is_reachable = false;
    world.pass(Duration::from_secs(1));
    let hosts: Vec<_> = world.attempts.iter().map(|(_, host)| host.as_str()).collect();
    assert_eq!(hosts, ["a", "b"], "each at once");
    world.pass(Duration::from_secs(3600));
    let rounds: Vec<_> = world.attempts.chunks(2).map(|round| round[0].0).collect();
    for pair in rounds.windows(2) {
        assert!(pair[1] - pair[0] <= Duration::from_secs(61) && pair[1] - pair[0] >= Duration::from_secs(1));
    }
    assert!((60..140).contains(&rounds.len()), "{} rounds in an hour", rounds.len());
    assert!(world.log.len() <= world.attempts.len());
    world.is_reachable = true;
    while world.said().is_empty() {
        world.pass(Duration::from_secs(1));
    }
    world.accept(false);
    world.pass(Duration::from_secs(20));
    let before = world.attempts.len();
    world.drop_link();
    world.step();
    assert_eq!(world.attempts.len(), before + 1, "after a good session at once");
}

#[test]
fn a_broker_that_is_silent_is_given_up() {
    // It does not answer CONNECT.
    let mut world = World::new(PAYLOAD);
    world.pass(Duration::from_secs(11));
    assert!(
        world
            .log
            .iter()
            .any(|line| line.contains("broker:1883 does not answer")),
        "{:?}",
        world.log
    );
    // It does not answer PINGREQ.
    let mut world = World::active();
    world.pass(Duration::from_secs(31));
    assert_eq!(world.said(), ["PINGREQ"]);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.said(), [CONNECT]);
    // It does not answer PUBLISH.
    let mut world = World::active();
    world.enter(State::InMaintenance);
    world.said();
    world.pass(Duration::from_secs(11));
    assert_eq!(world.said(), [CONNECT]);
    // One that answers is kept.
    let mut world = World::active();
    for _ in 0..100 {
        world.pass(Duration::from_secs(30));
        assert_eq!(world.said(), ["PINGREQ"]);
        world.send(&[0xd0, 0]);
    }
    assert_eq!(world.attempts.len(), 1);
}

#[test]
fn a_large_message_does_not_look_like_silence() {
    let mut world = World::active();
    world.pass(Duration::from_secs(29));
    let message = message("topology/CompleteTopologyEvent", &[b' '; 70], 0);
    for byte in message {
        world.send(&[byte]);
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(world.attempts.len(), 1);
}

#[test]
fn a_message_without_end_does_not_keep_a_member_silent() {
    let mut world = World::active();
    world.enter(State::InMaintenance);
    world.send(&[0x30, 0xff, 0xff, 0x7f, 0, 1, b't']);
    for _ in 0..200 {
        world.pass(Duration::from_secs(1));
        world.send(b" ");
    }
    assert!(world.attempts.len() > 1 && world.log.iter().any(|line| line.contains("does not answer")));
}

#[test]
fn a_broker_that_takes_no_answers_is_given_up_before_they_are_many() {
    for packet in [message("t", b"", 2), vec![0x50, 2, 0x12, 0x34]] {
        let mut world = World::active();
        let flood = packet.repeat(4096 / packet.len());
        let mut most = 0;
        for _ in 0..1000 {
            // Nothing of what there is to send is taken.
            world.plane.receive(0, &flood, world.now);
            most = most.max(world.plane.to_send(0).len());
        }
        assert!(most < 10_000, "{most}");
        assert!(world.plane.peer(0).is_none(), "given up");
    }
}

#[test]
fn an_event_is_not_complete_before_it_was_received() {
    let mut world = World::active();
    world.enter(State::InMaintenance);
    world.pubcomp();
    assert!(!world.plane.outbox.is_empty());
    world.answer_status();
    assert!(world.plane.outbox.is_empty());
}

#[test]
fn a_session_of_a_life_before_is_forgotten_first() {
    let mut world = World::new(PAYLOAD);
    world.said();
    world.accept(true);
    assert_eq!(world.said(), ["DISCONNECT"]);
    world.drop_link();
    assert_eq!(world.said(), [CONNECT_CLEAN]);
    world.accept(false);
    assert_eq!(world.said(), ["DISCONNECT"]);
    world.drop_link();
    assert_eq!(world.said(), [CONNECT]);
    world.accept(false);
    assert_eq!(world.said()[0], "SUBSCRIBE topology/#:0");
}

#[test]
fn a_broker_that_always_has_a_session_is_told_once_to_forget_it() {
    let mut world = World::new(PAYLOAD);
    for _ in 0..100 {
        world.accept(true);
        world.pass(Duration::from_millis(10));
        world.drop_link();
        world.pass(Duration::from_secs(1));
    }
    let said = world.said();
    let forgets = said.iter().filter(|packet| *packet == CONNECT_CLEAN).count();
    assert_eq!(forgets, 1);
    assert!(
        said.contains(&"SUBSCRIBE topology/#:0".to_string()),
        "it serves all the same"
    );
    assert!(world.attempts.len() < 15, "{} attempts in 100 s", world.attempts.len());
}

#[test]
fn a_refusal_is_told_in_words_and_never_with_the_password() {
    for (code, words) in [
        (1, "MQTT 3.1.1"),
        (2, "MEMBER_ID"),
        (3, "not available"),
        (4, "user name or password"),
        (5, "let this user in"),
        (9, "refuses"),
    ] {
        let mut world = World::new(PAYLOAD);
        world.send(&[0x20, 2, 0, code]);
        assert!(world.log.len() == 1 && world.log[0].contains(words), "{:?}", world.log);
        assert!(!world.log[0].contains("hunter2"));
        world.pass(Duration::from_secs(1));
        assert!(world.attempts.len() <= 2);
    }
}

#[test]
fn a_stop_without_a_broker_waits_for_nobody_unless_it_was_known() {
    let mut world = World::new(PAYLOAD);
    world.is_reachable = false;
    world.pass(Duration::from_secs(100));
    world.enter(State::InMaintenance);
    world.enter(State::ReadyToShutDown);
    assert!(world.plane.is_heard());
    let mut world = World::active();
    world.is_reachable = false;
    world.drop_link();
    world.pass(Duration::from_secs(300));
    world.enter(State::InMaintenance);
    world.enter(State::ReadyToShutDown);
    assert!(!world.plane.is_heard());
    world.is_reachable = true;
    world.pass(Duration::from_secs(1));
    assert_eq!(world.said(), [CONNECT], "it hurries");
    world.accept(true);
    world.pass(Duration::from_secs(2));
    world.answer_status();
    world.answer_status();
    assert!(world.said().contains(&"DISCONNECT".to_string()));
}

#[test]
fn status_events_wait_for_the_platform_and_not_for_ever() {
    let mut world = World::active();
    world.answers_pings = true;
    world.drop_link();
    world.pass(Duration::from_secs(3));
    world.accept(false);
    world.enter(State::InMaintenance);
    let said = world.said();
    assert_eq!(World::published(&said, "Maintenance"), 0);
    world.pass(Duration::from_secs(29));
    let said = world.said();
    let requests = said
        .iter()
        .filter(|packet| packet.contains("CompleteTopologyRequest"))
        .count();
    assert!((2..8).contains(&requests), "{requests} more requests");
    world.pass(Duration::from_secs(41));
    let said = world.said();
    assert_eq!(World::published(&said, "Maintenance"), 1, "{said:?}");
}

#[test]
fn every_broker_that_had_a_session_is_told_to_forget_it() {
    for is_reachable in [true, false] {
        let mut world = World::new("MB_URLS=a|b,MEMBER_ID=m,CLUSTER_ID=c");
        world.accept(false);
        world.pass(Duration::from_secs(11));
        world.answers_pings = true;
        // The first broker is left for the second.
        world.drop_link();
        world.pass(Duration::from_secs(1));
        world.accept(false);
        world.said();
        world.is_reachable = is_reachable;
        world.enter(State::InMaintenance);
        world.enter(State::ReadyToShutDown);
        assert_eq!(world.said(), ["DISCONNECT"]);
        world.drop_link();
        world.pass(Duration::from_millis(100));
        if is_reachable {
            for _ in 0..2 {
                assert_eq!(world.said(), ["CONNECT m flags 2 keep-alive 60"]);
                assert!(!world.plane.is_heard());
                world.accept(false);
                assert_eq!(world.said(), ["DISCONNECT"]);
                world.drop_link();
                world.pass(Duration::from_millis(100));
            }
        }
        assert!(world.plane.is_heard());
        let hosts: Vec<_> = world.attempts.iter().map(|(_, host)| host.as_str()).collect();
        assert_eq!(hosts, ["a", "b", "b", "a"]);
    }
}

#[test]
fn what_a_broker_has_kept_does_not_stand_for_the_platform() {
    let mut world = World::active();
    world.drop_link();
    world.pass(Duration::from_secs(3));
    world.accept(true);
    world.enter(State::InMaintenance);
    // QoS 1, sent before; retained.
    let kept = br#"{"tenantId":7,"serviceName":"php"}"#;
    world.send(&message("tenant/TenantSubscribedEvent", kept, 8 | 2));
    let old = topology(&[("php.c", "php.c.m1", "Initialized")]);
    world.send(&message("topology/CompleteTopologyEvent", old.as_bytes(), 1));
    assert_eq!(World::published(&world.said(), "Maintenance"), 0);
    world.topology("Active");
    assert_eq!(World::published(&world.said(), "Maintenance"), 1);
}

#[test]
fn only_the_broker_with_a_session_of_the_life_before_is_told_to_forget_it() {
    let mut world = World::new("MB_URLS=a|b,MEMBER_ID=m,CLUSTER_ID=c");
    world.accept(true);
    world.drop_link();
    assert_eq!(world.said().last().unwrap(), "CONNECT m flags 2 keep-alive 60");
    // It goes before it has forgotten.
    world.drop_link();
    assert_eq!(world.said(), ["CONNECT m flags 0 keep-alive 60"]);
    assert_eq!(world.attempts.last().unwrap().1, "b");
}

#[test]
fn brokers_that_cannot_be_reached_are_passed_over_quickly_at_the_end() {
    let mut world = World::active();
    let (mut now, plane) = (world.now, &mut world.plane);
    plane.connected(0, false, now);
    plane.entered(State::InMaintenance, now);
    plane.entered(State::ReadyToShutDown, now);
    for _ in 0..3 {
        plane.command(now);
        assert!(plane.peer(0).is_some());
        // Nothing comes of it.
        let until = plane.wake().unwrap();
        assert!(until <= now + HURRIED_ANSWER);
        plane.command(until);
        now = plane.wake().unwrap();
        assert!(plane.peer(0).is_none() && now <= until + HURRIED_PAUSE);
    }
}
