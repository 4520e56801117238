//! Connections to another machine: the echo server (TCP and UDP, same port) whose address the driver passes as `PEER`. Without
//! it there is nothing to check.

use crate::report::{Check, Outcome};
use crate::{ensure, ensure_eq, tried};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

pub const CHECKS: &[Check] = &[
    ("TCP echo", tcp),
    ("several connections at once", several),
    ("UDP echo", udp),
    ("a refused connection", refused),
];

fn peer() -> Result<Option<SocketAddr>, String> {
    match std::env::var("PEER") {
        Ok(address) => Ok(Some(tried!(address.parse()))),
        Err(_) => Ok(None),
    }
}

/// Sends `length` bytes while another thread reads them back.
fn echo(peer: SocketAddr, length: usize) -> Outcome {
    let mut stream = tried!(TcpStream::connect_timeout(&peer, Duration::from_secs(20)));
    tried!(stream.set_read_timeout(Some(Duration::from_secs(20))));
    let sent: Vec<u8> = (0..length).map(|index| (index * 13 + index / 509) as u8).collect();
    let (mut writer, bytes) = (tried!(stream.try_clone()), sent.clone());
    let sender = thread::spawn(move || {
        writer.write_all(&bytes)?;
        writer.shutdown(Shutdown::Write)
    });
    let mut received = Vec::new();
    tried!(stream.read_to_end(&mut received));
    ensure!(matches!(sender.join(), Ok(Ok(()))), "sending failed");
    ensure!(
        received == sent,
        "{} bytes came back, changed or not all",
        received.len()
    );
    Ok(())
}

fn tcp() -> Outcome {
    let Some(peer) = peer()? else { return Ok(()) };
    for length in [1, 1_000, 300_000] {
        echo(peer, length)?;
    }
    Ok(())
}

fn several() -> Outcome {
    let Some(peer) = peer()? else { return Ok(()) };
    let handles: Vec<_> = (0..8)
        .map(|number| thread::spawn(move || echo(peer, 10_000 + number)))
        .collect();
    for handle in handles {
        handle.join().map_err(|_| "a thread failed")??;
    }
    Ok(())
}

fn udp() -> Outcome {
    let Some(peer) = peer()? else { return Ok(()) };
    let socket = tried!(UdpSocket::bind("0.0.0.0:0"));
    tried!(socket.connect(peer));
    tried!(socket.set_read_timeout(Some(Duration::from_secs(2))));
    let mut buffer = [0; 2_000];
    // A datagram may be lost: each is sent up to five times.
    for length in [1, 100, 1_400] {
        let answered = (0..5).any(|_| {
            socket.send(&vec![7; length]).is_ok() && socket.recv(&mut buffer).is_ok_and(|received| received == length)
        });
        ensure!(answered, "a datagram of {length} bytes has no answer");
    }
    Ok(())
}

/// Nothing listens on port 1 of the peer.
fn refused() -> Outcome {
    let Some(peer) = peer()? else { return Ok(()) };
    let result = TcpStream::connect_timeout(&SocketAddr::new(peer.ip(), 1), Duration::from_secs(20));
    ensure_eq!(
        result.map_err(|error| error.kind()).err(),
        Some(ErrorKind::ConnectionRefused)
    );
    Ok(())
}
