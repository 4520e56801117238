//! The session with the message broker, and what goes over it when.

mod delivery;
mod seam;

use super::backoff::{AT_ONCE, Backoff};
use super::frames::Frames;
use super::health;
use super::health::publisher::Publisher;
use super::inbox::Inbox;
use super::notes::{Note, Notes, Trouble};
use super::packet::{self, Connect, Delivery, kind};
use super::settings::{BROKER_LIMIT, Broker, Settings};
use super::status::Outbox;
use crate::lifecycle::State;
use alloc::vec::Vec;
use core::time::Duration;

/// What CONNECT asks for, in seconds; upstream's.
const KEEP_ALIVE: u16 = 60;

/// Between two PINGREQs. Half of [`KEEP_ALIVE`], so that one that is late ends nothing; a connection that is dead without a
/// word is noticed within this and [`ANSWER`].
const PING: Duration = Duration::from_secs(30);

/// How long an answer may take: of a broker on another continent that is busy, with room to spare.
const ANSWER: Duration = Duration::from_secs(10);

/// The same when the member is about to end, which waits for 5 s in all ([`crate::machine::FAREWELL`]).
const HURRIED_ANSWER: Duration = Duration::from_secs(2);

/// The longest pause between two attempts then.
const HURRIED_PAUSE: Duration = Duration::from_millis(500);

/// How long status events wait for the platform on a new connection. The oldest platforms answer no request, but send
/// their topology every minute.
const PLATFORM: Duration = Duration::from_secs(70);

/// Making a connection: the driver gives up after 10 s for each address of a host.
const REACH: Duration = Duration::from_secs(25);

/// How long the broker may take to close after DISCONNECT; nothing depends on it.
const CLOSE: Duration = Duration::from_millis(500);

/// A session that lasted this long was a good one: what ends it is a new trouble, not the old.
const GOOD: Duration = Duration::from_secs(10);

/// Bytes that wait to be sent: several status events. What makes us answer without reading the answers is given up.
const OUT_LIMIT: usize = 8 * 1024;

/// How long a message may take and keep answers back: a topology of 5 MB at 400 kbit/s.
const MESSAGE: Duration = Duration::from_secs(120);

/// The topology comes whole every minute: what is lost does not matter, and all that a member missed would be too much (QoS 0). The
/// others wait in the session (QoS 1).
const FIRST_TOPICS: [(&str, u8); 1] = [("topology/#", 0)];
const OTHER_TOPICS: [(&str, u8); 3] = [("instance/#", 1), ("tenant/#", 1), ("application/signup/#", 1)];

const TOPOLOGY_REQUEST: &str = "initializer/CompleteTopologyRequestEvent";
const TENANT_REQUEST: &str = "initializer/CompleteTenantRequestEvent";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No connection is wanted before this time.
    Idle(Duration),
    /// One is being made, until this time.
    Reaching(Duration),
    /// CONNECT was sent; the answer comes by this time.
    Greeting(Duration),
    Up,
    /// DISCONNECT was sent; the broker closes by this time.
    Parting(Duration),
    /// The member has left.
    Over,
}

/// What the next connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Serve,
    /// To have the broker forget a session of the member's life before this one.
    Forget,
    /// To have the broker forget the session at the end.
    Leave,
}

/// The adapter. It borrows the launch parameters.
pub struct Stratos<'a> {
    settings: Settings<'a>,
    inbox: Inbox<'a>,
    frames: Frames,
    outbox: Outbox,
    notes: Notes,
    backoff: Backoff,
    health: Option<Publisher<'a>>,
    phase: Phase,
    purpose: Purpose,
    /// The position of the broker that is used or tried.
    broker: usize,
    /// What was wrong last with each broker.
    trouble: [Option<Trouble>; BROKER_LIMIT],
    /// The brokers that have a session of this life, a bit each.
    sessions: u8,
    /// The brokers that were told to forget the session of the life before.
    forgotten: u8,
    /// What is to be sent.
    out: Vec<u8>,
    /// The last packet identifier.
    last_packet: u16,
    up_since: Duration,
    /// When the message began that is not complete yet.
    message_since: Option<Duration>,
    ping_at: Duration,
    /// The broker answers the PINGREQ by this time.
    pong_until: Option<Duration>,
    /// The broker answers the PUBLISH or PUBREL by this time.
    answer_until: Option<Duration>,
    /// Status events wait for the platform, until this time.
    gate: Option<Duration>,
    /// When to ask for the topology again, and how often that was done on this connection.
    ask_at: Duration,
    asked: u32,
    state: State,
    /// The platform knows the member.
    is_initialized: bool,
    /// In this state, then.
    known_as: State,
    /// It was said that the platform does not know it yet.
    is_waiting: bool,
    initialize: bool,
    stop: bool,
    now: Duration,
}

impl<'a> Stratos<'a> {
    /// For the member of these settings, with health statistics if there are settings for them; `seed` differs from member to member and
    /// from start to start.
    pub fn new(settings: Settings<'a>, health: Option<health::settings::Settings<'a>>, seed: u64) -> Self {
        Stratos {
            settings,
            inbox: Inbox::new(settings),
            frames: Frames::default(),
            outbox: Outbox::default(),
            notes: Notes::default(),
            backoff: Backoff::new(seed),
            health: health.map(|health| Publisher::new(health, (seed >> 32) as u32)),
            phase: Phase::Idle(Duration::ZERO),
            purpose: Purpose::Serve,
            broker: 0,
            trouble: [None; BROKER_LIMIT],
            sessions: 0,
            forgotten: 0,
            out: Vec::new(),
            last_packet: 0,
            up_since: Duration::ZERO,
            message_since: None,
            ping_at: Duration::ZERO,
            pong_until: None,
            answer_until: None,
            gate: None,
            ask_at: Duration::ZERO,
            asked: 0,
            state: State::Created,
            is_initialized: false,
            known_as: State::Created,
            is_waiting: false,
            initialize: false,
            stop: false,
            now: Duration::ZERO,
        }
    }

    fn broker(&self) -> Broker<'a> {
        self.settings.brokers().get(self.broker).copied().unwrap_or_default()
    }

    fn is_ending(&self) -> bool {
        self.state >= State::ReadyToShutDown
    }

    fn answer_time(&self) -> Duration {
        self.now + if self.is_ending() { HURRIED_ANSWER } else { ANSWER }
    }

    fn next_packet(&mut self) -> u16 {
        self.last_packet = self.last_packet.checked_add(1).unwrap_or(1);
        self.last_packet
    }

    /// What has become due.
    fn tick(&mut self) {
        let now = self.now;
        match self.phase {
            Phase::Idle(until) if now >= until => {
                let reach = if self.is_ending() { HURRIED_ANSWER } else { REACH };
                self.phase = Phase::Reaching(now + reach);
            }
            Phase::Reaching(until) if now >= until => self.fail(Trouble::Unreachable),
            Phase::Greeting(until) if now >= until => self.fail(Trouble::Silent),
            Phase::Parting(until) if now >= until => self.part(),
            Phase::Up => self.tick_up(),
            _ => {}
        }
    }

    fn tick_up(&mut self) {
        let now = self.now;
        let is_due = |time: Option<Duration>| time.is_some_and(|time| now >= time);
        if is_due(self.pong_until) || is_due(self.answer_until) {
            return self.fail(Trouble::Silent);
        }
        if now >= self.ping_at {
            packet::bare(&mut self.out, kind::PINGREQ);
            self.ping_at = now + PING;
            self.pong_until.get_or_insert(now + ANSWER);
        }
        if is_due(self.gate) {
            self.gate = None;
            self.deliver(false);
        }
        if self.gate.is_some() && now >= self.ask_at {
            self.request(TOPOLOGY_REQUEST);
            self.asked += 1;
            self.ask_at = now + self.backoff.pause(self.asked + 1);
        }
    }

    /// The connection is of no use.
    fn fail(&mut self, trouble: Trouble) {
        let was_good = self.phase == Phase::Up && self.now.saturating_sub(self.up_since) >= GOOD;
        self.close();
        if self.purpose == Purpose::Leave {
            // Nobody waits longer for a broker to forget.
            self.sessions &= !(1 << self.broker);
            return self.leave();
        }
        // The next broker may have the session of this life.
        self.purpose = Purpose::Serve;
        let count = self.settings.brokers().len();
        let mut pause = if was_good {
            self.backoff.reset();
            AT_ONCE
        } else {
            self.backoff.failed(count as u32)
        };
        if self.is_ending() {
            pause = pause.min(HURRIED_PAUSE);
        }
        let is_told = trouble.lasts() && self.trouble.get(self.broker) == Some(&Some(trouble));
        self.notes.push(Note::Failed(self.broker, trouble, pause, is_told));
        if let Some(last) = self.trouble.get_mut(self.broker) {
            *last = Some(trouble);
        }
        self.broker = (self.broker + 1) % count.max(1);
        self.phase = Phase::Idle(self.now + pause);
    }

    fn close(&mut self) {
        self.out.clear();
        self.inbox.interrupt();
        (self.pong_until, self.answer_until, self.gate) = (None, None, None);
        self.message_since = None;
    }

    /// The connection was closed as it should be.
    fn part(&mut self) {
        self.close();
        match self.purpose {
            Purpose::Leave => self.leave(),
            _ => self.phase = Phase::Idle(self.now + AT_ONCE),
        }
    }

    /// Has the next broker forget the session, until nothing is left of the member.
    fn leave(&mut self) {
        if self.sessions == 0 {
            self.phase = Phase::Over;
            return;
        }
        if self.sessions & 1 << self.broker == 0 {
            self.broker = self.sessions.trailing_zeros() as usize;
        }
        self.phase = Phase::Idle(self.now + AT_ONCE);
    }

    /// Says that the connection is to end.
    fn disconnect(&mut self, then: Purpose) {
        packet::bare(&mut self.out, kind::DISCONNECT);
        self.purpose = then;
        self.phase = Phase::Parting(self.now + CLOSE);
    }

    fn greet(&mut self) {
        self.phase = Phase::Greeting(self.answer_time());
        self.frames = Frames::default();
        self.out.clear();
        let connect = Connect {
            client: self.settings.member,
            clean: self.purpose != Purpose::Serve,
            keep_alive: KEEP_ALIVE,
            user: self.settings.user,
            password: self.settings.password,
        };
        packet::connect(&mut self.out, &connect);
    }

    /// The broker's answer to CONNECT.
    fn greeted(&mut self, has_session: bool, code: u8) {
        if code != 0 {
            return self.fail(Trouble::Refused(code));
        }
        let bit = 1 << self.broker;
        match self.purpose {
            Purpose::Forget => {
                self.forgotten |= bit;
                self.disconnect(Purpose::Serve);
            }
            Purpose::Leave => {
                self.sessions &= !bit;
                self.disconnect(Purpose::Leave);
            }
            // It would mistake new packets for those of the life before. (One that says so even after that is believed.)
            Purpose::Serve if has_session && (self.sessions | self.forgotten) & bit == 0 => {
                self.disconnect(Purpose::Forget);
            }
            Purpose::Serve => {
                self.sessions |= bit;
                self.begin_session(has_session);
            }
        }
    }

    fn begin_session(&mut self, has_session: bool) {
        self.notes.push(Note::Connected(self.broker));
        if let Some(last) = self.trouble.get_mut(self.broker) {
            *last = None;
        }
        self.phase = Phase::Up;
        self.up_since = self.now;
        self.ping_at = self.now + PING;
        if let Some(event) = &mut self.outbox.in_flight {
            (event.is_out, event.is_complete, event.is_denied) = (false, false, false);
            event.is_doubtful |= !has_session || event.broker != self.broker;
        }
        self.subscribe(&FIRST_TOPICS);
        self.close_gate(PLATFORM);
        if self.is_initialized {
            self.ask_for_the_rest();
        }
        self.deliver(false);
    }

    fn ask_for_the_rest(&mut self) {
        self.subscribe(&OTHER_TOPICS);
        self.request(TENANT_REQUEST);
    }

    fn subscribe(&mut self, topics: &[(&str, u8)]) {
        let packet = self.next_packet();
        packet::subscribe(&mut self.out, packet, topics);
    }

    /// Answers a packet of the broker's, unless it has not taken the answers before.
    fn acknowledge(&mut self, kind: u8, packet: u16) {
        if self.out.len() > OUT_LIMIT {
            return self.fail(Trouble::Silent);
        }
        packet::acknowledge(&mut self.out, kind, packet);
    }

    fn request(&mut self, topic: &str) {
        packet::publish(&mut self.out, topic, b"{}", Delivery::AtMostOnce);
    }
}

#[cfg(test)]
#[path = "adapter_tests.rs"]
mod tests;
