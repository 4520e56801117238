//! The adapter against a broker that is played by the test, packet by packet.

use super::*;
use crate::control::{Command, ControlPlane};
use crate::parameters::Parameters;
use crate::stratos::settings;
use crate::text::Message;
use std::string::{String, ToString};
use std::{format, vec};

const PAYLOAD: &str = "APPLICATION_ID=app,SERVICE_NAME=php,CLUSTER_ID=php.c,CLUSTER_INSTANCE_ID=ci,MEMBER_ID=php.c.m1,NETWORK_PARTITION_ID=np,\
                       PARTITION_ID=p,DEPENDENCY_CLUSTER_IDS=db.c,MB_IP=broker,mb.username=u,mb.password=hunter2";

/// Golden texts: the key sets are those of the facts, section 1.2.
const STARTED: &str = r#"{"applicationId":"app","clusterId":"php.c","clusterInstanceId":"ci","instanceId":null,"memberId":"php.c.m1","networkPartitionId":"np","partitionId":"p","serviceName":"php"}"#;
const OTHERS: &str = r#"{"clusterId":"php.c","clusterInstanceId":"ci","instanceId":null,"memberId":"php.c.m1","networkPartitionId":"np","partitionId":"p","serviceName":"php"}"#;

const CONNECT: &str = "CONNECT php.c.m1 flags c0 keep-alive 60 u hunter2";
const CONNECT_CLEAN: &str = "CONNECT php.c.m1 flags c2 keep-alive 60 u hunter2";

struct World {
    plane: Stratos<'static>,
    now: Duration,
    /// Whether brokers can be reached, and who is connected to.
    is_reachable: bool,
    peer: Option<(String, u16)>,
    attempts: Vec<(Duration, String)>,
    answers_pings: bool,
    packets: Vec<String>,
    commands: Vec<Command>,
    log: Vec<String>,
}

impl World {
    fn new(payload: &'static str) -> World {
        let parameters = Parameters::new(b"", payload.as_bytes());
        let settings = settings::read(&parameters, &mut |wrong| panic!("{wrong}")).unwrap();
        let mut world = World {
            plane: Stratos::new(settings, None, 1),
            now: Duration::ZERO,
            is_reachable: true,
            peer: None,
            attempts: Vec::new(),
            answers_pings: false,
            packets: Vec::new(),
            commands: Vec::new(),
            log: Vec::new(),
        };
        world.plane.entered(State::Created, Duration::ZERO);
        world
    }

    /// A member that is Active, with nothing under way.
    fn active() -> World {
        let mut world = World::new(PAYLOAD);
        world.accept(false);
        world.topology("Initialized");
        world.enter(State::Starting);
        world.answer_status();
        world.enter(State::Active);
        world.answer_status();
        world.said();
        world
    }

    /// Does as the driver does until there is only waiting left.
    fn step(&mut self) {
        for _ in 0..100 {
            while let Some(command) = self.plane.command(self.now) {
                self.commands.push(command);
            }
            let mut text = Message::new();
            while let Some(level) = self.plane.note(&mut text) {
                self.log.push(format!("{level}: {text}"));
                text = Message::new();
            }
            let wanted = self.plane.peer(0).map(|peer| (peer.host.to_string(), peer.port));
            let changed = wanted != self.peer;
            self.peer = wanted;
            if changed && let Some((host, _)) = self.peer.clone() {
                self.attempts.push((self.now, host));
                self.plane.connected(0, self.is_reachable, self.now);
                continue;
            }
            let bytes = self.plane.to_send(0).to_vec();
            if self.peer.is_some() && !bytes.is_empty() {
                self.plane.sent(0, bytes.len(), self.now);
                let new = packets(&bytes);
                if self.answers_pings && new.iter().any(|packet| packet == "PINGREQ") {
                    self.plane.receive(0, &[0xd0, 0], self.now);
                }
                self.packets.extend(new);
                continue;
            }
            let wake = self.plane.wake();
            if wake.is_some_and(|wake| wake <= self.now + AT_ONCE) {
                self.now += AT_ONCE;
                continue;
            }
            if !changed {
                return;
            }
        }
        panic!("it does not come to rest: {:?}", self.plane.phase);
    }

    /// Lets time pass, waking it as it asks.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.step();
        while let Some(wake) = self.plane.wake()
            && wake <= end
        {
            assert!(wake > self.now, "a busy loop");
            self.now = wake;
            self.step();
        }
        self.now = end;
        self.step();
    }

    fn said(&mut self) -> Vec<String> {
        self.step();
        core::mem::take(&mut self.packets)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.step();
        self.plane.receive(0, bytes, self.now);
        self.step();
    }

    fn accept(&mut self, has_session: bool) {
        self.send(&[0x20, 2, u8::from(has_session), 0]);
    }

    fn drop_link(&mut self) {
        self.plane.connected(0, false, self.now);
        self.step();
    }

    fn publish(&mut self, topic: &str, payload: &[u8]) {
        self.send(&message(topic, payload, 0));
    }

    fn topology(&mut self, state: &str) {
        self.publish(
            "topology/CompleteTopologyEvent",
            topology(&[("php.c", "php.c.m1", state)]).as_bytes(),
        );
    }

    fn enter(&mut self, state: State) {
        self.plane.entered(state, self.now);
        self.step();
    }

    /// The packet identifier of the last status event.
    fn identifier(&self) -> u16 {
        self.plane.outbox.in_flight.expect("an event under way").packet
    }

    fn pubrec(&mut self) {
        let [high, low] = self.identifier().to_be_bytes();
        self.send(&[0x50, 2, high, low]);
    }

    fn pubcomp(&mut self) {
        let [high, low] = self.identifier().to_be_bytes();
        self.send(&[0x70, 2, high, low]);
    }

    fn answer_status(&mut self) {
        self.pubrec();
        self.pubcomp();
    }

    /// How often each status event was published as new.
    fn published(said: &[String], name: &str) -> usize {
        said.iter()
            .filter(|packet| packet.starts_with("PUBLISH2") && !packet.contains(" dup ") && packet.contains(name))
            .count()
    }
}

/// A PUBLISH; `flags` are the lower half of its first byte.
fn message(topic: &str, payload: &[u8], flags: u8) -> Vec<u8> {
    let identifier: &[u8] = if flags & 6 != 0 { &[0x12, 0x34] } else { &[] };
    let mut length = 2 + topic.len() + identifier.len() + payload.len();
    let mut bytes = vec![0x30 | flags];
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend((topic.len() as u16).to_be_bytes());
    bytes.extend(topic.as_bytes());
    bytes.extend(identifier);
    bytes.extend(payload);
    bytes
}

pub(crate) fn topology(members: &[(&str, &str, &str)]) -> String {
    let mut clusters = String::new();
    let mut names: Vec<_> = members.iter().map(|(cluster, ..)| *cluster).collect();
    names.dedup();
    for cluster in names {
        let list: Vec<String> = members
            .iter()
            .filter(|(own, ..)| *own == cluster)
            .map(|(_, member, state)| {
                format!(
                    r#""{member}":{{"serviceName":"php","clusterId":"{cluster}","memberId":"{member}","portMap":{{"8280":{{"protocol":"http","value":80,"proxy":8280}}}},"memberPrivateIPs":["10.0.0.7","10.0.0.8"],"defaultPrivateIP":"10.0.0.7","memberPublicIPs":[],"properties":{{"memberId":"no"}},"memberStateManager":{{"stateStack":["Created","{state}"],"identifier":"{member}"}}}}"#
                )
            })
            .collect();
        let comma = if clusters.is_empty() { "" } else { "," };
        clusters += &format!(
            r#"{comma}"{cluster}":{{"clusterId":"{cluster}","hostNames":["a"],"memberMap":{{{}}},"instanceIdToInstanceContextMap":{{"x":{{"lifeCycleStateManager":{{"stateStack":["Created"]}}}}}}}}"#,
            list.join(",")
        );
    }
    format!(
        r#"{{"topology":{{"serviceMap":{{"php":{{"serviceName":"php","clusterIdClusterMap":{{{clusters}}}}}}},"initialized":false}}}}"#
    )
}

/// What a broker would read.
fn packets(mut bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    while !bytes.is_empty() {
        let (mut length, mut at) = (0usize, 1);
        loop {
            length |= usize::from(bytes[at] & 0x7f) << (7 * (at - 1));
            at += 1;
            if bytes[at - 1] & 0x80 == 0 {
                break;
            }
        }
        let (first, body) = (bytes[0], &bytes[at..at + length]);
        bytes = &bytes[at + length..];
        let number = |at: usize| usize::from(body[at]) << 8 | usize::from(body[at + 1]);
        let string = |at: usize| text(&body[at + 2..at + 2 + number(at)]);
        found.push(match first {
            0x10 => {
                assert_eq!(&body[..7], b"\0\x04MQTT\x04");
                let mut line = format!("CONNECT {} flags {:x} keep-alive {}", string(10), body[7], number(8));
                let mut at = 12 + number(10);
                while at < body.len() {
                    line += &format!(" {}", string(at));
                    at += 2 + number(at);
                }
                line
            }
            0x82 => {
                let (mut at, mut line) = (2, String::from("SUBSCRIBE"));
                while at < body.len() {
                    line += &format!(" {}:{}", string(at), body[at + 2 + number(at)]);
                    at += 3 + number(at);
                }
                line
            }
            0x30 => format!("PUBLISH0 {} {}", string(0), text(&body[2 + number(0)..])),
            0x34 | 0x3c => {
                let after = 2 + number(0);
                let dup = if first & 8 != 0 { " dup" } else { "" };
                format!(
                    "PUBLISH2 #{}{dup} {} {}",
                    number(after),
                    string(0),
                    text(&body[after + 2..])
                )
            }
            0x40 => format!("PUBACK {:x}", number(0)),
            0x62 => format!("PUBREL #{}", number(0)),
            0xc0 => String::from("PINGREQ"),
            0xe0 => String::from("DISCONNECT"),
            other => panic!("a client does not send {other:x}"),
        });
    }
    found
}

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

#[test]
fn a_broker_that_completes_what_it_has_forgotten_is_found_out() {
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
    world.topology("Initialized");
    assert_eq!(World::published(&world.said(), "Started"), 1);
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
    let message = message("topology/CompleteTopologyEvent", &[b' '; 200], 0);
    for byte in message {
        world.send(&[byte]);
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(world.attempts.len(), 1);
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
        (b"not JSON", "not JSON"),
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
