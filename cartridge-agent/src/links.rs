//! The TCP connections of a control plane: threads that may wait for the network, so that the agent's own never does.
//!
//! Each link has a thread that connects and reads, and one that writes. They hand what happened to the agent's thread, through
//! a bounded queue, and wake it; it tells the adapter. One piece at a time is being written for each link. A link that is
//! replaced is told from its successor by its number: what a late thread still says of it is dropped. Threads that still try to
//! reach a peer of before are few ([`THREADS`]), however often the adapter changes it.
//!
//! (The queues are a lock and a condition each, which the agent has anyway: std's channels are three kinds of queue in one
//! type, and took 6 KB of every image.)

use crate::runner;
use crate::shared::{Shared, lock};
use cartridge_agent_core::control::{ControlPlane, Peer};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long connecting to one address may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a peer may take nothing of what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The most that is read or written in one piece, in bytes.
const PIECE: usize = 4096;

/// What may have happened before the threads have to wait for the agent.
const WAITING: usize = 8;

/// Threads of a link at most: those of a connection, and those that have not yet seen that theirs is not wanted any more.
const THREADS: usize = 6;

/// All links of a control plane.
pub struct Links {
    shared: &'static Shared,
    links: Vec<Link>,
    happened: Arc<Happenings>,
}

/// Who is connected to.
type Wanted = Option<(String, u16)>;

#[derive(Default)]
struct Link {
    /// Counts the peers there were.
    number: u32,
    wanted: Wanted,
    up: Option<Up>,
    /// Each of its threads has a clone.
    threads: Arc<()>,
}

struct Up {
    line: Arc<Line>,
    is_writing: bool,
}

impl Drop for Up {
    fn drop(&mut self) {
        // Ends what its threads wait for.
        let _ = self.line.stream.shutdown(Shutdown::Both);
        self.line.close();
    }
}

/// A connection, and the piece to be written to it next.
struct Line {
    stream: TcpStream,
    next: Mutex<Next>,
    changed: Condvar,
}

/// What the writing thread is to do.
enum Next {
    Wait,
    Write(Vec<u8>),
    End,
}

impl Line {
    fn put(&self, next: Next) {
        *lock(&self.next) = next;
        self.changed.notify_one();
    }

    fn close(&self) {
        self.put(Next::End);
    }

    /// The next piece, waited for; `None` at the end.
    fn piece(&self) -> Option<Vec<u8>> {
        let mut next = lock(&self.next);
        loop {
            match std::mem::replace(&mut *next, Next::Wait) {
                Next::Write(piece) => return Some(piece),
                Next::End => return None,
                Next::Wait => next = self.changed.wait(next).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// What happened, oldest first.
#[derive(Default)]
struct Happenings {
    waiting: Mutex<VecDeque<Happened>>,
    has_room: Condvar,
}

struct Happened {
    link: usize,
    number: u32,
    what: What,
}

enum What {
    Connected(Arc<Line>),
    Received(Vec<u8>),
    Written(usize),
    /// It could not be made, or it ended.
    Ended,
}

impl Happenings {
    /// Waits for room. The agent makes some whenever it is woken, which is before this waits.
    #[inline(never)]
    fn put(&self, happened: Happened) {
        let mut waiting = lock(&self.waiting);
        while waiting.len() >= WAITING {
            waiting = self.has_room.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.push_back(happened);
    }

    #[inline(never)]
    fn take(&self) -> Option<Happened> {
        let happened = lock(&self.waiting).pop_front();
        if happened.is_some() {
            self.has_room.notify_one();
        }
        happened
    }
}

impl Links {
    pub fn new(shared: &'static Shared, count: usize) -> Self {
        Links {
            shared,
            links: (0..count).map(|_| Link::default()).collect(),
            happened: Arc::default(),
        }
    }

    /// Tells the adapter what happened, and does what it wants. True if there was something to tell: it may have commands
    /// then.
    #[inline(never)]
    pub fn step(&mut self, plane: &mut impl ControlPlane) -> bool {
        let mut has_told = false;
        // What comes meanwhile has woken the agent anew: a peer that never pauses does not keep it from everything else.
        for _ in 0..WAITING {
            let Some(happened) = self.happened.take() else { break };
            self.tell(happened, plane);
            has_told = true;
        }
        for link in 0..self.links.len() {
            if !self.follow(link, plane.peer(link)) {
                plane.connected(link, false, self.shared.now());
                has_told = true;
            }
            self.send(link, plane.to_send(link));
        }
        has_told
    }

    fn tell(&mut self, happened: Happened, plane: &mut impl ControlPlane) {
        let Happened { link, number, what } = happened;
        let now = self.shared.now();
        let slot = &mut self.links[link];
        if slot.number != number {
            if let What::Connected(line) = what {
                // Ends both of its threads.
                drop(Up {
                    line,
                    is_writing: false,
                });
            }
            return;
        }
        match what {
            What::Connected(line) => {
                slot.up = Some(Up {
                    line,
                    is_writing: false,
                });
                plane.connected(link, true, now);
            }
            What::Received(bytes) => plane.receive(link, &bytes, now),
            What::Written(count) => {
                if let Some(up) = &mut slot.up {
                    up.is_writing = false;
                }
                plane.sent(link, count, now);
            }
            What::Ended => {
                // Its other thread may say so too.
                slot.number += 1;
                slot.up = None;
                plane.connected(link, false, now);
            }
        }
    }

    /// Closes and connects as the adapter wants it; false if there is no thread to do it, or too many are at it.
    #[inline(never)]
    fn follow(&mut self, link: usize, peer: Option<Peer<'_>>) -> bool {
        let slot = &mut self.links[link];
        let has = slot.wanted.as_ref().map(|(host, port)| Peer { host, port: *port });
        if has == peer {
            return true;
        }
        slot.number += 1;
        slot.up = None;
        slot.wanted = peer.map(|peer| (peer.host.to_owned(), peer.port));
        if let Some((host, port)) = slot.wanted.clone() {
            // One is the link's own.
            if Arc::strong_count(&slot.threads) > THREADS {
                return false;
            }
            let teller = Teller {
                shared: self.shared,
                happened: Arc::clone(&self.happened),
                link,
                number: slot.number,
                _thread: Arc::clone(&slot.threads),
            };
            return runner::spawn("agent-link", self.shared, move || teller.read_from(&host, port)).is_some();
        }
        true
    }

    #[inline(never)]
    fn send(&mut self, link: usize, bytes: &[u8]) {
        if let Some(up) = &mut self.links[link].up
            && !up.is_writing
            && !bytes.is_empty()
        {
            up.line.put(Next::Write(bytes[..bytes.len().min(PIECE)].to_vec()));
            up.is_writing = true;
        }
    }
}

/// How the threads of a link reach the agent's.
#[derive(Clone)]
struct Teller {
    shared: &'static Shared,
    happened: Arc<Happenings>,
    link: usize,
    number: u32,
    _thread: Arc<()>,
}

impl Teller {
    #[inline(never)]
    fn tell(&self, what: What) {
        // The agent may have to make room first.
        self.shared.wake_agent();
        self.happened.put(Happened {
            link: self.link,
            number: self.number,
            what,
        });
        self.shared.wake_agent();
    }

    /// Connects, and reads until the end.
    fn read_from(self, host: &str, port: u16) {
        // Why it ended does not matter to an adapter: it tries again, or the next peer.
        let _ = self.connect(host, port).and_then(|line| self.read(&line.stream));
        self.tell(What::Ended);
    }

    #[inline(never)]
    fn connect(&self, host: &str, port: u16) -> io::Result<Arc<Line>> {
        let mut failed = ErrorKind::AddrNotAvailable.into();
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => return self.start_writer(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    #[inline(never)]
    fn start_writer(&self, stream: TcpStream) -> io::Result<Arc<Line>> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let line = Arc::new(Line {
            stream,
            next: Mutex::new(Next::Wait),
            changed: Condvar::new(),
        });
        let (to, teller) = (Arc::clone(&line), self.clone());
        let write = move || {
            while let Some(piece) = to.piece() {
                if (&to.stream).write_all(&piece).is_err() {
                    return teller.tell(What::Ended);
                }
                teller.tell(What::Written(piece.len()));
            }
        };
        runner::spawn("agent-writer", self.shared, write).ok_or(ErrorKind::OutOfMemory)?;
        self.tell(What::Connected(Arc::clone(&line)));
        Ok(line)
    }

    fn read(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut room = [0; PIECE];
        loop {
            match stream.read(&mut room) {
                Ok(0) => return Ok(()),
                Ok(count) => self.tell(What::Received(room[..count].to_vec())),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
