//! A member, its clock, and the broker that the test plays.

use super::super::*;
use crate::control::{Command, ControlPlane};
use crate::parameters::Parameters;
use crate::stratos::settings;
use crate::text::Message;
use std::string::{String, ToString};
use std::{format, vec};

pub const PAYLOAD: &str = "APPLICATION_ID=app,SERVICE_NAME=php,CLUSTER_ID=php.c,CLUSTER_INSTANCE_ID=ci,MEMBER_ID=php.c.m1,NETWORK_PARTITION_ID=np,\
                       PARTITION_ID=p,DEPENDENCY_CLUSTER_IDS=db.c,MB_IP=broker,mb.username=u,mb.password=hunter2";

pub const CONNECT: &str = "CONNECT php.c.m1 flags c0 keep-alive 60 u hunter2";
pub const CONNECT_CLEAN: &str = "CONNECT php.c.m1 flags c2 keep-alive 60 u hunter2";

pub struct World {
    pub plane: Stratos<'static>,
    pub now: Duration,
    /// Whether brokers can be reached, and who is connected to.
    pub is_reachable: bool,
    pub peer: Option<(String, u16)>,
    pub attempts: Vec<(Duration, String)>,
    pub answers_pings: bool,
    pub packets: Vec<String>,
    pub commands: Vec<Command>,
    pub log: Vec<String>,
}

impl World {
    pub fn new(payload: &'static str) -> World {
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
    pub fn active() -> World {
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
    pub fn step(&mut self) {
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
    pub fn pass(&mut self, time: Duration) {
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

    pub fn said(&mut self) -> Vec<String> {
        self.step();
        core::mem::take(&mut self.packets)
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.step();
        self.plane.receive(0, bytes, self.now);
        self.step();
    }

    pub fn accept(&mut self, has_session: bool) {
        self.send(&[0x20, 2, u8::from(has_session), 0]);
    }

    pub fn drop_link(&mut self) {
        self.plane.connected(0, false, self.now);
        self.step();
    }

    pub fn publish(&mut self, topic: &str, payload: &[u8]) {
        self.send(&message(topic, payload, 0));
    }

    pub fn topology(&mut self, state: &str) {
        self.publish(
            "topology/CompleteTopologyEvent",
            topology(&[("php.c", "php.c.m1", state)]).as_bytes(),
        );
    }

    pub fn enter(&mut self, state: State) {
        self.plane.entered(state, self.now);
        self.step();
    }

    /// The packet identifier of the last status event.
    pub fn identifier(&self) -> u16 {
        self.plane.outbox.in_flight.expect("an event under way").packet
    }

    pub fn pubrec(&mut self) {
        let [high, low] = self.identifier().to_be_bytes();
        self.send(&[0x50, 2, high, low]);
    }

    pub fn pubcomp(&mut self) {
        let [high, low] = self.identifier().to_be_bytes();
        self.send(&[0x70, 2, high, low]);
    }

    pub fn answer_status(&mut self) {
        self.pubrec();
        self.pubcomp();
    }

    /// How often each status event was published as new.
    pub fn published(said: &[String], name: &str) -> usize {
        said.iter()
            .filter(|packet| packet.starts_with("PUBLISH2") && !packet.contains(" dup ") && packet.contains(name))
            .count()
    }
}

/// A PUBLISH; `flags` are the lower half of its first byte.
pub fn message(topic: &str, payload: &[u8], flags: u8) -> Vec<u8> {
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

pub fn topology(members: &[(&str, &str, &str)]) -> String {
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
pub fn packets(mut bytes: &[u8]) -> Vec<String> {
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
