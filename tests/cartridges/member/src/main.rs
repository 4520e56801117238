//! Logs every event of its control plane, and takes a line on each connection to its control port (8090, or the parameter
//! CONTROL_PORT), does what it says, and answers with what came of it:
//!
//! | line | answer |
//! |---|---|
//! | `open` | when the ports of PORTS began to accept connections, in ms since 1970 by its own clock |
//! | `follow` | `following`, and then a line for each event, from the first on |
//! | `hold` | `held`: a stop waits from now on |
//! | `release` | `released`: it waits no more |
//! | `panic` | none: the program ends as programs with a mistake do |
//! | `heap` | bytes of the program's heap in use, the most since the last `heap` |

use cartridge_agent::{Hold, Shutdown, log};
use peak_alloc::PeakAlloc;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

static HOLD: Mutex<Option<Hold>> = Mutex::new(None);

static FEED: Mutex<Feed> = Mutex::new(Feed {
    followers: Vec::new(),
    first: Vec::new(),
});

/// Clients that are told of events. Some may be gone: a network may bring connections that their clients have given up.
const FOLLOWERS: usize = 8;

/// Events that are kept for followers to come.
const KEPT: usize = 64;

/// For a client to send its line.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> io::Result<()> {
    let cartridge = cartridge_agent::start();
    let ports = cartridge.ports();
    let events = cartridge.events();
    thread::spawn(move || {
        for event in events {
            let text = format!("{event:?}");
            log!(Info, "event {text}");
            feed().tell(&text);
        }
    });
    let shutdown = cartridge.shutdown();
    let port = cartridge.parameter("CONTROL_PORT").and_then(|port| port.parse().ok());
    let port = port.unwrap_or(8090);
    // Takes IPv4 connections, too; a host may have no IPv6.
    let control = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))?;
    log!(Info, "control port open");
    thread::spawn(move || {
        for client in control.incoming().flatten() {
            let _ = obey(ports, shutdown, client);
        }
    });
    shutdown.wait();
    log!(Info, "told to stop");
    Ok(())
}

fn obey(ports: &[u16], shutdown: Shutdown, mut client: TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new((&client).take(100)).read_line(&mut line)?;
    let hold = || HOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = match line.trim_end() {
        "open" => open(ports)?,
        "follow" => return feed().follow(client),
        "hold" => {
            *hold() = Some(shutdown.hold());
            "held".into()
        }
        "release" => {
            *hold() = None;
            "released".into()
        }
        "panic" => panic!("asked to"),
        "heap" => {
            let answer = format!("{} {}", HEAP.current_usage(), HEAP.peak_usage());
            HEAP.reset_peak_usage();
            answer
        }
        other => format!("what is {other:?}?"),
    };
    client.write_all(answer.as_bytes())
}

/// Who is told of events, and the first events.
struct Feed {
    followers: Vec<TcpStream>,
    first: Vec<String>,
}

fn feed() -> MutexGuard<'static, Feed> {
    FEED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Feed {
    fn follow(&mut self, mut client: TcpStream) -> io::Result<()> {
        client.write_all(b"following\n")?;
        client.write_all(self.first.concat().as_bytes())?;
        if self.followers.len() < FOLLOWERS {
            self.followers.push(client);
        }
        Ok(())
    }

    fn tell(&mut self, event: &str) {
        let line = format!("{event}\n");
        self.followers
            .retain_mut(|follower| follower.write_all(line.as_bytes()).is_ok());
        if self.first.len() < KEPT {
            self.first.push(line);
        }
    }
}

fn open(ports: &[u16]) -> io::Result<String> {
    let mut opened = SystemTime::now();
    for port in ports {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port))?;
        opened = SystemTime::now();
        log!(Info, "port {port} is open");
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let _ = client.write_all(b"HTTP/1.0 200 OK\r\n\r\nmember\n");
            }
        });
    }
    let since = opened.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    Ok(since.as_millis().to_string())
}
