//! A way between members and a broker that a test can break where it wants: it passes MQTT packets on one by one.

use anyhow::{Context, Result};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// For a connection to the broker, and for a peer to take a packet.
const LIMIT: Duration = Duration::from_secs(20);
/// How often it looks for a new connection.
const LOOK: Duration = Duration::from_millis(2);
/// The longest packet that it passes on.
const PACKET_LIMIT: usize = 16 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ToBroker,
    ToMember,
}

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    pub way: Way,
    /// Counted over all connections, from 0.
    pub packet: usize,
    /// The packet itself still arrives.
    pub arrives: bool,
}

pub struct Relay {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    broker: u16,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    cut: Option<Cut>,
    /// The kinds of the packets that it was given so far, for each way: MQTT 3.1.1, table 2.1.
    packets: [Vec<u8>; 2],
    is_over: bool,
}

impl Relay {
    /// A relay to the broker on this port of the loopback, which cuts one connection.
    pub fn start(broker: u16, cut: Option<Cut>) -> Result<Relay> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        listener.set_nonblocking(true)?;
        let inner = Inner {
            cut,
            ..Inner::default()
        };
        let shared = Arc::new(Shared {
            broker,
            inner: Mutex::new(inner),
        });
        let theirs = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &theirs));
        Ok(Relay { port, shared })
    }

    /// True once the connection was cut.
    pub fn has_cut(&self) -> bool {
        self.shared.lock().cut.is_none()
    }

    /// The kinds of the packets so far.
    pub fn packets(&self, way: Way) -> Vec<u8> {
        self.shared.lock().packets[way as usize].clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens to a packet of this kind: is it passed on, and does the connection go on?
    fn judge(&self, way: Way, kind: u8) -> (bool, bool) {
        let mut inner = self.lock();
        let packet = inner.packets[way as usize].len();
        inner.packets[way as usize].push(kind);
        match inner.cut {
            Some(cut) if cut.way == way && cut.packet == packet => {
                inner.cut = None;
                (cut.arrives, false)
            }
            _ => (true, true),
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.lock().is_over {
        match listener.accept() {
            Ok((member, _)) => {
                let shared = Arc::clone(shared);
                // Where the broker is absent, the member's connection ends at once.
                thread::spawn(move || drop(connect(member, &shared)));
            }
            Err(_) => thread::sleep(LOOK),
        }
    }
}

fn connect(member: TcpStream, shared: &Arc<Shared>) -> Result<()> {
    member.set_nonblocking(false)?;
    let broker = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, shared.broker)), LIMIT)?;
    for stream in [&member, &broker] {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(LIMIT))?;
    }
    let (from, to, theirs) = (broker.try_clone()?, member.try_clone()?, Arc::clone(shared));
    let back = thread::spawn(move || pass(from, to, Way::ToMember, &theirs));
    let there = pass(member, broker, Way::ToBroker, shared);
    let _ = back.join();
    there
}

/// Passes packets on until one of the streams ends, and ends both.
fn pass(mut from: TcpStream, mut to: TcpStream, way: Way, shared: &Shared) -> Result<()> {
    let mut pass_all = || -> Result<()> {
        while let Some(packet) = read(&mut from)? {
            let (arrives, goes_on) = shared.judge(way, packet[0] >> 4);
            if arrives {
                to.write_all(&packet)?;
            }
            if !goes_on {
                break;
            }
        }
        Ok(())
    };
    let passed = pass_all();
    // What was passed on just now still arrives: this ends the stream after it, and the other direction at once.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Both);
    passed
}

/// The next packet; nothing at the end of the stream.
fn read(from: &mut TcpStream) -> Result<Option<Vec<u8>>> {
    let mut packet = vec![0];
    match from.read_exact(&mut packet) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    // MQTT 3.1.1, section 2.2.3: at most four bytes of seven bits, the lowest first.
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        packet.push(byte[0]);
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    anyhow::ensure!(length <= PACKET_LIMIT, "a packet of {length} bytes");
    let head = packet.len();
    packet.resize(head + length, 0);
    from.read_exact(&mut packet[head..]).context("the rest of a packet")?;
    Ok(Some(packet))
}
