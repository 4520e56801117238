//! UDP between sockets of the program.

use crate::report::{Check, Outcome};
use crate::{ensure, ensure_eq, tried};
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

pub const CHECKS: &[Check] = &[
    ("echo", echo),
    ("echo over IPv6", echo_v6),
    ("connected sockets", connected),
    ("datagrams keep their borders", borders),
    ("a short buffer cuts a datagram", short_buffer),
    ("peek", peek),
    ("read time-out and nonblocking", waiting),
    ("options", options),
];

fn bound(address: &str) -> Result<UdpSocket, String> {
    let socket = tried!(UdpSocket::bind(address));
    tried!(socket.set_read_timeout(Some(Duration::from_secs(20))));
    Ok(socket)
}

fn echo_on(address: &str) -> Outcome {
    let (client, server) = (bound(address)?, bound(address)?);
    let to = tried!(server.local_addr());
    let echo = thread::spawn(move || {
        let mut buffer = [0; 2_000];
        for _ in 0..20 {
            let (length, from) = server.recv_from(&mut buffer)?;
            server.send_to(&buffer[..length], from)?;
        }
        std::io::Result::Ok(())
    });
    let mut buffer = [0; 2_000];
    for length in (1..=20).map(|n| n * 70) {
        let sent = vec![length as u8; length];
        ensure_eq!(tried!(client.send_to(&sent, to)), length);
        let (received, from) = tried!(client.recv_from(&mut buffer));
        ensure_eq!((received, from), (length, to));
        ensure_eq!(&buffer[..received], &sent[..]);
    }
    ensure!(matches!(echo.join(), Ok(Ok(()))), "the echoing side failed");
    Ok(())
}

fn echo() -> Outcome {
    echo_on("127.0.0.1:0")
}

fn echo_v6() -> Outcome {
    echo_on("[::1]:0")
}

fn connected() -> Outcome {
    let (a, b, stranger) = (bound("127.0.0.1:0")?, bound("127.0.0.1:0")?, bound("127.0.0.1:0")?);
    tried!(a.connect(tried!(b.local_addr())));
    tried!(b.connect(tried!(a.local_addr())));
    ensure_eq!(tried!(a.peer_addr()), tried!(b.local_addr()));
    tried!(stranger.send_to(b"psst", tried!(b.local_addr())));
    tried!(a.send(b"hello"));
    let mut buffer = [0; 10];
    let length = tried!(b.recv(&mut buffer));
    ensure_eq!(&buffer[..length], b"hello");
    Ok(())
}

fn borders() -> Outcome {
    let (a, b) = (bound("127.0.0.1:0")?, bound("127.0.0.1:0")?);
    let to = tried!(b.local_addr());
    for datagram in [&b"one"[..], b"", b"three"] {
        tried!(a.send_to(datagram, to));
    }
    let mut buffer = [0; 10];
    let mut lengths = Vec::new();
    for _ in 0..3 {
        lengths.push(tried!(b.recv_from(&mut buffer)).0);
    }
    ensure_eq!(lengths, [3, 0, 5]);
    Ok(())
}

fn short_buffer() -> Outcome {
    let (a, b) = (bound("127.0.0.1:0")?, bound("127.0.0.1:0")?);
    tried!(a.send_to(b"long datagram", tried!(b.local_addr())));
    tried!(a.send_to(b"next", tried!(b.local_addr())));
    let mut buffer = [0; 4];
    ensure_eq!(tried!(b.recv_from(&mut buffer)).0, 4);
    ensure_eq!(&buffer, b"long");
    ensure_eq!(tried!(b.recv_from(&mut buffer)).0, 4);
    ensure_eq!(&buffer, b"next");
    Ok(())
}

fn peek() -> Outcome {
    let (a, b) = (bound("127.0.0.1:0")?, bound("127.0.0.1:0")?);
    tried!(a.send_to(b"look", tried!(b.local_addr())));
    let mut buffer = [0; 10];
    ensure_eq!(tried!(b.peek_from(&mut buffer)), (4, tried!(a.local_addr())));
    ensure_eq!(tried!(b.recv_from(&mut buffer)), (4, tried!(a.local_addr())));
    Ok(())
}

fn waiting() -> Outcome {
    let socket = bound("127.0.0.1:0")?;
    tried!(socket.set_read_timeout(Some(Duration::from_millis(40))));
    let start = Instant::now();
    let kind = socket.recv_from(&mut [0; 10]).map_err(|error| error.kind()).err();
    ensure!(
        matches!(kind, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
        "it ended with {kind:?}"
    );
    ensure!(
        start.elapsed() >= Duration::from_millis(35),
        "40 ms took {:?}",
        start.elapsed()
    );
    tried!(socket.set_nonblocking(true));
    let kind = socket.recv_from(&mut [0; 10]).map_err(|error| error.kind()).err();
    ensure_eq!(kind, Some(ErrorKind::WouldBlock));
    Ok(())
}

fn options() -> Outcome {
    let socket = bound("127.0.0.1:0")?;
    tried!(socket.set_broadcast(true));
    ensure_eq!(tried!(socket.broadcast()), true);
    tried!(socket.set_ttl(9));
    ensure_eq!(tried!(socket.ttl()), 9);
    Ok(())
}
