//! What the adapter has for the log: few lines, whatever the broker does.

use super::json_stream::Fault;
use super::settings::Settings;
use super::status::Status;
use crate::lifecycle::State;
use crate::log::Level;
use crate::machine::milliseconds;
use crate::text::Message;
use alloc::collections::VecDeque;
use core::fmt::Write;
use core::time::Duration;

/// Lines that wait at most.
const LIMIT: usize = 16;

/// Events that are left out are told of at most this often: whoever can publish can publish much.
const PAUSE: Duration = Duration::from_secs(10);

/// Why a connection is of no use, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It could not be made.
    Unreachable,
    /// It ended.
    Ended,
    /// The broker has not answered in time.
    Silent,
    /// The broker said what MQTT 3.1.1 does not let it say.
    Nonsense,
    /// CONNACK with this return code.
    Refused(u8),
}

impl Trouble {
    /// True for what only a person can change: said once is enough. Of the others each says that it still lasts.
    pub const fn lasts(self) -> bool {
        matches!(self, Trouble::Refused(_) | Trouble::Nonsense)
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Trouble::Unreachable => "cannot be reached",
            Trouble::Ended => "has ended the connection",
            Trouble::Silent => "does not answer",
            Trouble::Nonsense => "does not speak MQTT 3.1.1",
            // Return codes: MQTT 3.1.1 section 3.2.2.3.
            Trouble::Refused(1) => "does not take MQTT 3.1.1",
            Trouble::Refused(2) => "refuses MEMBER_ID as client identifier",
            Trouble::Refused(3) => "is not available",
            Trouble::Refused(4) => "refuses the user name or password (mb.username, mb.password)",
            Trouble::Refused(5) => "does not let this user in (mb.username, mb.password)",
            Trouble::Refused(_) => "refuses the connection",
        }
    }
}

/// A line for the log. Brokers are named by their position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// There is a session with this broker.
    Connected(usize),
    /// This broker is of no use now; how long until the next is tried, and whether that was told before.
    Failed(usize, Trouble, Duration, bool),
    /// The platform's topology has this member in this state, or not at all; it waits to be initialized.
    Waiting(Option<State>),
    /// The platform knows this member, in this state.
    Known(State),
    /// This event has arrived.
    Reported(Status),
    /// This event was on its way when the connection ended; whether it had arrived.
    Resumed(Status, bool),
    /// This event was left out, and so many more before it that were not told of.
    LeftOut(&'static str, &'static str, u32),
    /// So many members more than there is room for.
    TooManyMembers(u32),
    /// The app takes no events; the oldest went.
    EventsDropped,
    /// The broker refuses a subscription.
    NotSubscribed(usize),
}

/// The lines that wait.
#[derive(Default)]
pub struct Notes {
    waiting: VecDeque<Note>,
    /// When an event that is left out may be told of again.
    quiet_until: Duration,
    /// Events left out meanwhile.
    untold: u32,
    has_dropped: bool,
}

impl Notes {
    /// Adds a line, unless too many wait.
    pub fn push(&mut self, note: Note) {
        if self.waiting.len() < LIMIT {
            self.waiting.push_back(note);
        }
    }

    /// The next line.
    pub fn pop(&mut self) -> Option<Note> {
        self.waiting.pop_front()
    }

    /// An event was left out for this fault.
    pub fn fault(&mut self, event: &'static str, fault: Fault, now: Duration) {
        self.left_out(event, fault.words(), now);
    }

    /// An event was left out.
    pub fn left_out(&mut self, event: &'static str, why: &'static str, now: Duration) {
        if now < self.quiet_until {
            self.untold += 1;
            return;
        }
        let untold = core::mem::take(&mut self.untold);
        self.push(Note::LeftOut(event, why, untold));
        self.quiet_until = now + PAUSE;
    }

    /// Events for the app had to go; told of once.
    pub fn dropped(&mut self) {
        if !core::mem::replace(&mut self.has_dropped, true) {
            self.push(Note::EventsDropped);
        }
    }
}

impl Note {
    /// Writes the line to `text`; gives its level.
    pub fn write(self, settings: &Settings<'_>, text: &mut Message) -> Level {
        let broker = |index: usize| settings.brokers().get(index).copied().unwrap_or_default();
        // A text takes what fits and never fails.
        let _ = match self {
            Note::Connected(index) => write!(text, "message broker {}: connected", broker(index)),
            Note::Failed(index, trouble, pause, _) => write!(
                text,
                "message broker {} {}; next attempt in {} ms",
                broker(index),
                trouble.words(),
                milliseconds(pause)
            ),
            Note::Waiting(state) => write!(
                text,
                "waiting for MemberInitializedEvent: the topology has this member as {}",
                state.map_or("unknown", State::name)
            ),
            Note::Known(state) => write!(text, "the platform knows this member as {}", state.name()),
            Note::Reported(status) => write!(text, "{} delivered", status.name()),
            Note::Resumed(status, is_heard) => write!(
                text,
                "{}, under way when the connection ended, {}",
                status.name(),
                if is_heard { "had arrived" } else { "is sent on" }
            ),
            Note::LeftOut(event, why, more) => {
                write!(text, "{event} left out: {why} ({more} more since the last such line)")
            }
            Note::TooManyMembers(count) => {
                write!(
                    text,
                    "there are {count} more members than the 256 that the app is told of"
                )
            }
            Note::EventsDropped => text.write_str("the app takes no events: the oldest ones are dropped"),
            Note::NotSubscribed(index) => write!(
                text,
                "message broker {} does not let this user subscribe to every topic: see its access list",
                broker(index)
            ),
        };
        match self {
            Note::Connected(_) | Note::Waiting(_) | Note::Known(_) | Note::Reported(_) | Note::Resumed(..) => {
                Level::Info
            }
            Note::Failed(.., true) => Level::Debug,
            Note::NotSubscribed(_) | Note::Failed(_, Trouble::Refused(_) | Trouble::Nonsense, ..) => Level::Error,
            _ => Level::Warn,
        }
    }
}
