//! TCP that has to wait, or fails.

use crate::report::{Check, Outcome};
use crate::tcp::pair;
use crate::{ensure, ensure_eq, tried};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

pub const CHECKS: &[Check] = &[
    ("a read time-out", read_timeout),
    ("a write time-out", write_timeout),
    ("nonblocking accept", nonblocking_accept),
    ("nonblocking read and write", nonblocking_stream),
    ("a refused connection", refused),
    ("a refused connection with a time-out", refused_with_timeout),
    ("a connection with a time-out that succeeds", connect_timeout),
    ("an address that does not answer", no_answer),
    ("an address without a route", no_route),
    ("a port in use", in_use),
    ("a port is free again after its listener", free_again),
    ("writing to a peer that has gone", peer_gone),
    ("a blocked accept is woken by a connection", accept_woken),
    ("a connection waits while there is no descriptor for it", no_descriptor),
];

fn read_timeout() -> Outcome {
    let (mut client, _server) = pair()?;
    tried!(client.set_read_timeout(Some(Duration::from_millis(60))));
    let start = Instant::now();
    let kind = client.read(&mut [0; 10]).map_err(|error| error.kind());
    ensure!(
        matches!(kind, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
        "it ended with {kind:?}"
    );
    let waited = start.elapsed().as_millis();
    ensure!((55..1_000).contains(&waited), "60 ms took {waited} ms");
    Ok(())
}

fn write_timeout() -> Outcome {
    let (mut client, _server) = pair()?;
    tried!(client.set_write_timeout(Some(Duration::from_millis(60))));
    let block = vec![0; 1 << 16];
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        match client.write(&block) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(()),
            Err(error) => return Err(format!("it ended with {error:?}")),
        }
    }
    Err("a peer that does not read took everything".into())
}

fn nonblocking_accept() -> Outcome {
    let listener = tried!(TcpListener::bind("127.0.0.1:0"));
    tried!(listener.set_nonblocking(true));
    ensure_eq!(
        listener.accept().map_err(|error| error.kind()).err(),
        Some(ErrorKind::WouldBlock)
    );
    let _client = tried!(TcpStream::connect(tried!(listener.local_addr())));
    let deadline = Instant::now() + Duration::from_secs(10);
    while listener.accept().is_err() {
        ensure!(Instant::now() < deadline, "the connection is never accepted");
        thread::yield_now();
    }
    Ok(())
}

fn nonblocking_stream() -> Outcome {
    let (mut client, mut server) = pair()?;
    tried!(client.set_nonblocking(true));
    ensure_eq!(
        client.read(&mut [0; 10]).map_err(|error| error.kind()),
        Err(ErrorKind::WouldBlock)
    );
    let mut sent = 0;
    let full = loop {
        match client.write(&[1; 10_000]) {
            Ok(length) => sent += length,
            Err(error) => break error.kind(),
        }
        ensure!(sent < 1 << 30, "a peer that does not read took everything");
    };
    ensure_eq!(full, ErrorKind::WouldBlock);
    let mut received = vec![0; sent];
    tried!(server.read_exact(&mut received));
    tried!(client.set_nonblocking(false));
    tried!(client.write_all(b"again"));
    tried!(server.read_exact(&mut received[..5]));
    ensure_eq!(&received[..5], b"again");
    Ok(())
}

/// A port that was free a moment ago.
fn closed_port() -> Result<SocketAddr, String> {
    Ok(tried!(tried!(TcpListener::bind("127.0.0.1:0")).local_addr()))
}

fn refused() -> Outcome {
    let result = TcpStream::connect(closed_port()?);
    ensure_eq!(
        result.map_err(|error| error.kind()).err(),
        Some(ErrorKind::ConnectionRefused)
    );
    Ok(())
}

fn refused_with_timeout() -> Outcome {
    let result = TcpStream::connect_timeout(&closed_port()?, Duration::from_secs(10));
    ensure_eq!(
        result.map_err(|error| error.kind()).err(),
        Some(ErrorKind::ConnectionRefused)
    );
    Ok(())
}

fn connect_timeout() -> Outcome {
    let listener = tried!(TcpListener::bind("127.0.0.1:0"));
    let mut client = tried!(TcpStream::connect_timeout(
        &tried!(listener.local_addr()),
        Duration::from_secs(10)
    ));
    let (mut server, _) = tried!(listener.accept());
    tried!(server.write_all(b"x"));
    tried!(client.read_exact(&mut [0]));
    Ok(())
}

/// Connects to `address` with a time-out of 300 ms: any error will do (what it is depends on the network around), as
/// long as it is prompt.
fn gives_up(address: &str) -> Outcome {
    let start = Instant::now();
    let result = TcpStream::connect_timeout(&tried!(address.parse()), Duration::from_millis(300));
    ensure!(result.is_err(), "there is something at {address}");
    ensure!(
        start.elapsed() < Duration::from_secs(5),
        "giving up took {:?}",
        start.elapsed()
    );
    Ok(())
}

/// 192.0.2.0/24 is for documentation: nobody has it (RFC 5737).
fn no_answer() -> Outcome {
    gives_up("192.0.2.1:9")
}

/// 2001:db8::/32 is for documentation: nobody has it (RFC 3849).
fn no_route() -> Outcome {
    gives_up("[2001:db8::1]:9")
}

fn in_use() -> Outcome {
    let listener = tried!(TcpListener::bind("127.0.0.1:0"));
    let second = TcpListener::bind(tried!(listener.local_addr()));
    ensure_eq!(second.map_err(|error| error.kind()).err(), Some(ErrorKind::AddrInUse));
    Ok(())
}

fn free_again() -> Outcome {
    let listener = tried!(TcpListener::bind("127.0.0.1:0"));
    let address = tried!(listener.local_addr());
    let _client = tried!(TcpStream::connect(address));
    drop(tried!(listener.accept()));
    drop(listener);
    tried!(TcpListener::bind(address));
    Ok(())
}

fn peer_gone() -> Outcome {
    let (mut client, server) = pair()?;
    drop(server);
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        if let Err(error) = client.write(b"anyone?") {
            let kind = error.kind();
            ensure!(
                matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
                "it ended with {kind:?}"
            );
            return Ok(());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err("writing to nobody works for ever".into())
}

fn accept_woken() -> Outcome {
    let listener = tried!(TcpListener::bind("127.0.0.1:0"));
    let address = tried!(listener.local_addr());
    let server = thread::spawn(move || listener.accept().map(|(_, from)| from));
    thread::sleep(Duration::from_millis(50));
    let client = tried!(TcpStream::connect(address));
    let from = server.join().map_err(|_| "the accepting thread failed")?;
    ensure_eq!(tried!(from), tried!(client.local_addr()));
    Ok(())
}

fn no_descriptor() -> Outcome {
    const MORE_THAN_MOST_ALLOW: usize = 10_000;
    let listener = tried!(TcpListener::bind("127.0.0.1:0"));
    let mut client = tried!(TcpStream::connect(tried!(listener.local_addr())));
    tried!(client.write_all(b"still here"));
    let mut open = Vec::new();
    while open.len() < MORE_THAN_MOST_ALLOW
        && let Ok(file) = File::open("/dev/null")
    {
        open.push(file);
    }
    if open.len() == MORE_THAN_MOST_ALLOW {
        return Ok(());
    }
    let refused = listener.accept().map(|_| ()).map_err(|error| error.raw_os_error());
    drop(open);
    ensure_eq!(refused, Err(Some(24))); // EMFILE
    let (mut server, _) = tried!(listener.accept());
    let mut bytes = [0; 10];
    tried!(server.read_exact(&mut bytes));
    ensure_eq!(&bytes, b"still here");
    Ok(())
}
