//! The publisher of health statistics as a state machine: bytes and time in, bytes and the wish for a connection out.
//!
//! Its owner gives it the connection that [`Publisher::peer`] asks for, calls [`Publisher::tick`] at [`Publisher::wake`] and
//! whenever something happened, and [`Publisher::figures`] when [`Publisher::wants_figures`]. One call is asked at a time.
//! Figures that could not be told are not kept for later: after an outage new ones are asked for at once.

use super::databridge::{self, Answer, Call, Event, STREAM};
use super::settings::Settings;
use super::thrift::{Reader, TEXT_LIMIT};
use crate::control::{Figures, Peer};
use crate::log::Level;
use core::fmt;
use core::time::Duration;

/// For a connection: the driver gives up by itself, after 10 s for each address of a name.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// For an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The longest pause after all receivers failed: a member that is silent for 60 s is replaced.
const LONGEST_PAUSE: u32 = 15;

/// The pause after a refusal, which nobody but an operator can end, in seconds.
const REFUSED_PAUSE: u32 = 60;

/// A call fits: its words, a session, a stream, and six texts of the settings, or the definition of the stream.
const CALL_LIMIT: usize = 2048;

/// What the two events of each interval are called, in their order.
const DESCRIPTIONS: [&str; 2] = ["memory_consumption", "load_average"];

/// Publishes to one of its receivers.
pub struct Publisher<'a> {
    settings: Settings<'a>,
    phase: Phase,
    /// The receiver in use or to be tried next.
    receiver: usize,
    /// Attempts that failed since figures were told.
    failures: u32,
    random: u32,
    session: Id,
    stream: Id,
    output: [u8; CALL_LIMIT],
    /// Of `output`: how much there is, and how much of it was sent.
    length: usize,
    sent: usize,
    sequence: u32,
    reader: Reader,
    /// When figures are to be told.
    due: Duration,
    /// The figures being told.
    figures: Option<Figures>,
    /// Which of the two events is next.
    event: usize,
    /// The session ended with these figures untold, and there is a new one.
    is_renewed: bool,
    is_ending: bool,
    /// What to log, of which receiver; and what was logged since figures were told, a bit each.
    note: Option<(What, usize)>,
    told: u16,
}

/// When not told otherwise, times are those at which it ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not begun, or over.
    Off,
    /// Without a connection.
    Paused(Duration),
    Connecting(Duration),
    /// Waiting for an answer.
    Asked(Call, Duration),
    /// Logged in, with nothing to do before `due`.
    Ready,
}

/// An identifier that a receiver gave.
struct Id {
    bytes: [u8; TEXT_LIMIT],
    length: usize,
}

impl Id {
    const NONE: Id = Id {
        bytes: [0; TEXT_LIMIT],
        length: 0,
    };

    fn get(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Takes the answer's text; false if it is none that can be given back.
    #[inline(never)]
    fn take(&mut self, reader: &Reader) -> bool {
        let text = reader.text();
        self.length = text.len();
        for (to, from) in self.bytes.iter_mut().zip(text) {
            *to = *from;
        }
        !text.is_empty() && !reader.is_cut()
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Publishing,
    Unreachable,
    Lost,
    Silent,
    Malformed,
    Forgetful,
    NoLogin,
    WrongPassword,
    WrongDefinition,
    Refused,
}

/// A line for the log.
#[derive(Debug)]
pub struct Note<'p> {
    what: What,
    receiver: Peer<'p>,
    said: &'p [u8],
}

impl Note<'_> {
    /// How much it matters.
    pub fn level(&self) -> Level {
        match self.what {
            What::Publishing => Level::Info,
            What::NoLogin | What::WrongPassword | What::WrongDefinition | What::Refused => Level::Error,
            _ => Level::Warn,
        }
    }
}

impl fmt::Display for Note<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::Publishing => "they are taken",
            What::Unreachable => "no connection; trying again",
            What::Lost => "the connection ended before an answer; trying again",
            What::Silent => "no answer within 10 s; trying again",
            What::Malformed => "what it answers is not Thrift; check that this is the databridge's plain port",
            What::Forgetful => "it ends each session at once; trying again",
            What::NoLogin => {
                "it takes no log-in on this port, and its TLS port is out of reach: this agent has no TLS there"
            }
            What::WrongPassword => {
                "it refuses the log-in; check thrift.server.admin.username and thrift.server.admin.password"
            }
            What::WrongDefinition => "it refuses the definition of the stream",
            What::Refused => "it refuses a call",
        };
        let Peer { host, port } = self.receiver;
        write!(f, "health statistics for {host} port {port}: {what}")?;
        if let Ok(said) = core::str::from_utf8(self.said)
            && !said.is_empty()
        {
            write!(f, "; it says: {said}")?;
        }
        Ok(())
    }
}

impl<'a> Publisher<'a> {
    /// A publisher that has not begun. Members with other seeds pause for other times.
    pub fn new(settings: Settings<'a>, seed: u32) -> Self {
        Publisher {
            settings,
            phase: Phase::Off,
            receiver: 0,
            failures: 0,
            random: seed | 1,
            session: Id::NONE,
            stream: Id::NONE,
            output: [0; CALL_LIMIT],
            length: 0,
            sent: 0,
            sequence: 0,
            reader: Reader::new(),
            due: Duration::ZERO,
            figures: None,
            event: 0,
            is_renewed: false,
            is_ending: false,
            note: None,
            told: 0,
        }
    }

    /// The member is Active: publishes from now on, first at once. Later calls have no effect.
    pub fn begin(&mut self, now: Duration) {
        if self.phase == Phase::Off && !self.is_ending {
            self.phase = Phase::Paused(now);
            self.due = now;
        }
    }

    /// The member is about to end: ends the session, if there is one, and does nothing more.
    pub fn end(&mut self, now: Duration) {
        self.is_ending = true;
        match self.phase {
            Phase::Ready => self.ask(Call::Disconnect, now),
            Phase::Paused(_) | Phase::Connecting(_) => self.phase = Phase::Off,
            Phase::Off | Phase::Asked(..) => {}
        }
    }

    /// True when nothing is left to do after [`Publisher::end`].
    pub fn is_over(&self) -> bool {
        self.is_ending && self.phase == Phase::Off
    }

    /// The receiver to be connected to now.
    pub fn peer(&self) -> Option<Peer<'_>> {
        match self.phase {
            Phase::Off | Phase::Paused(_) => None,
            _ => self.settings.receivers().get(self.receiver).copied(),
        }
    }

    /// The connection was made, or it failed or ended.
    pub fn connected(&mut self, up: bool, now: Duration) {
        match self.phase {
            Phase::Connecting(_) if up => self.ask(Call::Connect, now),
            Phase::Connecting(_) => self.fail(What::Unreachable, now),
            Phase::Asked(..) if !up => self.fail(What::Lost, now),
            // Receivers may close what is idle: that is worth no line.
            Phase::Ready if !up => self.pause(false, now),
            _ => {}
        }
    }

    /// Bytes that came.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) {
        match self.phase {
            Phase::Asked(..) => match self.reader.take(bytes) {
                Ok(true) => self.answered(now),
                Ok(false) => {}
                Err(_) => self.fail(What::Malformed, now),
            },
            Phase::Ready => self.fail(What::Malformed, now),
            _ => {}
        }
    }

    /// What there is to send, while the connection is up.
    pub fn to_send(&self) -> &[u8] {
        self.output.get(self.sent..self.length).unwrap_or_default()
    }

    /// The first `count` bytes of [`Publisher::to_send`] were sent.
    pub fn sent(&mut self, count: usize, now: Duration) {
        self.sent = self.sent.saturating_add(count).min(self.length);
        if matches!(self.phase, Phase::Asked(..)) && self.reader.is_complete() {
            self.answered(now);
        }
    }

    /// When to call [`Publisher::tick`], or [`Publisher::figures`] if they are wanted, although nothing happened.
    pub fn wake(&self) -> Option<Duration> {
        match self.phase {
            Phase::Off => None,
            Phase::Paused(until) | Phase::Connecting(until) | Phase::Asked(_, until) => Some(until),
            Phase::Ready => Some(self.due),
        }
    }

    /// Ends what has lasted long enough.
    pub fn tick(&mut self, now: Duration) {
        match self.phase {
            Phase::Paused(until) if now >= until => self.phase = Phase::Connecting(now.saturating_add(CONNECT_LIMIT)),
            Phase::Connecting(until) if now >= until => self.fail(What::Unreachable, now),
            Phase::Asked(_, until) if now >= until => self.fail(What::Silent, now),
            _ => {}
        }
    }

    /// True if figures are to be told now.
    pub fn wants_figures(&self, now: Duration) -> bool {
        self.phase == Phase::Ready && now >= self.due
    }

    /// The figures that were wanted.
    pub fn figures(&mut self, figures: Figures, now: Duration) {
        if self.wants_figures(now) {
            let interval = self.settings.interval;
            self.due = self.due.saturating_add(interval);
            // After an outage the interval begins anew.
            if self.due <= now {
                self.due = now.saturating_add(interval);
            }
            self.figures = Some(figures);
            self.event = 0;
            self.ask(Call::Publish, now);
        }
    }

    /// The next line to log.
    pub fn note(&mut self) -> Option<Note<'_>> {
        let (what, receiver) = self.note.take()?;
        // The answer that led to the pause; later ones have other things in them, a session say.
        let said = match (what, self.phase) {
            (What::WrongDefinition | What::Refused, Phase::Paused(_) | Phase::Connecting(_)) => self.reader.text(),
            _ => &[],
        };
        let receiver = *self.settings.receivers().get(receiver)?;
        Some(Note { what, receiver, said })
    }

    /// Logs each thing once until figures are told again.
    fn tell(&mut self, what: What) {
        let bit = 1 << what as u16;
        if what == What::Publishing {
            // Said first, and after anything else.
            if self.told == bit {
                return;
            }
            self.told = 0;
        }
        if self.told & bit == 0 {
            self.told |= bit;
            self.note = Some((what, self.receiver));
        }
    }

    #[inline(never)]
    fn ask(&mut self, call: Call, now: Duration) {
        self.sequence = self.sequence.wrapping_add(1);
        let (settings, session) = (&self.settings, self.session.get());
        let texts: [&[u8]; 2] = match call {
            Call::Connect => [settings.user.as_bytes(), settings.password.as_bytes()],
            _ => [session, STREAM.as_bytes()],
        };
        let length = match (call, &self.figures) {
            (Call::Publish, Some(figures)) => {
                let event = Event {
                    session,
                    stream: self.stream.get(),
                    unix_ms: figures.unix_ms,
                    member: settings.member,
                    description: DESCRIPTIONS[self.event & 1],
                    value: value(figures, self.event),
                };
                databridge::publish(&mut self.output, self.sequence, &event)
            }
            (Call::Disconnect, _) => databridge::call(&mut self.output, call, self.sequence, &texts[..1]),
            _ => databridge::call(&mut self.output, call, self.sequence, &texts),
        };
        // It always fits, as the settings' texts and the identifiers are bounded.
        (self.sent, self.length) = (0, length.unwrap_or_default());
        self.reader = Reader::new();
        self.phase = Phase::Asked(call, now.saturating_add(ANSWER_LIMIT));
    }

    /// Acts on a complete answer, once the call itself was sent to its end: the driver may say so later.
    fn answered(&mut self, now: Duration) {
        let Phase::Asked(call, _) = self.phase else { return };
        if self.sent < self.length {
            return;
        }
        if self.reader.sequence() != self.sequence {
            return self.fail(What::Malformed, now);
        }
        let what = match call.answer(self.reader.outcome()) {
            Answer::Done => return self.done(call, now),
            Answer::NoSession if !self.is_renewed => {
                self.is_renewed = true;
                return self.ask(Call::Connect, now);
            }
            Answer::NoSession => What::Forgetful,
            Answer::NoLogin => What::NoLogin,
            Answer::WrongPassword => What::WrongPassword,
            Answer::WrongDefinition => What::WrongDefinition,
            Answer::Refused => What::Refused,
        };
        self.fail(what, now);
    }

    fn done(&mut self, call: Call, now: Duration) {
        let next = match call {
            Call::Connect if self.session.take(&self.reader) => Some(Call::DefineStream),
            Call::DefineStream if self.stream.take(&self.reader) => self.figures.map(|_| Call::Publish),
            Call::Connect | Call::DefineStream => return self.fail(What::Malformed, now),
            Call::Publish if self.event == 0 => {
                self.event = 1;
                Some(Call::Publish)
            }
            Call::Publish => {
                (self.figures, self.is_renewed, self.failures) = (None, false, 0);
                self.tell(What::Publishing);
                None
            }
            Call::Disconnect => {
                self.phase = Phase::Off;
                return;
            }
        };
        match next {
            _ if self.is_ending => self.ask(Call::Disconnect, now),
            Some(call) => self.ask(call, now),
            None => self.phase = Phase::Ready,
        }
    }

    #[inline(never)]
    fn fail(&mut self, what: What, now: Duration) {
        self.tell(what);
        let is_refusal = matches!(
            what,
            What::NoLogin | What::WrongPassword | What::WrongDefinition | What::Refused
        );
        self.pause(is_refusal, now);
    }

    /// Goes without a connection: until the next receiver is tried, at once, or for a while when all of them failed.
    #[inline(never)]
    fn pause(&mut self, is_refusal: bool, now: Duration) {
        (self.sent, self.length, self.is_renewed) = (0, 0, false);
        if self.figures.take().is_some() {
            self.due = now;
        }
        if self.is_ending {
            self.phase = Phase::Off;
            return;
        }
        let count = self.settings.receivers().len() as u32;
        self.failures = self.failures.saturating_add(1);
        self.receiver = (self.receiver + 1) % count.max(1) as usize;
        let rounds = self.failures / count.max(1);
        let seconds = match self.failures % count.max(1) {
            0 if is_refusal => REFUSED_PAUSE,
            0 => LONGEST_PAUSE.min(1 << (rounds - 1).min(4)),
            _ => 0,
        };
        // Half of it and up to as much again.
        let half = seconds * 500;
        let pause = half + self.random() % (half + 1);
        self.phase = Phase::Paused(now.saturating_add(Duration::from_millis(pause.into())));
    }

    /// Marsaglia's xorshift: fine for spreading members apart.
    fn random(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random
    }
}

/// Per cent: of the memory, how much is used; of the processors, the load.
fn value(figures: &Figures, event: usize) -> f64 {
    let (part, whole) = match event {
        0 => (
            figures.memory_used_bytes as f64 * 100.0,
            figures.memory_total_bytes as f64,
        ),
        _ => (f64::from(figures.load_hundredths), f64::from(figures.processors)),
    };
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
#[path = "publisher_tests.rs"]
mod tests;
