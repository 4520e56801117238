//! The first HTTP answer of a guest.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Reason};
use crate::guest::Guest;

/// Between fresh connections. The one that reaches a guest just after it began to listen decides.
const GAP: Duration = Duration::from_millis(10);
/// The same where instructions are counted: each connection costs the guest some.
pub(super) const COUNTING_GAP: Duration = Duration::from_millis(100);
/// Connections waiting at once.
const OPEN_MAX: usize = 200;

/// When the guest's port first answered `GET path` with status 200.
///
/// A fresh connection every 10 ms, the older ones kept open: any of them may be the one that is answered.
pub fn first_200(guest: &Guest, guest_port: u16, path: &str, limit: Duration) -> Result<Instant, Error> {
    first_200_every(GAP, guest, guest_port, path, limit)
}

/// As [`first_200`], with a fresh connection every `gap`.
pub(super) fn first_200_every(
    gap: Duration,
    guest: &Guest,
    guest_port: u16,
    path: &str,
    limit: Duration,
) -> Result<Instant, Error> {
    let address = guest.address(guest_port)?;
    let until = Instant::now() + limit;
    let (sender, answers) = channel();
    let mut open = 0;
    loop {
        if open < OPEN_MAX {
            let (sender, path) = (sender.clone(), path.to_owned());
            open += 1;
            // The thread ends with its answer, with the guest, or at the limit.
            thread::spawn(move || sender.send(ask(address, &path, until).then(Instant::now)));
        }
        match answers.recv_timeout(gap) {
            Ok(Some(at)) => return Ok(at),
            Ok(None) => open -= 1,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        let waiting_for = format!("answer 200 to GET http://{address}{path}");
        if guest.ended() {
            let how = guest
                .wait(Duration::from_secs(1))
                .map_or_else(|error| error.to_string(), |exit| exit.describe());
            return Err(guest.error(Reason::Ended { waiting_for, how }));
        }
        if Instant::now() >= until {
            return Err(guest.error(Reason::Deadline {
                waiting_for,
                after: limit,
            }));
        }
    }
}

/// Whether one request got a 200; any failure is a no.
fn ask(address: SocketAddr, path: &str, until: Instant) -> bool {
    let limit = until
        .saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1));
    let exchange = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok(start.starts_with(b"HTTP/1.") && start.ends_with(b" 200"))
    };
    exchange().unwrap_or_else(|_| {
        thread::sleep(GAP); // a refused connection must not make a busy loop
        false
    })
}

/// Whether `count` requests, one after another, are each answered within the limit.
pub(super) fn answers(
    guest: &Guest,
    guest_port: u16,
    path: &str,
    count: usize,
    limit: Duration,
) -> Result<bool, Error> {
    let address = guest.address(guest_port)?;
    Ok((0..count).all(|_| ask(address, path, Instant::now() + limit)))
}
