//! The adapter for Stratos against a broker that sends anything, in any pieces, at any time.

use super::events::{HEAP, settings};
use super::health::settings as health;
use crate::bounds::{heap_at_most, uncounted};
use crate::script::{Script, pieces};
use cartridge_agent_core::control::{Command, ControlPlane, Figures};
use cartridge_agent_core::lifecycle::State;
use cartridge_agent_core::stratos::Stratos;
use cartridge_agent_core::stratos::backoff::AT_ONCE;
use cartridge_agent_core::text::Message;
use std::time::Duration;

/// Topics that mean something.
const TOPICS: [&str; 16] = [
    "topology/CompleteTopologyEvent",
    "topology/MemberInitializedEvent",
    "topology/MemberCreatedEvent",
    "topology/MemberStartedEvent",
    "topology/MemberActivatedEvent",
    "topology/MemberMaintenanceModeEvent",
    "topology/MemberSuspendedEvent",
    "topology/MemberTerminatedEvent",
    "instance/notifier/InstanceCleanupMemberEvent",
    "instance/notifier/InstanceCleanupClusterEvent",
    "instance/notifier/ArtifactUpdatedEvent",
    "tenant/CompleteTenantEvent",
    "tenant/TenantSubscribedEvent",
    "tenant/TenantUnSubscribedEvent",
    "application/signup/ApplicationSignUpRemovedEvent",
    "instance/status/InstanceStartedEvent",
];

/// The go signal for the member.
const GO: &[u8] = br#"{"topology":{"serviceMap":{"php":{"serviceName":"php","clusterIdClusterMap":{"php.c":{"clusterId":"php.c","memberMap":{"php.c.m1":{"memberId":"php.c.m1","memberStateManager":{"stateStack":["Created","Initialized"]}}}}}}}}}"#;

/// The events that a member publishes, in their order.
const STATUSES: [&str; 4] = [
    "instance/status/InstanceStartedEvent",
    "instance/status/InstanceActivatedEvent",
    "instance/status/InstanceMaintenanceModeEvent",
    "instance/status/InstanceReadyToShutdownEvent",
];

const FIGURES: Figures = Figures {
    memory_used_bytes: 1 << 20,
    memory_total_bytes: 4 << 20,
    load_hundredths: 150,
    processors: 2,
    unix_ms: 1_795_197_580_123,
};

/// So much time passes at once at most: longer than everything that the adapter waits for.
const LONGEST_TIME: Duration = Duration::from_secs(300);

/// What waits to be sent, in bytes: the adapter gives a connection up above 16 KiB, when it looks the next time.
const OUT_LIMIT: usize = 24 << 10;

/// A script: what the broker sends, what becomes of the connection, how the member goes on, and time.
pub fn broker(input: &[u8]) {
    let settings = settings();
    let health = health();
    heap_at_most(HEAP, || {
        let mut script = Script::new(input);
        let habits = script.byte();
        let mut life = Life {
            plane: Stratos::new(
                settings,
                health.filter(|_| habits & HEALTH != 0),
                u64::from(script.byte()),
            ),
            now: Duration::ZERO,
            habits,
            peers: [None, None],
            is_up: [false; 2],
            attempts: 0,
            begun: Duration::ZERO,
            state: State::Created,
            is_known: false,
            is_stopped: false,
            line: Message::new(),
            unread: Vec::new(),
            last_packet: 0,
            has_forgotten: false,
            status: 0,
        };
        life.plane.entered(State::Created, Duration::ZERO);
        life.settle();
        while !script.is_over() {
            life.step(&mut script);
        }
    });
}

struct Life {
    plane: Stratos<'static>,
    now: Duration,
    /// What the broker does by itself, bit by bit: see the constants.
    habits: u8,
    /// Of the two links, the second of which is to the receiver of health statistics.
    peers: [Option<(String, u16)>; 2],
    is_up: [bool; 2],
    /// Attempts to connect since `begun`.
    attempts: u64,
    begun: Duration,
    state: State,
    is_known: bool,
    is_stopped: bool,
    /// Where the next line for the log is written.
    line: Message,
    /// What the member sent of a packet that is not whole.
    unread: Vec<u8>,
    /// The packet identifier of the last PUBLISH of the member's.
    last_packet: u16,
    /// It was told to forget the session.
    has_forgotten: bool,
    /// How many of [`STATUSES`] have been begun.
    status: usize,
}

/// Brokers cannot be reached.
const AWAY: u8 = 1;
/// The broker answers CONNECT well, with a session if bit [`SESSION`] is set.
const WELCOMES: u8 = 2;
const SESSION: u8 = 4;
/// It closes after DISCONNECT.
const CLOSES: u8 = 8;
/// It answers PINGREQ.
const PONGS: u8 = 16;
/// It answers PUBLISH and PUBREL.
const ANSWERS: u8 = 32;
/// It takes nothing.
const STALLED: u8 = 64;
/// There is a receiver of health statistics; counts at the beginning only.
const HEALTH: u8 = 128;

impl Life {
    fn has(&self, habit: u8) -> bool {
        self.habits & habit != 0
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let what = script.byte();
        match what & 7 {
            0 => self.receive(script.take(usize::from(what >> 3) + 1)),
            1 => {
                let length = script.number() % 1500;
                let how = script.byte();
                for piece in pieces(script.take(length.into()), how) {
                    self.receive_now(0, piece);
                }
            }
            2 => self.publish(what, script),
            3 => self.pass(script.time().min(LONGEST_TIME)),
            4 => self.short_packet(script),
            5 => self.go_on(what),
            6 => {
                self.habits = script.byte();
                let link = usize::from(what >> 6 & 1);
                if what & 0x80 != 0 && self.is_up[link] {
                    self.is_up[link] = false;
                    self.plane.connected(link, false, self.now);
                }
            }
            _ => {
                for _ in 0..what >> 3 {
                    if self.plane.event().is_some() {
                        self.plane.event_taken();
                    }
                }
            }
        }
        self.settle();
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.settle();
        self.receive_now(0, bytes);
    }

    /// A message as MQTT has it: topic, flags and document are the script's.
    fn publish(&mut self, what: u8, script: &mut Script<'_>) {
        let topic = script.byte();
        let (qos, is_retained) = (what >> 6 & 1, what >> 5 & 1);
        let document = if what & 0x10 != 0 {
            GO
        } else {
            let length = script.number() % 3000;
            script.take(length.into())
        };
        let topic = TOPICS[usize::from(topic) % TOPICS.len()];
        let packet = uncounted(|| {
            let mut body = vec![0, topic.len() as u8];
            body.extend_from_slice(topic.as_bytes());
            if qos == 1 {
                body.extend_from_slice(&[0, 7]);
            }
            body.extend_from_slice(document);
            let mut packet = vec![0x30 | qos << 1 | is_retained];
            packet.extend([body.len() as u8 | 0x80, (body.len() >> 7) as u8]);
            packet.extend_from_slice(&body);
            packet
        });
        for piece in pieces(&packet, script.byte()) {
            self.receive_now(0, piece);
        }
        uncounted(|| drop(packet));
    }

    /// One of the short packets, about the member's last one or another.
    fn short_packet(&mut self, script: &mut Script<'_>) {
        let (kind, detail) = (script.byte(), script.byte());
        let [high, low] = if detail & 0x80 != 0 {
            [0, detail & 0x7f]
        } else {
            self.last_packet.to_be_bytes()
        };
        match kind % 7 {
            0 => self.receive(&[0x20, 2, detail & 1, 0]),
            1 => self.receive(&[0x20, 2, 0, detail & 7]),
            2 => self.receive(&[0x50, 2, high, low]),
            3 => self.receive(&[0x70, 2, high, low]),
            4 => self.receive(&[0x90, 3, high, low, detail]),
            5 => self.receive(&[0xd0, 0]),
            _ => self.receive_now(1, script.take(usize::from(detail & 0x7f))),
        }
    }

    /// The member enters its next state, as its machine lets it: without the platform's word it can only end.
    fn go_on(&mut self, what: u8) {
        let next = match self.state {
            State::Created if !self.is_known => State::InMaintenance,
            State::Initialized | State::Starting if what & 0x80 != 0 || self.is_stopped => State::InMaintenance,
            state => State::from_number(state as u8 + 1),
        };
        if next != self.state {
            self.state = next;
            self.plane.entered(next, self.now);
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        while let Some(wake) = self.plane.wake().filter(|wake| *wake <= end) {
            assert!(wake > self.now, "a busy loop");
            self.now = wake;
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    /// Does as the driver does until there is only waiting left.
    fn settle(&mut self) {
        for _ in 0..200 {
            self.hear();
            if self.move_bytes() {
                continue;
            }
            match self.plane.wake() {
                Some(wake) if wake <= self.now + AT_ONCE => self.now += AT_ONCE,
                _ => return,
            }
        }
        // Many attempts in one go are counted like any others.
        self.check_rate();
        panic!("it does not come to rest");
    }

    /// Commands and lines for the log.
    fn hear(&mut self) {
        while let Some(command) = self.plane.command(self.now) {
            match command {
                Command::Initialize => {
                    assert!(!self.is_known, "the app is started twice");
                    self.is_known = true;
                    if self.state == State::Created {
                        self.state = State::Initialized;
                        self.plane.entered(State::Initialized, self.now);
                    }
                }
                Command::Stop => self.is_stopped = true,
            }
        }
        let mut lines = 0;
        while self.plane.note(&mut self.line).is_some() {
            let line = core::mem::take(&mut self.line);
            assert!(!line.as_str().contains("hush-"), "a secret is shown: {}", line.as_str());
            lines += 1;
            assert!(lines <= 18, "{lines} lines at once");
        }
        if self.plane.wants_figures(self.now) {
            self.plane.figures(FIGURES, self.now);
            assert!(!self.plane.wants_figures(self.now), "figures are wanted without end");
        }
    }

    /// Makes connections and takes what is sent; true if there was something to do.
    fn move_bytes(&mut self) -> bool {
        assert_eq!(self.plane.links(), 2);
        self.make_link(0) || self.make_link(1) || self.take_from(0) || self.take_from(1)
    }

    fn make_link(&mut self, link: usize) -> bool {
        let wanted = self.plane.peer(link);
        let is_same = match (&wanted, &self.peers[link]) {
            (Some(wanted), Some((host, port))) => wanted.host == host && wanted.port == *port,
            (None, None) => true,
            _ => false,
        };
        if is_same {
            return false;
        }
        uncounted(|| {
            self.peers[link] = wanted.map(|peer| (peer.host.to_owned(), peer.port));
            if link == 0 {
                self.unread = Vec::new();
            }
        });
        self.is_up[link] = false;
        if self.peers[link].is_some() {
            if link == 0 {
                self.attempts += 1;
                self.check_rate();
            }
            self.is_up[link] = !self.has(AWAY);
            self.plane.connected(link, self.is_up[link], self.now);
        }
        true
    }

    fn take_from(&mut self, link: usize) -> bool {
        let out = self.plane.to_send(link);
        assert!(out.len() <= OUT_LIMIT, "{} bytes wait to be sent", out.len());
        if !self.is_up[link] || out.is_empty() || self.has(STALLED) {
            return false;
        }
        let count = out.len();
        if link == 1 {
            self.plane.sent(link, count, self.now);
            return true;
        }
        uncounted(|| self.unread.extend_from_slice(out));
        self.plane.sent(link, count, self.now);
        while let Some((first, packet)) = uncounted(|| self.next_packet()) {
            self.answer(first, &packet);
            uncounted(|| drop(packet));
        }
        true
    }

    /// "Capped and jittered": each of three brokers at once, and then a pause of a second at least for every round. A broker that has
    /// a session of an earlier life is asked twice.
    fn check_rate(&self) {
        let seconds = (self.now - self.begun).as_secs();
        assert!(
            self.attempts <= 12 + 6 * seconds,
            "{} attempts to connect within {seconds} s",
            self.attempts
        );
    }

    /// Takes a packet of the member's: first byte and body.
    fn next_packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = *self.unread.first()?;
        let (mut length, mut shift, mut at) = (0, 0, 1);
        loop {
            let byte = *self.unread.get(at)?;
            assert!(shift < 28, "a length of more than four bytes");
            length |= usize::from(byte & 0x7f) << shift;
            (shift, at) = (shift + 7, at + 1);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let body = self.unread.get(at..at + length)?.to_vec();
        self.unread.drain(..at + length);
        Some((first, body))
    }

    /// What the broker makes of a packet by habit.
    fn answer(&mut self, first: u8, body: &[u8]) {
        match first >> 4 {
            1 => {
                assert!(body.starts_with(b"\0\x04MQTT\x04"));
                if self.has(WELCOMES) {
                    let is_clean = body[7] & 2 != 0;
                    self.has_forgotten |= is_clean;
                    self.receive_now(0, &[0x20, 2, u8::from(self.has(SESSION) && !self.has_forgotten), 0]);
                }
            }
            3 => self.published(first, body),
            6 if self.has(ANSWERS) => self.receive_now(0, &[0x70, 2, body[0], body[1]]),
            12 if self.has(PONGS) => self.receive_now(0, &[0xd0, 0]),
            8 if self.has(ANSWERS) => self.receive_now(0, &[0x90, 3, body[0], body[1], 0]),
            14 if self.has(CLOSES) => {
                self.is_up[0] = false;
                self.plane.connected(0, false, self.now);
            }
            4 | 6 | 8 | 12 | 14 => {}
            kind => panic!("a member does not send packets of kind {kind}"),
        }
    }

    fn receive_now(&mut self, link: usize, bytes: &[u8]) {
        if self.is_up[link] {
            self.plane.receive(link, bytes, self.now);
        }
    }

    /// The member's events come in order; an earlier one comes after a later one never.
    fn published(&mut self, first: u8, body: &[u8]) {
        let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = core::str::from_utf8(&body[2..2 + length]).expect("a topic is text");
        let Some(status) = STATUSES.iter().position(|known| *known == topic) else {
            assert!(topic.starts_with("initializer/Complete"), "{topic}");
            return;
        };
        assert_eq!(first & 6, 4, "a status event goes by QoS 2");
        assert!(self.is_known, "nobody knows the member");
        assert!(status + 1 >= self.status, "{topic} after a later event");
        self.status = status + 1;
        let (high, low) = (body[2 + length], body[3 + length]);
        self.last_packet = u16::from_be_bytes([high, low]);
        if self.has(ANSWERS) {
            self.receive_now(0, &[0x50, 2, high, low]);
        }
    }
}
