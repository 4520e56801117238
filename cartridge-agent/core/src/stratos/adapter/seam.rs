//! The adapter as the machine and the driver see it, and as the broker's packets reach it.

use super::Publisher;
use super::{HURRIED_ANSWER, MESSAGE, Phase, Stratos};
use crate::control::{Command, ControlPlane, Event, Figures, Peer};
use crate::lifecycle::State;
use crate::log::Level;
use crate::stratos::frames::Receiver;
use crate::stratos::notes::{Note, Trouble};
use crate::stratos::packet::{Packet, kind};
use crate::stratos::settings::Broker;
use crate::stratos::status::Status;
use crate::text::Message;
use core::fmt::Write;
use core::time::Duration;

/// The connection to the message broker; the other one is that of the health statistics.
const BROKER: usize = 0;

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
            self.acknowledge(kind::PUBACK, packet);
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
        self.stop |= heard.is_stop;
        match heard.known_as {
            Some(state) => self.become_known(state),
            None if heard.is_topology && !self.is_initialized && !core::mem::replace(&mut self.is_waiting, true) => {
                self.notes.push(Note::Waiting(self.inbox.own_state));
            }
            None => {}
        }
        // What is on its way needs a topology; for what waits it is enough that the platform is there.
        let is_enough = heard.is_topology || heard.is_platform && self.outbox.in_flight.is_none();
        if self.gate.is_some() && is_enough && !self.waits_for_another_topology() {
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
        if let Some(health) = &mut self.health {
            match state {
                State::Active => health.begin(now),
                State::ReadyToShutDown => health.end(now),
                _ => {}
            }
        }
        if state == State::ReadyToShutDown {
            self.hurry();
        }
        self.deliver(false);
    }

    fn command(&mut self, now: Duration) -> Option<Command> {
        self.now = now;
        self.tick();
        if let Some(health) = &mut self.health {
            health.tick(now);
        }
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

    fn domain(&self, tenant: &str) -> Option<&str> {
        self.inbox.domain(tenant)
    }

    fn note(&mut self, text: &mut Message) -> Option<Level> {
        if let Some(note) = self.notes.pop() {
            return Some(note.write(&self.settings, text));
        }
        let note = self.health.as_mut()?.note()?;
        // A text takes what fits and never fails.
        let _ = write!(text, "{note}");
        Some(note.level())
    }

    fn wants_figures(&self, now: Duration) -> bool {
        self.health.as_ref().is_some_and(|health| health.wants_figures(now))
    }

    fn figures(&mut self, figures: Figures, now: Duration) {
        if let Some(health) = &mut self.health {
            health.figures(figures, now);
        }
    }

    fn wake(&self) -> Option<Duration> {
        let health = self.health.as_ref().and_then(Publisher::wake);
        [self.broker_wake(), health].into_iter().flatten().min()
    }

    fn is_heard(&self) -> bool {
        let is_parting = matches!(self.phase, Phase::Parting(_));
        let has_left = self.phase == Phase::Over || self.sessions == 0 && !is_parting;
        self.outbox.is_empty() && (has_left || !self.is_ending())
    }

    fn links(&self) -> usize {
        2
    }

    fn peer(&self, link: usize) -> Option<Peer<'_>> {
        match self.phase {
            _ if link != BROKER => self.health.as_ref()?.peer(),
            Phase::Idle(_) | Phase::Over => None,
            _ => {
                let Broker { host, port } = self.broker();
                Some(Peer { host, port })
            }
        }
    }

    fn connected(&mut self, link: usize, up: bool, now: Duration) {
        self.now = now;
        match (link, &mut self.health) {
            (BROKER, _) => self.broker_connected(up),
            (_, Some(health)) => health.connected(up, now),
            _ => {}
        }
    }

    fn receive(&mut self, link: usize, bytes: &[u8], now: Duration) {
        self.now = now;
        match (link, &mut self.health) {
            (BROKER, _) => self.broker_receive(bytes),
            (_, Some(health)) => health.receive(bytes, now),
            _ => {}
        }
    }

    fn to_send(&self, link: usize) -> &[u8] {
        match (link, &self.health) {
            (BROKER, _) => &self.out,
            (_, Some(health)) => health.to_send(),
            _ => &[],
        }
    }

    fn sent(&mut self, link: usize, count: usize, now: Duration) {
        self.now = now;
        match (link, &mut self.health) {
            (BROKER, _) => drop(self.out.drain(..count.min(self.out.len()))),
            (_, Some(health)) => health.sent(count, now),
            _ => {}
        }
    }
}

impl Stratos<'_> {
    /// When there is something to do for the broker's sake.
    fn broker_wake(&self) -> Option<Duration> {
        match self.phase {
            Phase::Idle(until) | Phase::Reaching(until) | Phase::Greeting(until) | Phase::Parting(until) => Some(until),
            Phase::Over => None,
            Phase::Up => {
                let ask_at = self.gate.map(|_| self.ask_at);
                let times = [
                    Some(self.ping_at),
                    self.pong_until,
                    self.answer_until,
                    self.gate,
                    ask_at,
                ];
                times.into_iter().flatten().min()
            }
        }
    }

    fn broker_connected(&mut self, up: bool) {
        match self.phase {
            Phase::Reaching(_) if up => self.greet(),
            Phase::Reaching(_) => self.fail(Trouble::Unreachable),
            Phase::Parting(_) => self.part(),
            Phase::Greeting(_) | Phase::Up if !up => self.fail(Trouble::Ended),
            _ => {}
        }
    }

    fn broker_receive(&mut self, bytes: &[u8]) {
        if !matches!(self.phase, Phase::Greeting(_) | Phase::Up | Phase::Parting(_)) {
            return;
        }
        let mut frames = core::mem::take(&mut self.frames);
        let outcome = frames.feed(bytes, self);
        self.frames = frames;
        if !self.frames.is_inside() {
            self.message_since = None;
        } else if self.now.saturating_sub(*self.message_since.get_or_insert(self.now)) < MESSAGE {
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

    /// The platform knows this member.
    fn become_known(&mut self, state: State) {
        if !self.is_initialized {
            (self.is_initialized, self.initialize, self.known_as) = (true, true, state);
            self.notes.push(Note::Known(state));
            self.ask_for_the_rest();
        }
    }

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
