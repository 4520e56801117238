//! Readiness through mio: what asynchronous runtimes stand on.

use crate::report::{Check, Outcome};
use crate::{ensure, ensure_eq, tried};
use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::{Events, Interest, Poll, Token, Waker};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub const CHECKS: &[Check] = &[
    ("a poll without events times out", timeout),
    ("a waker wakes from another thread", waker),
    ("a server and clients on one thread", server),
    ("datagrams", datagrams),
    ("a refused connection shows", refused),
];

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const LIMIT: Duration = Duration::from_secs(20);
const CLIENTS: usize = 20;

fn timeout() -> Outcome {
    let (mut poll, mut events) = (tried!(Poll::new()), Events::with_capacity(4));
    let start = Instant::now();
    tried!(poll.poll(&mut events, Some(Duration::from_millis(50))));
    ensure!(events.is_empty(), "there is an event");
    ensure!(
        (45..1_000).contains(&start.elapsed().as_millis()),
        "50 ms took {:?}",
        start.elapsed()
    );
    Ok(())
}

fn waker() -> Outcome {
    let (mut poll, mut events) = (tried!(Poll::new()), Events::with_capacity(4));
    let waker = Arc::new(tried!(Waker::new(poll.registry(), Token(9))));
    for _ in 0..3 {
        let other = waker.clone();
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            other.wake()
        });
        tried!(poll.poll(&mut events, Some(LIMIT)));
        ensure_eq!(events.iter().map(|event| event.token()).collect::<Vec<_>>(), [Token(9)]);
        ensure!(matches!(thread.join(), Ok(Ok(()))), "waking failed");
    }
    Ok(())
}

/// Clients and server in one event loop: each client says its number and waits for it to come back.
fn server() -> Outcome {
    let (mut poll, mut events) = (tried!(Poll::new()), Events::with_capacity(64));
    let mut listener = tried!(TcpListener::bind(ANY));
    let address = tried!(listener.local_addr());
    tried!(poll.registry().register(&mut listener, Token(0), Interest::READABLE));
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = tried!(TcpStream::connect(address));
        let interest = Interest::READABLE | Interest::WRITABLE;
        tried!(poll.registry().register(&mut client, Token(100 + number), interest));
        clients.push((client, false));
    }
    let (mut servers, mut answered) = (Vec::<TcpStream>::new(), 0);
    let deadline = Instant::now() + LIMIT;
    while answered < CLIENTS {
        ensure!(Instant::now() < deadline, "{answered} of {CLIENTS} were answered");
        tried!(poll.poll(&mut events, Some(Duration::from_secs(1))));
        for event in &events {
            match event.token().0 {
                0 => accept_all(&listener, &poll, &mut servers)?,
                token if token >= 1_000 => echo_all(&mut servers[token - 1_000])?,
                token => answered += usize::from(advance(&mut clients[token - 100], (token - 100) as u8)?),
            }
        }
    }
    Ok(())
}

fn accept_all(listener: &TcpListener, poll: &Poll, servers: &mut Vec<TcpStream>) -> Outcome {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                let token = Token(1_000 + servers.len());
                tried!(poll.registry().register(&mut stream, token, Interest::READABLE));
                servers.push(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(format!("accept: {error:?}")),
        }
    }
}

fn echo_all(stream: &mut TcpStream) -> Outcome {
    let mut buffer = [0; 16];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => tried!(stream.write_all(&buffer[..length])),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(format!("read: {error:?}")),
        }
    }
}

/// Sends the number once, then looks for it; true when it has come back.
fn advance((client, sent): &mut (TcpStream, bool), number: u8) -> Result<bool, String> {
    if !*sent {
        match client.write(&[number]) {
            Ok(_) => *sent = true,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {}
            Err(error) => return Err(format!("write: {error:?}")),
        }
    }
    let mut byte = [0];
    match client.read(&mut byte) {
        Ok(1) if byte[0] == number => Ok(true),
        Ok(length) => Err(format!("client {number} read {length} bytes: {byte:?}")),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => Ok(false),
        Err(error) => Err(format!("read: {error:?}")),
    }
}

fn datagrams() -> Outcome {
    let (mut poll, mut events) = (tried!(Poll::new()), Events::with_capacity(4));
    let (mut a, b) = (tried!(UdpSocket::bind(ANY)), tried!(UdpSocket::bind(ANY)));
    tried!(poll.registry().register(&mut a, Token(3), Interest::READABLE));
    tried!(b.send_to(b"knock", tried!(a.local_addr())));
    tried!(poll.poll(&mut events, Some(LIMIT)));
    ensure_eq!(events.iter().map(|event| event.token()).collect::<Vec<_>>(), [Token(3)]);
    let mut buffer = [0; 10];
    ensure_eq!(tried!(a.recv_from(&mut buffer)), (5, tried!(b.local_addr())));
    Ok(())
}

fn refused() -> Outcome {
    let (mut poll, mut events) = (tried!(Poll::new()), Events::with_capacity(4));
    let address = tried!(tried!(TcpListener::bind(ANY)).local_addr());
    let mut client = match TcpStream::connect(address) {
        Ok(client) => client,
        Err(error) => {
            return if error.kind() == ErrorKind::ConnectionRefused {
                Ok(())
            } else {
                Err(format!("{error:?}"))
            };
        }
    };
    tried!(poll.registry().register(&mut client, Token(1), Interest::WRITABLE));
    tried!(poll.poll(&mut events, Some(LIMIT)));
    ensure!(!events.is_empty(), "nothing happened");
    let error = tried!(client.take_error()).map(|error| error.kind());
    ensure_eq!(error, Some(ErrorKind::ConnectionRefused));
    Ok(())
}
