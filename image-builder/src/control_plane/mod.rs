//! `--control-plane local`: a message broker and a stand-in for Apache Stratos, so that a member's whole life can be watched on one
//! machine, with nothing to install.
//!
//! - [`broker`]: MQTT, sans-IO; [`cep`]: the event processor that takes health statistics;
//! - [`standin`]: what Stratos would say and refuse, sans-IO, with [`member`] (its states), [`topology`] and [`identity`] (who the
//!   member is);
//! - [`server`]: sockets and time for both;
//! - [`view`]: what is shown of it; [`console`]: what may be typed.

mod broker;
mod cep;
mod console;
mod identity;
mod member;
mod server;
mod standin;
mod topology;
mod view;

use crate::command::{Error, note};
use console::{Command, LINE_LIMIT};
use identity::Identity;
use server::{Commander, Server};
use standin::Standin;
use std::fs;
use std::io::{self, BufRead, IsTerminal, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};
use topology::Topology;
use view::View;

/// Between a member's log and its event, on a busy machine.
const ACTIVE_LIMIT: Duration = Duration::from_secs(20);

/// What of it is asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A topology to begin with, instead of one with nobody in it.
    pub topology: Option<PathBuf>,
    /// Show JSON objects, not sentences.
    pub json: bool,
}

/// Where member and broker are for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A process of this machine.
    Process,
    /// A guest behind QEMU's user network, whose host is its gateway.
    Guest,
}

impl Place {
    /// The member's address.
    fn member(self) -> &'static str {
        match self {
            Place::Process => "127.0.0.1",
            Place::Guest => "10.0.2.15",
        }
    }

    /// What the member calls `address` on the loopback interface of this machine.
    fn seen_from_member(self, address: SocketAddr) -> SocketAddr {
        match self {
            Place::Process => address,
            Place::Guest => SocketAddr::from(([10, 0, 2, 2], address.port())),
        }
    }
}

/// A platform for one member; it ends with this.
pub struct ControlPlane {
    server: Server,
    /// The member's payload, with all that the platform adds.
    pub payload: Vec<u8>,
}

impl ControlPlane {
    /// Starts a platform for the member with these launch parameters and ports; `show` prints a line of it.
    pub fn start(
        options: &Options,
        place: Place,
        (defaults, payload, ports): (&[u8], &[u8], &[u16]),
        show: impl Fn(String) + Send + 'static,
    ) -> Result<Self, Error> {
        let topology = options.topology.as_ref().map(|path| {
            let text = fs::read(path).map_err(Error::io("read the topology", path))?;
            Topology::parse(&text).map_err(|why| Error::Topology(path.clone(), why))
        });
        let identity = Identity::new(defaults, payload, ports, place.member());
        let unix = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let now_ms = u64::try_from(unix.as_millis()).unwrap_or_default();
        let standin = Standin::new(identity.clone(), topology.transpose()?.unwrap_or_default(), now_ms);
        let json = options.json;
        let text = move |view: &View| if json { view.json() } else { view.text() };
        let show = move |view: &View| show(text(view));
        let first = move |host| View::Broker {
            host,
            member: place.seen_from_member(host),
        };
        let server = Server::start(standin, first, show).map_err(Error::io("start a platform on", "127.0.0.1"))?;
        let (broker, cep) = (
            place.seen_from_member(server.broker()),
            place.seen_from_member(server.cep()),
        );
        let payload = identity.payload(payload, broker, cep);
        Ok(Self { server, payload })
    }

    /// The member's machine runs.
    pub fn launched(&self) {
        self.server.launched();
    }

    /// Takes commands from standard input; `stop` is called where one says so.
    pub fn take_commands(&self, stop: impl Fn() + Send + 'static) {
        if may_read_input() {
            let commander = self.server.commander();
            // Ends with the input or with this process: a read cannot be called off.
            thread::spawn(move || follow(io::stdin().lock(), &commander, stop));
        }
    }

    /// Whether a member that says in its log that it is Active is so here, too, as it must be soon after.
    pub fn sees_active(&self) -> bool {
        let seen = self.server.wait_active(ACTIVE_LIMIT);
        if !seen {
            note("the platform did not hear that the member is Active; next: look for `mqtt` or `stratos` in its log");
        }
        seen
    }

    /// Asks the member to leave. False where it cannot have heard that: it has never said anything.
    pub fn ask_to_leave(&self) -> bool {
        let heard = self.server.is_heard();
        if heard {
            self.server.commander().send(Command::Stop);
        }
        heard
    }

    /// The member's machine is gone.
    pub fn ended(&self) {
        self.server.ended();
    }
}

/// A terminal stops whoever reads from it in the background.
fn may_read_input() -> bool {
    let input = io::stdin();
    let foreground = || rustix::termios::tcgetpgrp(&input).is_ok_and(|group| group == rustix::process::getpgrp());
    !input.is_terminal() || foreground()
}

fn follow(mut input: impl BufRead, commander: &Commander, stop: impl Fn()) {
    let mut line = Vec::new();
    let limit = LINE_LIMIT as u64;
    while matches!(input.by_ref().take(limit).read_until(b'\n', &mut line), Ok(1..)) {
        match console::parse(&String::from_utf8_lossy(&line)) {
            Ok(Some(Command::Stop)) => stop(),
            Ok(Some(command)) => commander.send(command),
            Ok(None) => {}
            Err(hint) => commander.note(hint),
        }
        line.clear();
    }
}
