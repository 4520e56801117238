//! Asking an HTTP server: a blocking client with deadlines, for threads of the agent's that may wait.

use cartridge_agent_core::http::client::{Exchange, Fault, REDIRECT_LIMIT, Request, is_redirect, redirected};
use std::io::{self, ErrorKind, Read, Write};
#[cfg(any(feature = "artifacts", test))]
use std::net::ToSocketAddrs;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The most that is read in one piece, in bytes.
const PIECE: usize = 4096;

/// How long, and how much.
#[derive(Clone, Copy)]
pub struct Limits {
    /// For the connection to one address.
    pub connect: Duration,
    /// For the peer to be silent, or to take nothing.
    pub silence: Duration,
    /// For everything, redirects included (looking up a name has the system's own deadline).
    pub end: Instant,
    /// Bytes of the body.
    pub body: u64,
}

/// Sends `request` to the first of `addresses` that takes the connection, follows redirects of a GET on the same host, and gives the
/// status of the answer. The body of a 2xx answer goes to `sink` in pieces, as long as that answers true. (Who has a name looks it up
/// first: looking up names is code that not every image has.)
///
/// # Errors
/// Why there is no answer. The sink may have had a part of the body by then.
#[cfg_attr(
    not(feature = "metadata"),
    allow(dead_code, reason = "archives follow redirects to other hosts, in their own way")
)]
#[inline(never)]
pub fn fetch(
    request: &Request<'_>,
    addresses: &[SocketAddr],
    limits: &Limits,
    sink: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<u16, Fault> {
    let mut target = request.url.target.to_owned();
    for _ in 0..=REDIRECT_LIMIT {
        let mut request = *request;
        request.url.target = &target;
        let mut exchange = Exchange::new(limits.body);
        ask_at(addresses, &request, limits, &mut exchange, sink)?;
        match exchange.location() {
            Some(location) if is_redirect(exchange.status()) && request.method == "GET" => {
                target = redirected(location, &request.url)?.to_owned();
            }
            _ => return Ok(exchange.status()),
        }
    }
    Err(Fault::RedirectLoop)
}

/// One exchange, without following redirects, with a host that may have a name; as [`fetch`] else.
///
/// # Errors
/// As [`fetch`]; [`Fault::NoName`] when the name has no address.
#[cfg(any(feature = "artifacts", test))]
pub fn ask(request: &Request<'_>, limits: &Limits, sink: &mut dyn FnMut(&[u8]) -> bool) -> Result<Exchange, Fault> {
    let addresses = (request.url.host, request.url.port).to_socket_addrs();
    let addresses: Vec<_> = addresses.map_err(|_| Fault::NoName)?.collect();
    let mut exchange = Exchange::new(limits.body);
    ask_at(&addresses, request, limits, &mut exchange, sink)?;
    Ok(exchange)
}

#[inline(never)]
fn ask_at(
    addresses: &[SocketAddr],
    request: &Request<'_>,
    limits: &Limits,
    exchange: &mut Exchange,
    sink: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<(), Fault> {
    let mut text = Vec::new();
    request.write(&mut |part| text.extend_from_slice(part.as_bytes()))?;
    let mut stream = connect(addresses, limits)?;
    stream.set_write_timeout(Some(left(limits)?)).map_err(fault)?;
    stream.write_all(&text).map_err(fault)?;
    let mut room = [0; PIECE];
    while !exchange.is_complete() {
        stream.set_read_timeout(Some(left(limits)?)).map_err(fault)?;
        match stream.read(&mut room) {
            Ok(0) => {
                exchange.ended()?;
                break;
            }
            Ok(count) => exchange.receive(&room[..count], sink)?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(fault(error)),
        }
    }
    Ok(())
}

fn connect(addresses: &[SocketAddr], limits: &Limits) -> Result<TcpStream, Fault> {
    let mut failed = Fault::NoName;
    for address in addresses {
        match TcpStream::connect_timeout(address, limits.connect.min(left(limits)?)) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = fault(error),
        }
    }
    Err(failed)
}

/// How long the next step may take.
fn left(limits: &Limits) -> Result<Duration, Fault> {
    let left = limits.end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(Fault::TimedOut)
    } else {
        Ok(left.min(limits.silence))
    }
}

#[inline(never)]
fn fault(error: io::Error) -> Fault {
    match error.kind() {
        ErrorKind::ConnectionRefused => Fault::Refused,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Fault::TimedOut,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Fault::CutOff,
        _ => Fault::Unreachable,
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
