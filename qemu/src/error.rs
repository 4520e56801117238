//! What can go wrong with a guest, told so that a user can act and repeat it by hand.

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// Why, without the circumstances.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    #[error("{program} is not installed; {hint}")]
    Missing { program: String, hint: String },
    #[error("{0}")]
    Setting(String),
    #[error("cannot {what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("QEMU ended ({how}) while waiting for {waiting_for}")]
    Ended { waiting_for: String, how: String },
    #[error("the machine stopped ({state}) while waiting for {waiting_for}")]
    Halted { waiting_for: String, state: String },
    #[error("no {waiting_for} within {} ms", after.as_millis())]
    Deadline { waiting_for: String, after: Duration },
    #[error("interrupted while waiting for {waiting_for}")]
    Interrupted { waiting_for: String },
    #[error("QEMU refused the QMP command {command}: {answer}")]
    Qmp { command: String, answer: String },
    #[error("{program} failed: {output}")]
    Tool { program: String, output: String },
}

impl Reason {
    /// What to do, where the words of the reason do not say it themselves.
    fn next(&self) -> Option<&'static str> {
        match self {
            Reason::Missing { .. } | Reason::Setting(_) | Reason::Interrupted { .. } => None,
            Reason::Io { source, .. } => Some(match source.kind() {
                io::ErrorKind::NotFound => "check the path",
                io::ErrorKind::PermissionDenied => "give yourself access to it",
                _ => "look at what the system says above, and try again",
            }),
            Reason::Ended { .. } => Some("what it said and the console's last lines tell why"),
            Reason::Halted { .. } => Some("try --accel tcg"),
            Reason::Deadline { .. } => Some("see how far the console came; a busy host may only need more time"),
            Reason::Qmp { .. } => Some("see whether this QEMU is 7 or newer: qemu-system-x86_64 --version"),
            Reason::Tool { .. } => Some("mend what it says above, and try again"),
        }
    }
}

/// A failure with its circumstances: the exact shell command, QEMU's own messages, the console's last lines.
#[derive(Debug)]
pub struct Error(pub(crate) Box<Details>);

/// What an [`Error`] holds.
#[derive(Debug)]
pub struct Details {
    pub reason: Reason,
    /// The shell command that starts the same guest, once one was composed.
    pub command: Option<String>,
    /// What QEMU itself wrote on standard error.
    pub said: String,
    /// The last lines of the guest's console.
    pub console: Vec<String>,
    /// What to do, where more is known than the reason tells.
    pub next: Option<String>,
}

impl Error {
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Error {
        Reason::Io {
            what: what.into(),
            source,
        }
        .into()
    }

    pub(crate) fn setting(text: impl Into<String>) -> Error {
        Reason::Setting(text.into()).into()
    }

    pub(crate) fn with_command(mut self, command: &str) -> Error {
        self.command.get_or_insert_with(|| command.to_owned());
        self
    }

    /// Whether a wait ran into its limit (as against QEMU ending, or an interruption).
    pub fn is_deadline(&self) -> bool {
        matches!(self.reason, Reason::Deadline { .. })
    }

    pub fn is_interrupted(&self) -> bool {
        matches!(self.reason, Reason::Interrupted { .. })
    }
}

impl Deref for Error {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl DerefMut for Error {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

impl From<Details> for Error {
    fn from(details: Details) -> Error {
        Error(Box::new(details))
    }
}

impl From<Reason> for Error {
    fn from(reason: Reason) -> Error {
        Details {
            reason,
            command: None,
            said: String::new(),
            console: Vec::new(),
            next: None,
        }
        .into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        for line in self.said.lines() {
            write!(f, "\n  QEMU said: {line}")?;
        }
        if !self.console.is_empty() {
            write!(f, "\n  the console's last lines:")?;
            for line in &self.console {
                write!(f, "\n    {line}")?;
            }
        }
        if let Some(next) = self.next.as_deref().or(self.reason.next()) {
            write!(f, "\n  next: {next}")?;
        }
        if let Some(command) = &self.command {
            write!(f, "\n  to repeat: {command}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            Reason::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
