//! The adapter against a broker that is played by the test, packet by packet.

#[path = "adapter_tests/outages.rs"]
mod outages;
#[path = "adapter_tests/world.rs"]
mod world;

use self::world::*;
use super::*;
use crate::control::{Command, ControlPlane};
use std::{format, vec};

/// Golden texts: the key sets are those of upstream's agent, in its order.
const STARTED: &str = r#"{"applicationId":"app","clusterId":"php.c","clusterInstanceId":"ci","instanceId":null,"memberId":"php.c.m1","networkPartitionId":"np","partitionId":"p","serviceName":"php"}"#;

const OTHERS: &str = r#"{"clusterId":"php.c","clusterInstanceId":"ci","instanceId":null,"memberId":"php.c.m1","networkPartitionId":"np","partitionId":"p","serviceName":"php"}"#;

#[test]
fn a_member_lives_as_the_platforms_own_agent_does() {
    let mut world = World::new(PAYLOAD);
    assert_eq!(world.said(), [CONNECT]);
    world.accept(false);
    assert_eq!(
        world.said(),
        [
            "SUBSCRIBE topology/#:0",
            "PUBLISH0 initializer/CompleteTopologyRequestEvent {}"
        ]
    );
    world.topology("Initialized");
    assert_eq!(world.commands, [Command::Initialize]);
    assert_eq!(
        world.said(),
        [
            "SUBSCRIBE instance/#:1 tenant/#:1 application/signup/#:1",
            "PUBLISH0 initializer/CompleteTenantRequestEvent {}"
        ]
    );
    world.enter(State::Initialized);
    world.enter(State::Starting);
    world.enter(State::Active);
    // One at a time.
    assert_eq!(
        world.said(),
        [format!("PUBLISH2 #3 instance/status/InstanceStartedEvent {STARTED}")]
    );
    world.pubrec();
    assert_eq!(world.said(), ["PUBREL #3"]);
    world.pubcomp();
    assert_eq!(
        world.said(),
        [format!("PUBLISH2 #4 instance/status/InstanceActivatedEvent {OTHERS}")]
    );
    assert!(!world.plane.is_heard());
    world.answer_status();
    assert_eq!(world.said(), ["PUBREL #4"]);
    world.publish(
        "instance/notifier/InstanceCleanupMemberEvent",
        br#"{"memberId":"php.c.m1"}"#,
    );
    assert_eq!(world.commands, [Command::Initialize, Command::Stop]);
    world.enter(State::InMaintenance);
    world.answer_status();
    world.enter(State::ReadyToShutDown);
    world.answer_status();
    assert_eq!(
        world.said(),
        [
            format!("PUBLISH2 #5 instance/status/InstanceMaintenanceModeEvent {OTHERS}"),
            "PUBREL #5".into(),
            format!("PUBLISH2 #6 instance/status/InstanceReadyToShutdownEvent {OTHERS}"),
            "PUBREL #6".into(),
            "DISCONNECT".into()
        ]
    );
    assert!(!world.plane.is_heard(), "the broker still keeps the session");
    world.drop_link();
    assert_eq!(world.said(), [CONNECT_CLEAN]);
    world.accept(false);
    assert_eq!(world.said(), ["DISCONNECT"]);
    world.drop_link();
    assert!(world.plane.is_heard());
    world.pass(Duration::from_secs(600));
    assert_eq!((world.said(), world.attempts.len()), (vec![], 2), "it is gone");
}

#[test]
fn a_member_found_in_any_later_state_goes_on() {
    for state in [
        "Initialized",
        "Starting",
        "Active",
        "In_Maintenance",
        "ReadyToShutDown",
        "Terminated",
        "Suspended",
    ] {
        let mut world = World::new(PAYLOAD);
        world.accept(false);
        world.topology(state);
        assert_eq!(world.commands, [Command::Initialize], "{state}");
    }
    let mut world = World::new(PAYLOAD);
    world.accept(false);
    world.topology("Created");
    world.publish(
        "topology/MemberInitializedEvent",
        br#"{"memberId":"another","clusterId":"php.c"}"#,
    );
    world.publish(
        "topology/MemberTerminatedEvent",
        br#"{"memberId":"php.c.m1","clusterId":"php.c"}"#,
    );
    assert!(world.commands.is_empty());
    world.publish(
        "topology/MemberInitializedEvent",
        br#"{"memberId":"php.c.m1","clusterId":"php.c"}"#,
    );
    assert_eq!(world.commands, [Command::Initialize]);
    world.topology("Initialized");
    assert_eq!(world.commands, [Command::Initialize], "once");
}

#[test]
fn messages_of_the_session_are_acknowledged_and_retained_commands_are_of_the_past() {
    let mut world = World::active();
    let cleanup = br#"{"memberId":"php.c.m1"}"#;
    world.send(&message("instance/notifier/InstanceCleanupMemberEvent", cleanup, 1));
    assert_eq!(world.commands, [Command::Initialize]);
    assert!(world.log.last().unwrap().contains("retained"), "{:?}", world.log);
    world.send(&message("instance/notifier/InstanceCleanupMemberEvent", cleanup, 2));
    assert_eq!(world.said(), ["PUBACK 1234"]);
    assert_eq!(world.commands, [Command::Initialize, Command::Stop]);
}

#[test]
fn who_is_cleaned_up_is_told_apart() {
    for (topic, document, is_us) in [
        ("InstanceCleanupMemberEvent", r#"{"memberId":"php.c.m2"}"#, false),
        (
            "InstanceCleanupClusterEvent",
            r#"{"clusterId":"php.c","clusterInstanceId":"ci"}"#,
            true,
        ),
        (
            "InstanceCleanupClusterEvent",
            r#"{"clusterId":"php.c","clusterInstanceId":"other"}"#,
            false,
        ),
        (
            "InstanceCleanupClusterEvent",
            r#"{"clusterId":"db.c","clusterInstanceId":"ci"}"#,
            false,
        ),
        ("InstanceCleanupClusterEvent", r#"{"clusterId":"php.c"}"#, false),
    ] {
        let mut world = World::active();
        world.publish(&format!("instance/notifier/{topic}"), document.as_bytes());
        assert_eq!(world.commands.contains(&Command::Stop), is_us, "{document}");
    }
}

#[test]
fn a_bad_message_costs_itself_and_one_line() {
    let deep = "[".repeat(10_000);
    for (bad, why) in [
        (&b"{\"topology\":"[..], "cut short"),
        (b"", "cut short"),
        (b"not JSON", "not a JSON object"),
        (b"{\"topology\":\"\xff\xfe\"}", "not UTF-8"),
        (format!("{{\"a\":{deep}").as_bytes(), "too deep"),
    ] {
        let mut world = World::active();
        let lines = world.log.len();
        for _ in 0..1000 {
            world.publish("topology/CompleteTopologyEvent", bad);
        }
        assert_eq!(world.log.len(), lines + 1, "{:?}", world.log);
        let line = world.log.last().unwrap();
        assert!(line.contains("CompleteTopologyEvent") && line.contains(why), "{line}");
        world.publish(
            "instance/notifier/InstanceCleanupMemberEvent",
            br#"{"memberId":"php.c.m1"}"#,
        );
        assert!(world.commands.contains(&Command::Stop));
        assert_eq!(world.attempts.len(), 1, "the connection stays");
    }
}

#[test]
fn what_is_not_mqtt_ends_the_connection_and_nothing_else() {
    for nonsense in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        &[0x20, 2, 0, 0],
        &[0x30, 0xff, 0xff, 0xff, 0xff, 1],
        &[0x34, 5, 0, 1, b'a', 0, 1],
        &[0x30, 1, 0],
        &[0x30, 3, 0, 9, 0],
        &[0x90, 0x80, 1],
        &[0x00, 0],
        &[0xd0, 1, 0],
    ] {
        let mut world = World::active();
        world.send(nonsense);
        world.pass(Duration::from_secs(3));
        assert_eq!(world.attempts.len(), 2, "{nonsense:x?}");
        world.accept(true);
        world.publish(
            "instance/notifier/InstanceCleanupMemberEvent",
            br#"{"memberId":"php.c.m1"}"#,
        );
        assert!(world.commands.contains(&Command::Stop), "{nonsense:x?}");
    }
}

#[test]
fn pieces_of_any_size_are_the_same_stream() {
    let mut stream = message(
        "topology/CompleteTopologyEvent",
        topology(&[("php.c", "php.c.m1", "Active")]).as_bytes(),
        0,
    );
    stream.extend(message(&"t".repeat(300), b"{}", 2));
    stream.extend(message(&"t".repeat(300), b"", 0));
    stream.extend(message("", b"", 0));
    stream.extend(message(
        "instance/notifier/InstanceCleanupMemberEvent",
        br#"{"memberId":"php.c.m1"}"#,
        2,
    ));
    stream.extend([0xd0, 0]);
    for piece in [1, 2, 3, 5, 7, 64, 4096] {
        let mut world = World::new(PAYLOAD);
        world.accept(false);
        world.said();
        for bytes in stream.chunks(piece) {
            world.send(bytes);
        }
        assert_eq!(world.commands, [Command::Initialize, Command::Stop], "{piece}");
        let acknowledged = world.said().iter().filter(|packet| *packet == "PUBACK 1234").count();
        assert_eq!((acknowledged, world.attempts.len()), (2, 1), "{piece}");
    }
}
