//! One connection: a buffer of fixed size, and deadlines that a slow client cannot move.

use super::request::{Request, parse};
use super::response::Status;
use core::time::Duration;

/// The longest request head in bytes.
pub const HEAD_LIMIT: usize = 4096;

/// The longest request body in bytes.
pub const BODY_LIMIT: usize = 1024;

/// How long a client may take over one request, from its first byte to its last.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may be silent between requests.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// One connection's input.
pub struct Session {
    buffer: [u8; HEAD_LIMIT + BODY_LIMIT],
    length: usize,
    /// Bytes known to hold no end of a head.
    searched: usize,
    /// The length of the request given last.
    taken: usize,
    deadline: Duration,
    in_request: bool,
    said_continue: bool,
}

/// What to do with a connection.
pub enum Step<'a> {
    /// Read into [`Session::room`] until this time; then [`Session::received`] or [`Session::timed_out`].
    Read(Duration),
    /// Answer this request; then [`Session::answered`].
    Answer(Request<'a>),
    /// Write `100 Continue`: the client waits for it before it sends the body.
    Continue,
    /// Answer with this status and close.
    Refuse(Status),
}

impl Session {
    /// A connection made at `now`.
    pub fn new(now: Duration) -> Self {
        Self {
            buffer: [0; HEAD_LIMIT + BODY_LIMIT],
            length: 0,
            searched: 0,
            taken: 0,
            deadline: now + HEAD_TIMEOUT,
            in_request: false,
            said_continue: false,
        }
    }

    /// Where to put bytes that come; never empty when [`Session::step`] says to read.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.length..]
    }

    /// `count` bytes were put in [`Session::room`] at `now`.
    pub fn received(&mut self, count: usize, now: Duration) {
        self.length = (self.length + count).min(self.buffer.len());
        self.begin_request(now);
    }

    /// The deadline passed: the answer to give before closing, or `None` if the client sent nothing of a request.
    pub fn timed_out(&self) -> Option<Status> {
        self.in_request.then_some(Status::RequestTimeout)
    }

    /// The request given last was answered at `now`; what follows it in the buffer is the next.
    #[inline(never)]
    pub fn answered(&mut self, now: Duration) {
        self.buffer.copy_within(self.taken..self.length, 0);
        self.length -= self.taken;
        (self.taken, self.searched) = (0, 0);
        (self.in_request, self.said_continue) = (false, false);
        self.deadline = now + IDLE_TIMEOUT;
        self.begin_request(now);
    }

    /// What to do now.
    #[inline(never)]
    pub fn step(&mut self) -> Step<'_> {
        if !self.has_head() {
            let full = self.length >= HEAD_LIMIT;
            return if full {
                Step::Refuse(Status::HeadTooLarge)
            } else {
                Step::Read(self.deadline)
            };
        }
        let head = match parse(&self.buffer[..self.length]) {
            Err(status) => return Step::Refuse(status),
            Ok(head) => head,
        };
        let whole = head.head_length + head.body_length;
        if self.length < whole {
            if head.expects_continue && !core::mem::replace(&mut self.said_continue, true) {
                return Step::Continue;
            }
            return Step::Read(self.deadline);
        }
        self.taken = whole;
        Step::Answer(Request {
            body: &self.buffer[head.head_length..whole],
            ..head.request
        })
    }

    /// The first byte of a request sets its deadline.
    fn begin_request(&mut self, now: Duration) {
        if self.length > 0 && !self.in_request {
            self.in_request = true;
            self.deadline = now + HEAD_TIMEOUT;
        }
    }

    /// True if the buffer has the empty line that ends a head. Searches each byte once, however slowly they come.
    #[inline(never)]
    fn has_head(&mut self) -> bool {
        self.skip_empty_lines();
        // What ends later is too large, however much of it has come.
        let end = self.length.min(HEAD_LIMIT);
        let from = self.searched.saturating_sub(3);
        let input = &self.buffer[from..end];
        let found = input.windows(2).any(|pair| pair == b"\n\n") || input.windows(3).any(|triple| triple == b"\n\r\n");
        if !found {
            self.searched = end;
        }
        found
    }

    /// Line ends before a request line do not count (RFC 9112 section 2.2).
    fn skip_empty_lines(&mut self) {
        let empty = self.buffer[..self.length]
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        if empty > 0 {
            self.buffer.copy_within(empty..self.length, 0);
            self.length -= empty;
            self.searched = 0;
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
