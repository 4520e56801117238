//! The other end of a guest's network cable: a small network of our own making, on the Ethernet that QEMU plugs the guest's
//! card into. It needs no privileges and nothing of the host's network, and it sees and decides everything: which DHCP
//! answers there are, which router advertises itself, whether a name server stays silent.
//!
//! Principles:
//! - **Strict.** What a real server or router would refuse or ignore ends the test with the reason.
//! - **One thread.** Nothing happens but inside [`Lan::run`], so a test reads in the order in which things happen.

mod bridge;
mod cable;
pub mod dhcp;
pub mod dns;
pub mod frames;
mod host;
pub mod router;
mod web;
pub mod world;

use crate::cloud::Cloud;
use anyhow::{Context, Result};
use cable::Cable;
use frames::Heard;
use host::Host;
use qemu::{Guest, Launch, Machine, NetworkCard};
use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Our machine on the Ethernet: router, servers and clients in one.
pub const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
/// The card of a guest.
pub const GUEST_MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// A second router, to tell which one a guest uses.
pub const OTHER_ROUTER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
/// A network behind the second router (TEST-NET-2, RFC 5737), of which we are every machine.
pub const BEHIND: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
/// A machine of a network behind the first (TEST-NET-3).
pub const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
pub const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
pub const ADDRESS6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 1);
/// A machine of a network behind us (RFC 3849).
pub const FAR6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
/// Where clouds have their metadata services: on no network of ours. And their addresses of IPv6: OpenStack's, on the link, and EC2's.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
pub const METADATA6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
];
/// Where a guest may connect to; what it sends comes back.
pub const ECHO_PORT: u16 = 7;

/// The guest's own address on the link.
pub const GUEST_LINK_LOCAL: Ipv6Addr = made_of_the_card([0xfe80, 0, 0, 0]);

/// The address that a prefix makes of the guest's card (RFC 4291, appendix A).
pub const fn made_of_the_card([a, b, c, d]: [u16; 4]) -> Ipv6Addr {
    let m = GUEST_MAC;
    Ipv6Addr::new(
        a,
        b,
        c,
        d,
        u16::from_be_bytes([m[0] ^ 2, m[1]]),
        u16::from_be_bytes([m[2], 0xff]),
        u16::from_be_bytes([0xfe, m[3]]),
        u16::from_be_bytes([m[4], m[5]]),
    )
}

/// Frames kept for a test to look at; more than any test lets pass.
const KEPT: usize = 10_000;
/// QEMU plugs its end in before it builds the machine.
const PLUG_LIMIT: Duration = Duration::from_secs(20);

pub struct Lan {
    cable: Cable,
    host: Host,
    /// Nobody answers DHCP without one.
    pub dhcp: Option<dhcp::Server>,
    pub dns: dns::Server,
    /// Nobody advertises a route without one.
    pub router: Option<router::Router>,
    /// No port 80 without one.
    pub cloud: Option<Cloud>,
    /// The address of each request to it.
    pub cloud_asked_at: Vec<IpAddr>,
    /// While true, nothing of ours answers anything, as if the cable were cut on our side.
    pub dead: bool,
    /// What the guest sent, the oldest first.
    pub heard: VecDeque<Heard>,
}

/// What was waited for did not come.
#[derive(Debug)]
struct NotInTime(String);

impl fmt::Display for NotInTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotInTime {}

impl Lan {
    /// Starts the guest on this network, which has its name server and nothing else yet.
    pub fn start(mut launch: Launch) -> Result<(Lan, Guest)> {
        let socket = cable::Socket::new()?;
        launch.card = Some(NetworkCard::None);
        let device = if launch.machine == Machine::Microvm {
            launch
                .extra
                .extend(["-global", "virtio-mmio.force-legacy=false"].map(String::from));
            "virtio-net-device"
        } else {
            "virtio-net-pci,romfile="
        };
        let netdev = format!("stream,id=wire,server=off,addr.type=unix,addr.path={}", socket.path());
        let [a, b, c, d, e, f] = GUEST_MAC;
        let device = format!("{device},netdev=wire,mac={a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
        launch
            .extra
            .extend(["-netdev", &netdev, "-device", &device].map(String::from));
        let guest = launch.start().map_err(|error| anyhow::anyhow!("{error}"))?;
        let lan = Lan {
            cable: socket.plugged(PLUG_LIMIT)?,
            host: Host::new(),
            dhcp: None,
            dns: dns::Server::default(),
            router: None,
            cloud: None,
            cloud_asked_at: Vec::new(),
            dead: false,
            heard: VecDeque::new(),
        };
        Ok((lan, guest))
    }

    /// Lets the network work until `check` gives something.
    pub fn run<T>(&mut self, what: &str, limit: Duration, mut check: impl FnMut(&mut Lan) -> Option<T>) -> Result<T> {
        let end = Instant::now() + limit;
        loop {
            if let Some(found) = check(self) {
                return Ok(found);
            }
            if Instant::now() >= end {
                return Err(NotInTime(format!(
                    "{what}: not within {limit:?}; the last frames were\n{}",
                    self.last_heard()
                ))
                .into());
            }
            self.turn(end).with_context(|| format!("while waiting for {what}"))?;
        }
    }

    /// Takes a frame if one comes soon, and lets everyone answer.
    fn turn(&mut self, end: Instant) -> Result<()> {
        let patience = end.saturating_duration_since(Instant::now()).min(self.host.due());
        if let Some(frame) = self.cable.receive(patience)? {
            let heard = Heard::new(frame);
            if !self.dead {
                self.answer(&heard.frame)?;
            }
            if self.heard.len() == KEPT {
                self.heard.pop_front();
            }
            self.heard.push_back(heard);
        }
        if self.dead {
            return Ok(());
        }
        let (host, dns) = (&mut self.host, &mut self.dns);
        host.answer_datagrams(|from, question| dns.answer(from, question))?;
        if let Some(cloud) = &mut self.cloud {
            let asked = host.answer_requests(cloud);
            self.cloud_asked_at.extend(asked);
        }
        host.poll();
        for frame in host.sent() {
            self.cable.send(&frame)?;
        }
        Ok(())
    }

    fn answer(&mut self, frame: &[u8]) -> Result<()> {
        if let Some(dhcp) = &mut self.dhcp
            && let Some(answer) = dhcp.answer(frame).context("the DHCP server refuses")?
        {
            self.cable.send(&answer)?;
        }
        if let Some(router) = &mut self.router
            && let Some(answer) = router.answer(frame).context("the router refuses")?
        {
            self.cable.send(&answer)?;
        }
        // Our stack would say of any address that it is its own.
        let nobody = frames::arp_request(frame).is_some_and(|asked| ![ADDRESS, OTHER_ROUTER].contains(&asked));
        if !nobody {
            self.host.receive(frame);
        }
        Ok(())
    }

    /// Sends a frame as it is.
    pub fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.cable.send(frame)
    }

    /// Connects to the guest, sends a line, and reads until the guest closes.
    pub fn ask(&mut self, to: SocketAddr, line: &str, limit: Duration) -> Result<String> {
        let what = format!("the answer of {to} to {line:?}");
        let socket = self.host.connect(to)?;
        let (mut unsent, mut answer) = (format!("{line}\n").into_bytes(), Vec::new());
        let ended = self.run(&what, limit, |lan| lan.host.converse(socket, &mut unsent, &mut answer));
        self.host.close(socket);
        ended.and_then(|ended| ended)?;
        Ok(String::from_utf8(answer)?)
    }

    /// As [`Lan::ask`], again until the guest listens.
    pub fn ask_when_ready(&mut self, to: SocketAddr, line: &str, limit: Duration) -> Result<String> {
        let end = Instant::now() + limit;
        loop {
            match self.ask(to, line, Duration::from_secs(5)) {
                Err(error) if Instant::now() > end => return Err(error),
                Err(error) if error.is::<host::Refused>() => {}
                Err(error) if error.is::<NotInTime>() => {}
                answer => return answer,
            }
        }
    }

    /// Sends an ICMP echo request and waits for its answer; an error when the data is not what was sent.
    pub fn ping(&mut self, to: IpAddr, length: usize, limit: Duration) -> Result<()> {
        let data: Vec<u8> = (0..length).map(|index| (index * 7) as u8).collect();
        let socket = self.host.ping(to, &data)?;
        let what = format!("an echo of {length} bytes from {to}");
        let echo = self.run(&what, limit, |lan| lan.host.echo(socket, to));
        self.host.close(socket);
        let echo = echo??;
        anyhow::ensure!(echo == data, "{} bytes came back, changed or not all", echo.len());
        Ok(())
    }

    /// As [`Lan::ask`], on so many connections whose first packets leave in the same moment.
    pub fn ask_at_once(&mut self, to: SocketAddr, count: usize, line: &str, limit: Duration) -> Result<Vec<String>> {
        let what = format!("{count} answers of {to} to {line:?}");
        let line = format!("{line}\n").into_bytes();
        let mut open = Vec::new();
        for _ in 0..count {
            open.push((self.host.connect(to)?, line.clone(), Vec::new(), false));
        }
        let answered = self.run(&what, limit, |lan| {
            for (socket, unsent, answer, ended) in open.iter_mut().filter(|(.., ended)| !ended) {
                match lan.host.converse(*socket, unsent, answer) {
                    Some(Ok(())) => *ended = true,
                    Some(Err(error)) => return Some(Err(error)),
                    None => {}
                }
            }
            open.iter().all(|(.., ended)| *ended).then_some(Ok(()))
        });
        let unanswered = open.iter().filter(|(.., ended)| !ended).count();
        open.iter().for_each(|(socket, ..)| self.host.close(*socket));
        answered
            .and_then(|answered| answered)
            .with_context(|| format!("{unanswered} were not answered"))?;
        open.into_iter()
            .map(|(_, _, answer, _)| Ok(String::from_utf8(answer)?))
            .collect()
    }

    /// Lets the guest reach a port of this host's loopback at a port of our machine's.
    pub fn bridge(&mut self, port: u16, server: u16) {
        self.host.bridge(port, server);
    }

    /// Ends our side of every connection from the guest to the echo port.
    pub fn hang_up(&mut self) {
        self.host.hang_up();
    }

    /// How many connections from the guest to the echo port are open.
    pub fn connections(&self) -> usize {
        self.host.served()
    }

    fn last_heard(&self) -> String {
        let last = self.heard.iter().rev().take(12).rev();
        last.map(|heard| heard.to_string()).collect::<Vec<_>>().join("\n")
    }
}
