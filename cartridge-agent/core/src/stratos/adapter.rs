//! The session with the message broker, and what goes over it when.

use super::backoff::{AT_ONCE, Backoff};
use super::frames::{Frames, Receiver};
use super::inbox::Inbox;
use super::notes::{Note, Notes, Trouble};
use super::packet::{self, Connect, Delivery, Packet, kind};
use super::settings::{Broker, Settings};
use super::status::{InFlight, Outbox, Status};
use crate::control::{Command, ControlPlane, Event, Peer};
use crate::lifecycle::State;
use crate::log::Level;
use crate::machine::milliseconds;
use alloc::vec::Vec;
use core::fmt;
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

/// What is not taken from us in time is too much: a broker that makes us answer without reading.
const OUT_LIMIT: usize = 16 * 1024;

/// Its own topology comes whole every minute: what is lost does not matter, and what a member missed would be too much. The others
/// wait in the session (QoS 1).
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
    phase: Phase,
    purpose: Purpose,
    /// The position of the broker that is used or tried.
    broker: usize,
    /// The brokers that have a session of this life, a bit each.
    sessions: u8,
    /// What is to be sent.
    out: Vec<u8>,
    /// The last packet identifier.
    last_packet: u16,
    up_since: Duration,
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
    initialize: bool,
    stop: bool,
    now: Duration,
}

impl<'a> Stratos<'a> {
    /// For the member of these settings; `seed` differs from member to member and from start to start.
    pub fn new(settings: Settings<'a>, seed: u64) -> Self {
        Stratos {
            settings,
            inbox: Inbox::new(settings),
            frames: Frames::default(),
            outbox: Outbox::default(),
            notes: Notes::default(),
            backoff: Backoff::new(seed),
            phase: Phase::Idle(Duration::ZERO),
            purpose: Purpose::Serve,
            broker: 0,
            sessions: 0,
            out: Vec::new(),
            last_packet: 0,
            up_since: Duration::ZERO,
            ping_at: Duration::ZERO,
            pong_until: None,
            answer_until: None,
            gate: None,
            ask_at: Duration::ZERO,
            asked: 0,
            state: State::Created,
            is_initialized: false,
            known_as: State::Created,
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
            Phase::Idle(until) if now >= until => self.phase = Phase::Reaching(now + REACH),
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
        if is_due(self.pong_until) || is_due(self.answer_until) || self.out.len() > OUT_LIMIT {
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
            self.phase = Phase::Over;
            return;
        }
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
        self.notes.push(Note::Failed(self.broker, trouble, pause));
        self.broker = (self.broker + 1) % count.max(1);
        self.phase = Phase::Idle(self.now + pause);
    }

    fn close(&mut self) {
        self.out.clear();
        self.inbox.interrupt();
        (self.pong_until, self.answer_until, self.gate) = (None, None, None);
    }

    /// The connection was closed as it should be.
    fn part(&mut self) {
        self.close();
        self.phase = match self.purpose {
            // The session is forgotten: nothing is left of the member.
            Purpose::Leave if self.sessions == 0 => Phase::Over,
            _ => Phase::Idle(self.now + AT_ONCE),
        };
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
            Purpose::Forget => self.disconnect(Purpose::Serve),
            Purpose::Leave => {
                self.sessions = 0;
                self.disconnect(Purpose::Leave);
            }
            // It would mistake new packets for those of the life before.
            Purpose::Serve if has_session && self.sessions & bit == 0 => self.disconnect(Purpose::Forget),
            Purpose::Serve => {
                self.sessions |= bit;
                self.begin_session(has_session);
            }
        }
    }

    fn begin_session(&mut self, has_session: bool) {
        self.notes.push(Note::Connected(self.broker));
        self.phase = Phase::Up;
        self.up_since = self.now;
        self.ping_at = self.now + PING;
        if let Some(event) = &mut self.outbox.in_flight {
            event.is_out = false;
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

    fn request(&mut self, topic: &str) {
        packet::publish(&mut self.out, topic, b"{}", Delivery::AtMostOnce);
    }

    /// Sends the next status event if nothing is in its way, and leaves when there is none any more. `has_topology` says that one has
    /// just come.
    fn deliver(&mut self, has_topology: bool) {
        let has_left = self.is_ending() && self.outbox.is_empty();
        match self.phase {
            Phase::Up if has_left => return self.disconnect(Purpose::Leave),
            Phase::Up if self.gate.is_none() => {}
            Phase::Idle(_) | Phase::Reaching(_) if has_left => {
                self.purpose = Purpose::Leave;
                return;
            }
            _ => return,
        }
        match self.outbox.in_flight {
            Some(event) if event.is_out => {}
            Some(event) => self.resume(event, has_topology),
            None => {
                if let Some(status) = self.outbox.pop() {
                    self.publish(status);
                }
            }
        }
    }

    /// Takes up an event that was on its way when the last connection ended. What the platform shows counts first: a broker that was
    /// killed may remember an older session than it had.
    fn resume(&mut self, mut event: InFlight, has_topology: bool) {
        let is_shown = match self.inbox.own_state {
            Some(state) => state >= event.status.state(),
            None => event.status == Status::ReadyToShutdown,
        };
        // A member that was known as Active before tells nothing by it.
        let is_heard = has_topology && is_shown && event.status.state() > self.known_as;
        if is_heard || event.is_complete && !has_topology {
            self.notes.push(Note::Resumed(event.status, true));
            self.outbox.in_flight = None;
            return self.deliver(has_topology);
        }
        self.notes.push(Note::Resumed(event.status, false));
        if event.is_doubtful || event.is_complete {
            return self.publish(event.status);
        }
        if event.is_received {
            packet::acknowledge(&mut self.out, kind::PUBREL, event.packet);
        } else {
            self.send(event.status, event.packet, true);
        }
        (event.is_out, event.is_resumed) = (true, true);
        self.outbox.in_flight = Some(event);
        self.answer_until = Some(self.answer_time());
    }

    fn publish(&mut self, status: Status) {
        let packet = self.next_packet();
        self.send(status, packet, false);
        self.outbox.in_flight = Some(InFlight {
            status,
            packet,
            broker: self.broker,
            is_received: false,
            is_complete: false,
            is_out: true,
            is_resumed: false,
            is_doubtful: false,
        });
        self.answer_until = Some(self.answer_time());
    }

    fn send(&mut self, status: Status, packet: u16, again: bool) {
        let document = status.document(&self.settings);
        packet::publish(
            &mut self.out,
            status.topic(),
            &document,
            Delivery::ExactlyOnce(packet, again),
        );
    }

    /// The broker has the event with this packet identifier.
    fn received(&mut self, packet: u16) {
        // It is told to deliver in any case: what we know nothing of is then forgotten.
        packet::acknowledge(&mut self.out, kind::PUBREL, packet);
        if let Some(event) = &mut self.outbox.in_flight
            && event.packet == packet
        {
            event.is_received = true;
            self.answer_until = Some(self.answer_time());
        }
    }

    /// The broker says that the event with this packet identifier is delivered.
    fn complete(&mut self, packet: u16) {
        let Some(event) = &mut self.outbox.in_flight else {
            return;
        };
        if event.packet != packet || !event.is_out {
            return;
        }
        self.answer_until = None;
        if event.is_resumed && event.is_received {
            // A broker says so of what it has forgotten, too (MQTT 3.1.1 section 4.3.3): the platform is asked.
            (event.is_complete, event.is_out) = (true, false);
            self.close_gate(ANSWER);
            return;
        }
        self.notes.push(Note::Reported(event.status));
        self.outbox.in_flight = None;
        self.deliver(false);
    }

    /// Has status events wait for a topology, for no longer than `patience`.
    fn close_gate(&mut self, patience: Duration) {
        let patience = if self.is_ending() { HURRIED_ANSWER } else { patience };
        self.gate = Some(self.now + patience);
        self.request(TOPOLOGY_REQUEST);
        self.asked = 0;
        self.ask_at = self.now + self.backoff.pause(1);
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Stop => self.stop = true,
            Command::Initialize if !self.is_initialized => {
                (self.is_initialized, self.initialize) = (true, true);
                self.known_as = self.inbox.own_state.unwrap_or(State::Initialized);
                self.notes.push(Note::Known(self.known_as));
                self.ask_for_the_rest();
            }
            Command::Initialize => {}
        }
    }

    fn log(&self, note: Note, log: &mut dyn FnMut(Level, fmt::Arguments<'_>)) {
        let broker = |index: usize| self.settings.brokers().get(index).copied().unwrap_or_default();
        match note {
            Note::Connected(index) => log(Level::Info, format_args!("message broker {}: connected", broker(index))),
            Note::Failed(index, trouble, pause) => log(
                Level::Warn,
                format_args!(
                    "message broker {} {}; next attempt in {} ms",
                    broker(index),
                    trouble.words(),
                    milliseconds(pause)
                ),
            ),
            Note::Known(state) => log(
                Level::Info,
                format_args!("the platform knows this member as {}", state.name()),
            ),
            Note::Reported(status) => log(Level::Info, format_args!("{} delivered", status.name())),
            Note::Resumed(status, is_heard) => log(
                Level::Info,
                format_args!(
                    "{}, under way when the connection ended, {}",
                    status.name(),
                    if is_heard { "had arrived" } else { "is sent on" }
                ),
            ),
            Note::LeftOut(event, why, more) => log(
                Level::Warn,
                format_args!("{event} left out: {why} ({more} more since the last such line)"),
            ),
            Note::TooManyMembers(count) => log(
                Level::Warn,
                format_args!("there are {count} more members than the 256 that the app is told of"),
            ),
            Note::EventsDropped => log(
                Level::Warn,
                format_args!("the app takes no events: the oldest ones are dropped"),
            ),
            Note::NotSubscribed(index) => log(
                Level::Error,
                format_args!(
                    "message broker {} lets this user not subscribe to every topic: see its access list",
                    broker(index)
                ),
            ),
        }
    }
}

impl fmt::Display for Broker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}:{}", self.host, self.port)
    }
}

impl Receiver for Stratos<'_> {
    fn packet(&mut self, packet: Packet) {
        match (self.phase, packet) {
            (Phase::Greeting(_), Packet::Accepted(has_session, code)) => self.greeted(has_session, code),
            (Phase::Up, Packet::Received(packet)) => self.received(packet),
            (Phase::Up, Packet::Complete(packet)) => self.complete(packet),
            (Phase::Up, Packet::Pong) => self.pong_until = None,
            (Phase::Up, Packet::Subscribed(true)) => self.notes.push(Note::NotSubscribed(self.broker)),
            (Phase::Up, Packet::Accepted(..)) | (Phase::Greeting(_), _) => self.fail(Trouble::Nonsense),
            _ => {}
        }
    }

    fn begin(&mut self, topic: &str, is_retained: bool) {
        self.inbox.begin(topic, is_retained);
    }

    fn payload(&mut self, bytes: &[u8]) {
        self.inbox.payload(bytes);
    }

    fn end(&mut self, acknowledge: Option<u16>) {
        if self.phase != Phase::Up {
            return self.inbox.interrupt();
        }
        if let Some(packet) = acknowledge {
            packet::acknowledge(&mut self.out, kind::PUBACK, packet);
        }
        let heard = self.inbox.end();
        let now = self.now;
        if let Some((event, fault)) = heard.fault {
            self.notes.fault(event, fault, now);
        }
        if let Some(event) = heard.stale {
            self.notes
                .left_out(event, "it is a retained message, so of the past", now);
        }
        if let Some(count) = heard.left_out {
            self.notes.push(Note::TooManyMembers(count));
        }
        if heard.has_dropped {
            self.notes.dropped();
        }
        if let Some(command) = heard.command {
            self.obey(command);
        }
        // What is on its way needs a topology; for what waits it is enough that the platform is there.
        let is_enough = heard.is_topology || heard.is_platform && self.outbox.in_flight.is_none();
        if self.gate.is_some() && is_enough {
            self.gate = None;
            self.deliver(heard.is_topology);
        }
    }
}

impl ControlPlane for Stratos<'_> {
    fn name(&self) -> &'static str {
        "stratos"
    }

    fn entered(&mut self, state: State, now: Duration) {
        (self.state, self.now) = (state, now);
        // Who was never known is not missed.
        if self.is_initialized
            && let Some(status) = Status::of(state)
        {
            self.outbox.push(status);
        }
        if state == State::ReadyToShutDown {
            self.hurry();
        }
        self.deliver(false);
    }

    fn command(&mut self, now: Duration) -> Option<Command> {
        self.now = now;
        self.tick();
        if core::mem::take(&mut self.initialize) {
            return Some(Command::Initialize);
        }
        core::mem::take(&mut self.stop).then_some(Command::Stop)
    }

    fn event(&self) -> Option<Event<&str>> {
        self.inbox.event()
    }

    fn event_taken(&mut self) {
        self.inbox.event_taken();
    }

    fn report(&mut self, log: &mut dyn FnMut(Level, fmt::Arguments<'_>)) {
        while let Some(note) = self.notes.pop() {
            self.log(note, log);
        }
    }

    fn wake(&self) -> Option<Duration> {
        match self.phase {
            Phase::Idle(until) | Phase::Reaching(until) | Phase::Greeting(until) | Phase::Parting(until) => Some(until),
            Phase::Over => None,
            Phase::Up => {
                let ask_at = self.gate.map(|_| self.ask_at);
                [self.pong_until, self.answer_until, self.gate, ask_at]
                    .into_iter()
                    .flatten()
                    .fold(Some(self.ping_at), |first, time| first.min(Some(time)))
            }
        }
    }

    fn is_heard(&self) -> bool {
        let is_parting = matches!(self.phase, Phase::Parting(_));
        let has_left = self.phase == Phase::Over || self.sessions == 0 && !is_parting;
        self.outbox.is_empty() && (has_left || !self.is_ending())
    }

    fn links(&self) -> usize {
        1
    }

    fn peer(&self, _link: usize) -> Option<Peer<'_>> {
        match self.phase {
            Phase::Idle(_) | Phase::Over => None,
            _ => {
                let Broker { host, port } = self.broker();
                Some(Peer { host, port })
            }
        }
    }

    fn connected(&mut self, _link: usize, up: bool, now: Duration) {
        self.now = now;
        match self.phase {
            Phase::Reaching(_) if up => self.greet(),
            Phase::Reaching(_) => self.fail(Trouble::Unreachable),
            Phase::Parting(_) => self.part(),
            Phase::Greeting(_) | Phase::Up if !up => self.fail(Trouble::Ended),
            _ => {}
        }
    }

    fn receive(&mut self, _link: usize, bytes: &[u8], now: Duration) {
        self.now = now;
        if !matches!(self.phase, Phase::Greeting(_) | Phase::Up | Phase::Parting(_)) {
            return;
        }
        let mut frames = core::mem::take(&mut self.frames);
        let outcome = frames.feed(bytes, self);
        self.frames = frames;
        if self.frames.is_inside() {
            // A large message keeps the answer back.
            let later = self.answer_time();
            for until in [&mut self.pong_until, &mut self.answer_until].into_iter().flatten() {
                *until = later;
            }
        }
        if outcome.is_err() && !matches!(self.phase, Phase::Idle(_) | Phase::Over) {
            self.fail(Trouble::Nonsense);
        }
    }

    fn to_send(&self, _link: usize) -> &[u8] {
        &self.out
    }

    fn sent(&mut self, _link: usize, count: usize, now: Duration) {
        self.now = now;
        self.out.drain(..count.min(self.out.len()));
    }
}

impl Stratos<'_> {
    /// The member is about to end: nothing may take long any more.
    fn hurry(&mut self) {
        let soon = self.now + HURRIED_ANSWER;
        for until in [&mut self.pong_until, &mut self.answer_until, &mut self.gate]
            .into_iter()
            .flatten()
        {
            *until = soon.min(*until);
        }
        match &mut self.phase {
            Phase::Idle(until) => *until = self.now,
            Phase::Reaching(until) | Phase::Greeting(until) => *until = soon.min(*until),
            Phase::Up | Phase::Parting(_) | Phase::Over => {}
        }
    }
}

#[cfg(test)]
#[path = "adapter_tests.rs"]
mod tests;
