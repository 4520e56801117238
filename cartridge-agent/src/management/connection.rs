//! One connection: moves bytes and time between a socket and the core's HTTP session.

use super::pages;
use super::places::Place;
use crate::shared::Shared;
use cartridge_agent_core::http::{Content, Response, Session, Status, Step};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// How long a client may take to read an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long, and for how many bytes, a client that was refused is listened to, so that it reads the refusal before a reset.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
const LINGER_LIMIT: usize = 64 * 1024;

/// Serves `stream` until either side closes it.
#[inline(never)]
pub fn serve(shared: &Shared, stream: &TcpStream, place: &Place, token: &str) {
    // An error here means that the client is gone; there is nobody to tell.
    let _ = converse(shared, stream, place, token);
    let _ = stream.shutdown(Shutdown::Both);
}

fn converse(shared: &Shared, mut stream: &TcpStream, place: &Place, token: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut session = Session::new(shared.now());
    let mut out = Vec::new();
    loop {
        match session.step() {
            Step::Read(until) => {
                place.set_waits(true);
                let count = read_until(stream, session.room(), until.saturating_sub(shared.now()))?;
                place.set_waits(false);
                match count {
                    Some(0) => return Ok(()),
                    Some(count) => session.received(count, shared.now()),
                    None => {
                        return session
                            .timed_out()
                            .map_or(Ok(()), |status| refuse(stream, place, status));
                    }
                }
            }
            Step::Continue => stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?,
            Step::Refuse(status) => return refuse(stream, place, status),
            Step::Answer(request) => {
                out.clear();
                let keep_alive = request.keep_alive;
                let after = pages::answer(shared, &request, token, &mut out);
                let written = write_within(stream, &out, WRITE_TIMEOUT);
                // Also for a client that did not stay for the answer.
                after.act(shared);
                written?;
                if !keep_alive {
                    return linger(stream, place);
                }
                session.answered(shared.now());
            }
        }
    }
}

/// Reads what comes within `left`; `None` when nothing did.
fn read_until(mut stream: &TcpStream, room: &mut [u8], left: Duration) -> io::Result<Option<usize>> {
    let until = Instant::now() + left;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(room) {
            Ok(count) => return Ok(Some(count)),
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes all of `bytes`, or fails when that takes longer than `limit`, however small the client's steps are.
fn write_within(mut stream: &TcpStream, mut bytes: &[u8], limit: Duration) -> io::Result<()> {
    let until = Instant::now() + limit;
    while !bytes.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        match stream.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

#[inline(never)]
fn refuse(stream: &TcpStream, place: &Place, status: Status) -> io::Result<()> {
    let mut out = Vec::new();
    let line = status.line();
    let response = Response {
        status,
        content: Content::Text,
        body: line.as_bytes(),
        field: "",
    };
    let Ok(()) = response.write(&mut out, true, false);
    write_within(stream, &out, WRITE_TIMEOUT)?;
    linger(stream, place)
}

/// Closes this side, and drops what the client still sends: closing with input unread would reset the connection, and
/// the client could lose the answer (RFC 9112 section 9.6).
fn linger(stream: &TcpStream, place: &Place) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    place.set_waits(true);
    let until = Instant::now() + LINGER_TIMEOUT;
    let mut rest = [0; 1024];
    let mut dropped = 0;
    while dropped < LINGER_LIMIT {
        match read_until(stream, &mut rest, until.saturating_duration_since(Instant::now()))? {
            Some(count @ 1..) => dropped += count,
            _ => break,
        }
    }
    Ok(())
}
