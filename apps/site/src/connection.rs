//! One connection: requests in, answers out, until one side has had enough.

use crate::answer::Site;
use crate::gate::Pass;
use crate::paced::Paced;
use crate::request::{self, Framing, Method, Parsed, Request};
use crate::response::{After, Response};
use crate::status::Status;
use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// How long a request may take from its first byte to the end of its head, and again for its body.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Most bytes of a request body read and thrown away to keep the connection.
const MAX_BODY: u64 = 64 * 1024;
/// After a refusal, how long and how much more is read, so that the answer arrives before a reset can discard it.
const LINGER_LIMIT: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

/// Serves one client. An error only means that the connection broke, which needs no report.
pub fn serve(pass: &Pass, site: &Site) -> io::Result<()> {
    let stream = pass.stream();
    stream.set_nodelay(true)?;
    let mut input = Input {
        stream,
        bytes: Vec::new(),
        limit: None,
    };
    loop {
        match input.next(pass.idle_limit())? {
            Next::Ended => return Ok(()),
            Next::Refused(status) => {
                Response::plain(status).send(&mut Paced::new(stream), false, After::Close)?;
                return linger(stream, LINGER_LIMIT);
            }
            Next::Request(request) => {
                if !answer(&request, &mut input, pass, site)? {
                    return Ok(());
                }
            }
        }
    }
}

/// Answers one request and says whether the connection goes on.
fn answer(request: &Request, input: &mut Input, pass: &Pass, site: &Site) -> io::Result<bool> {
    let stream = input.stream;
    let unread = match request.framing {
        Framing::Length(0) => false,
        Framing::Length(length) if length <= MAX_BODY && !request.expects_continue => {
            input.discard(length)?;
            false
        }
        _ => true,
    };
    let response = match request.framing {
        Framing::Length(length) if length > MAX_BODY => Response::plain(Status::ContentTooLarge),
        _ => site.answer(request),
    };
    let after = match request.keep_alive && !unread && !pass.stopping() {
        true if request.http10 => After::KeepOpenHttp10,
        true => After::KeepOpen,
        false => After::Close,
    };
    response.send(&mut Paced::new(stream), request.method == Method::Head, after)?;
    if unread {
        linger(stream, LINGER_LIMIT)?;
    }
    Ok(after != After::Close)
}

/// Lets the last answer arrive: ends our side, then reads on for a moment.
pub fn linger(mut stream: &TcpStream, limit: Duration) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(limit))?;
    let (end, mut taken, mut chunk) = (Instant::now() + limit, 0, [0; 1024]);
    while taken < LINGER_BYTES && Instant::now() < end {
        match stream.read(&mut chunk)? {
            0 => break,
            n => taken += n,
        }
    }
    Ok(())
}

/// What came from the client and is not used yet.
struct Input<'a> {
    stream: &'a TcpStream,
    bytes: Vec<u8>,
    /// The read time-out in force.
    limit: Option<Duration>,
}

enum Next {
    Request(Box<Request>),
    /// The bytes are no request we serve; this is the answer to give before closing.
    Refused(Status),
    /// The client has gone, or was silent for too long, or the server stops.
    Ended,
}

impl Input<'_> {
    /// The next request. Between requests a client may be silent for `idle`; a request once begun has REQUEST_LIMIT.
    fn next(&mut self, idle: Duration) -> io::Result<Next> {
        let mut begun = (!self.bytes.is_empty()).then(Instant::now);
        loop {
            match request::parse(&self.bytes) {
                Parsed::Complete(request, used) => {
                    self.bytes.drain(..used);
                    return Ok(Next::Request(request));
                }
                Parsed::Refused(status) => return Ok(Next::Refused(status)),
                Parsed::Incomplete => {}
            }
            let limit = match begun {
                None => idle,
                Some(begun) => REQUEST_LIMIT.saturating_sub(begun.elapsed()),
            };
            match self.fill(limit, request::MAX_HEAD) {
                Ok(0) => return Ok(Next::Ended),
                Ok(_) => begun = begun.or_else(|| Some(Instant::now())),
                Err(error) if timed_out(&error) && begun.is_some() => return Ok(Next::Refused(Status::RequestTimeout)),
                Err(error) if timed_out(&error) => return Ok(Next::Ended),
                Err(error) => return Err(error),
            }
        }
    }

    /// Throws away `length` bytes of a request body.
    fn discard(&mut self, length: u64) -> io::Result<()> {
        let (end, mut left) = (Instant::now() + REQUEST_LIMIT, length as usize);
        loop {
            let now = left.min(self.bytes.len());
            self.bytes.drain(..now);
            left -= now;
            if left == 0 {
                return Ok(());
            }
            if self.fill(end.saturating_duration_since(Instant::now()), request::MAX_HEAD)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Waits up to `limit` for more, and holds at most `capacity` bytes. 0 at the end of the stream.
    fn fill(&mut self, limit: Duration, capacity: usize) -> io::Result<usize> {
        if limit.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        if self.limit != Some(limit) {
            self.stream.set_read_timeout(Some(limit))?;
            self.limit = Some(limit);
        }
        let held = self.bytes.len();
        self.bytes.resize((held + 1024).min(capacity), 0);
        let result = loop {
            match (&mut &*self.stream).read(&mut self.bytes[held..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.bytes.truncate(held + *result.as_ref().unwrap_or(&0));
        result
    }
}

/// Unix reports an expired read time-out as WouldBlock, other platforms as TimedOut.
fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
