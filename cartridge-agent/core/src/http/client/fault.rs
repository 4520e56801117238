//! Why there is no answer.

use core::fmt;

/// Why a request has no answer, or none that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The address or a field cannot be written into a request.
    BadRequest,
    /// The host's name has no address.
    NoName,
    /// Nobody listens at that address.
    Refused,
    /// No connection: no route, no memory, or the network is down.
    Unreachable,
    /// No answer, or not all of it, in time.
    TimedOut,
    /// The connection ended before the answer did.
    CutOff,
    /// What came is no HTTP/1.x answer.
    Malformed,
    /// The head of the answer is larger than [`super::FIELDS_LIMIT`], or a line of it that counts longer than [`super::LINE_LIMIT`].
    HeadTooLarge,
    /// The body is larger than the caller takes.
    BodyTooLarge,
    /// Redirected to another host, or in a form that is not followed.
    RedirectedAway,
    /// Redirected more often than [`super::REDIRECT_LIMIT`].
    RedirectLoop,
    /// The caller did not want the rest.
    NotWanted,
}

impl Fault {
    /// What it is, in words.
    pub const fn text(self) -> &'static str {
        match self {
            Fault::BadRequest => "the address has a blank or a control byte in it",
            Fault::NoName => "the host's name has no address",
            Fault::Refused => "connection refused",
            Fault::Unreachable => "no connection (no route, or the network is down)",
            Fault::TimedOut => "no whole answer in time",
            Fault::CutOff => "the answer was cut off",
            Fault::Malformed => "the answer is not HTTP",
            Fault::HeadTooLarge => "the head of the answer is too large",
            Fault::BodyTooLarge => "the answer is too large",
            Fault::RedirectedAway => "redirected to another host",
            Fault::RedirectLoop => "redirected too often",
            Fault::NotWanted => "given up",
        }
    }

    /// True if the same request may have an answer later: the server or the way to it is not up, or was slow.
    pub const fn may_pass(self) -> bool {
        matches!(
            self,
            Fault::NoName | Fault::Refused | Fault::Unreachable | Fault::TimedOut | Fault::CutOff
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
