//! The stack: links below, connections and datagram sockets above, and the work a packet or a timer causes in between.
//!
//! Rule: everything here runs inside the kernel's critical section. [`Stack::run`] is the only way in; nothing waits inside
//! it, and it leaves with every packet that can be sent handed to its device.

mod challenge;
mod closing;
mod traffic;

use super::connection::{Connection, LinkId, Owner};
use super::datagram::Datagrams;
use super::device::NetworkDevice;
use super::frame::{Flow, Kind, classify};
use super::link::{LOOPBACK_MTU, Link, Loopback};
use super::listener::Listeners;
use super::outbox::Outbox;
use super::ports::Ports;
use super::setup::Setup;
use super::system;
use super::table::Table;
use crate::errno::{Errno, Result};
use crate::heap::{self, Box};
use core::cell::{Cell, RefCell, RefMut};
use smoltcp::iface::SocketSet;
use smoltcp::socket::tcp::State;
use smoltcp::wire::{HardwareAddress, IpAddress};

/// Frames taken from the device in one step: a flood cannot keep the program from running.
const INGRESS_BURST: usize = 64;
/// Packets sent by one socket in one step.
const EGRESS_BURST: usize = 64;
/// When a device has no room, its senders try again this much later (ns).
const RETRY: u64 = 1_000_000;

pub struct Stack {
    inner: RefCell<Inner>,
    /// When the stack next wants to be polled, ns: the scheduler asks often.
    next: Cell<u64>,
}

pub struct Inner {
    pub links: Links,
    pub connections: Table,
    pub listeners: Listeners,
    pub datagrams: Datagrams,
    pub outbox: Outbox,
    pub ports: Ports,
    pub setup: Setup,
    /// Earliest deadline of anything, ns; may be too early, never too late.
    pub next: u64,
    /// The present step's time, ns.
    now: u64,
    /// Orphaned connections in TIME_WAIT.
    pub resting: usize,
    /// Packets came by loopback after the last work.
    looped: bool,
}

/// The device, once there is one and it was asked for; and loopback.
pub struct Links {
    pub nic: Option<&'static dyn NetworkDevice>,
    pub outside: Option<Box<Link>>,
    pub loopback: Box<Link>,
}

impl Links {
    pub fn get(&mut self, id: LinkId) -> Option<&mut Link> {
        match id {
            LinkId::Outside => self.outside.as_deref_mut(),
            LinkId::Loopback => Some(&mut self.loopback),
        }
    }
}

impl Stack {
    /// `None` when the kernel heap is exhausted.
    // In memory, so that one copy moves it.
    #[inline(never)]
    pub fn new(nic: Option<&'static dyn NetworkDevice>) -> Option<Stack> {
        let device: &'static Loopback = Box::leak(heap::try_box(Loopback::new())?);
        let mut loopback = Link::new(device, HardwareAddress::Ip, LOOPBACK_MTU)?;
        super::setup::configure_loopback(&mut loopback.interface);
        let inner = Inner {
            links: Links {
                nic,
                outside: None,
                loopback,
            },
            connections: Table::new(),
            listeners: Listeners::new(),
            datagrams: Datagrams::new(),
            outbox: Outbox::new(),
            ports: Ports::new(),
            setup: Setup::new(),
            next: u64::MAX,
            now: 0,
            resting: 0,
            looped: false,
        };
        Some(Stack {
            inner: RefCell::new(inner),
            next: Cell::new(u64::MAX),
        })
    }

    /// Runs `work` on the stack at the present time (ns), then moves what it left to be moved.
    pub fn run<R>(&self, work: impl FnOnce(&mut Inner, u64) -> R) -> R {
        let mut inner = self.enter();
        let now = inner.now;
        let result = work(&mut inner, now);
        self.leave(inner);
        result
    }

    #[inline(never)]
    fn hold(&self) -> RefMut<'_, Inner> {
        self.inner.borrow_mut()
    }

    #[inline(never)]
    fn enter(&self) -> RefMut<'_, Inner> {
        let mut inner = self.hold();
        inner.now = system::now();
        inner
    }

    /// Moves what the work done left to be moved.
    #[inline(never)]
    fn leave(&self, mut inner: RefMut<'_, Inner>) {
        let now = inner.now;
        self.next.set(inner.finish(now));
    }

    /// Whether something came by loopback after the last work: it has woken nobody who is about to wait for it.
    pub fn has_looped(&self) -> bool {
        self.look(|inner| inner.looped)
    }

    /// Runs `work`, which neither sends nor sets timers.
    pub fn look<R>(&self, work: impl FnOnce(&mut Inner) -> R) -> R {
        work(&mut self.hold())
    }

    /// Takes a bounded number of frames, runs the timers that are due, and sends.
    pub fn poll(&self) {
        if let Ok(mut inner) = self.inner.try_borrow_mut() {
            let now = system::now();
            inner.now = now;
            let again = inner.receive(now);
            if inner.next <= now {
                inner.timers(now, false);
            }
            inner.next = inner.next.min(again);
            self.leave(inner);
        }
    }

    #[cfg_attr(not(target_os = "hermit"), allow(dead_code))]
    /// When `poll` next has something to do, ns.
    pub fn deadline(&self) -> u64 {
        let interval = match self.inner.try_borrow() {
            Ok(inner) if inner.links.outside.is_some() => inner.links.nic.map_or(u64::MAX, |nic| nic.poll_interval()),
            _ => u64::MAX,
        };
        match interval {
            u64::MAX => self.next.get(),
            interval => self.next.get().min(system::now().saturating_add(interval)),
        }
    }

    #[cfg_attr(not(target_os = "hermit"), allow(dead_code))]
    /// Asks the device for an interrupt; false when frames are already there.
    pub fn arm(&self) -> bool {
        match self.inner.try_borrow() {
            Ok(inner) if inner.links.outside.is_some() => inner.links.nic.is_none_or(|nic| nic.arm()),
            _ => true,
        }
    }
}

impl Inner {
    /// The program needs the outside: brings the network up if nobody did.
    pub fn need_network(&mut self, now: u64) {
        self.setup.need(&mut self.links, now);
    }

    /// Takes a bounded number of frames; answers when to look for further ones, ns.
    ///
    /// smoltcp takes a frame only where it could send an answer. While the device has no room for one, frames stay with it:
    /// taken, they would be lost, and a peer may count on never losing any (QEMU's user network sends nothing twice).
    fn receive(&mut self, now: u64) -> u64 {
        let Some(device) = self.links.outside.as_ref().map(|link| link.device) else {
            return u64::MAX;
        };
        for _ in 0..INGRESS_BURST {
            if !device.can_transmit() && device.can_receive() {
                return now + RETRY;
            }
            if !device.receive(&mut |frame| self.ingress(LinkId::Outside, frame, now)) {
                return u64::MAX;
            }
        }
        // More may be there: come back at once, after others had their turn.
        now
    }

    /// Empties the loopback queue and rings the device's doorbell; answers when the stack next wants to be polled.
    #[inline(never)]
    fn finish(&mut self, now: u64) -> u64 {
        self.looped = self.links.loopback.device.can_receive();
        if self.looped {
            self.loop_back(now);
        }
        if let Some(link) = &self.links.outside {
            link.device.flush();
        }
        self.next = self.next.min(self.setup.deadline());
        self.next
    }

    #[cold]
    fn loop_back(&mut self, now: u64) {
        let loopback = self.links.loopback.device;
        for _ in 0..EGRESS_BURST * 2 {
            if !loopback.receive(&mut |packet| self.ingress(LinkId::Loopback, packet, now)) {
                return;
            }
        }
        self.next = now;
    }

    #[inline(never)]
    fn ingress(&mut self, link: LinkId, frame: &[u8], now: u64) {
        match classify(frame, link == LinkId::Outside) {
            Kind::Tcp { flow, opens } => self.tcp_ingress(link, frame, &flow, opens, now),
            Kind::Udp(flow) => self.udp_ingress(link, frame, &flow, now),
            Kind::Arp(target) => {
                if let Some(outside) = &self.links.outside
                    && outside.interface.has_ip_addr(target)
                    && let Some(masked) = outside.hops.mask(frame)
                {
                    self.neighbour(link, &masked, now);
                }
            }
            Kind::Neighbour(about) => {
                let ours = |outside: &Link| about.is_multicast() || outside.interface.has_ip_addr(about);
                if self.links.outside.as_deref().is_some_and(ours) {
                    self.neighbour(link, frame, now);
                }
            }
            Kind::RouterAdvertisement => self.setup.router_ingress(&mut self.links, frame, now),
            Kind::Unreachable { udp, flow, port } => self.unreachable(udp, &flow, port, now),
            // Anyone could have sent this, so it has to be about a connection that exists; the harm is small packets.
            Kind::TooBig { flow, mtu } if self.connections.find(&flow).is_some() => {
                let v6 = matches!(flow.remote.addr, IpAddress::Ipv6(_));
                self.setup.path_ingress(&mut self.links, mtu, v6, now);
            }
            Kind::TooBig { .. } => {}
            Kind::Other => self.deliver_to_none(link, frame, now),
            Kind::Martian => {}
        }
    }

    fn neighbour(&mut self, link: LinkId, frame: &[u8], now: u64) {
        self.deliver_to_none(link, frame, now);
        // It may be the answer that senders wait for.
        self.timers(now, true);
    }

    /// Ping, ARP, neighbour discovery, and refusals of what no socket wants.
    pub fn deliver_to_none(&mut self, link: LinkId, frame: &[u8], now: u64) {
        self.links.deliver(link, frame, &mut SocketSet::new(&mut [][..]), now);
    }

    fn tcp_ingress(&mut self, link: LinkId, frame: &[u8], flow: &Flow, opens: bool, now: u64) {
        let mut found = self.connections.find(flow);
        if let Some(index) = found {
            let connection = self.connections.get(index);
            if connection.link != link {
                return;
            }
            if opens {
                match (connection.state(), connection.owner) {
                    (State::Listen | State::SynSent | State::SynReceived, _) => {}
                    // The peer uses its port again before we, or the program, forgot the last connection from it.
                    (State::TimeWait | State::Closed, owner) => {
                        match owner {
                            Owner::Nobody { .. } => self.remove(index),
                            _ => self.connections.unlink(index),
                        }
                        found = None;
                    }
                    _ => return self.challenge(index, link, frame, now),
                }
            }
        }
        let index = match found {
            Some(index) => index,
            None if opens && self.is_ours(link, flow) => match self.open(link, flow, now) {
                Some(Ok(index)) => index,
                // A full backlog: the peer tries again.
                Some(Err(Errno::EAGAIN)) => return,
                // No memory, or nobody listens: refused at once.
                Some(Err(_)) | None => return self.deliver_to_none(link, frame, now),
            },
            None => return self.deliver_to_none(link, frame, now),
        };
        let connection = self.connections.get(index);
        let was = connection.state();
        (connection.heard, connection.quiet_since) = (now, now);
        self.links.deliver(link, frame, connection.lone().set(), now);
        self.settle(index, was, now);
    }

    fn is_ours(&mut self, link: LinkId, flow: &Flow) -> bool {
        self.links
            .get(link)
            .is_some_and(|link| link.interface.has_ip_addr(flow.local.addr))
    }

    /// A listening connection for a SYN: `None` when nobody listens there, EAGAIN when the backlog
    /// is full, ENOBUFS without memory.
    fn open(&mut self, link: LinkId, flow: &Flow, now: u64) -> Option<Result<u32>> {
        let listener = self.listeners.find(&flow.local)?;
        let id = listener.id;
        if listener.ready.len() >= listener.backlog {
            return Some(Err(Errno::EAGAIN));
        }
        if listener.half_open.len() >= listener.backlog.max(8) {
            // A handshake takes a round trip: one that waits longer may be from a flood, a young one is not given up.
            let oldest = *listener.half_open.first()?;
            if now.saturating_sub(self.connections.get(oldest).quiet_since) < super::YOUNG {
                return Some(Err(Errno::EAGAIN));
            }
            self.remove(oldest);
        }
        let endpoint = smoltcp::wire::IpListenEndpoint {
            addr: Some(flow.local.addr),
            port: flow.local.port,
        };
        Some(self.insert(flow, link, Owner::Handshake(id), now).and_then(|index| {
            let connection = self.connections.get(index);
            connection.limit_handshake(Some(super::HANDSHAKE));
            connection.socket_mut().listen(endpoint).map_err(|_| Errno::EINVAL)?;
            if let Some(listener) = self.listeners.get(id) {
                listener.half_open.push(index);
            }
            Ok(index)
        }))
    }

    /// A new connection in the table; makes room by forgetting finished ones when memory is short.
    pub fn insert(&mut self, flow: &Flow, link: LinkId, owner: Owner, now: u64) -> Result<u32> {
        let mut modest = false;
        if let Owner::Handshake(id) = owner
            && let Some(listener) = self.listeners.get(id)
        {
            modest = listener.half_open.len() >= super::CROWD;
            listener.half_open.try_reserve(1).map_err(|_| Errno::ENOBUFS)?;
            listener
                .ready
                .try_reserve(listener.half_open.len() + 1)
                .map_err(|_| Errno::ENOBUFS)?;
        }
        for _ in 0..2 {
            let connection = Connection::new(flow, link, owner, self.connections.bytes(), modest);
            if let Some(index) = connection.and_then(|connection| self.connections.insert(connection)) {
                return Ok(index);
            }
            if !self.forget_finished(now) {
                break;
            }
        }
        Err(Errno::ENOBUFS)
    }

    /// Sends what the connection has to send and draws the consequences of what happened to it since state `was`.
    pub fn settle(&mut self, index: u32, was: State, now: u64) {
        self.pump(index, now);
        let connection = self.connections.get(index);
        let state = connection.state();
        if state == State::Closed && was != State::Closed {
            connection.error = connection.error.or(end_reason(was, now, connection.heard));
        }
        if matches!(was, State::Listen | State::SynSent | State::SynReceived) && !connection.connecting() {
            connection.limit_handshake(None);
        }
        match connection.owner {
            Owner::Handshake(id) => self.settle_handshake(index, id, state),
            Owner::Backlog(_) => {}
            Owner::Program => connection.notify(),
            Owner::Nobody { .. } => self.settle_orphan(index, was, now),
        }
    }

    fn settle_handshake(&mut self, index: u32, id: u32, state: State) {
        match state {
            State::SynReceived => {}
            State::Listen | State::Closed => self.remove(index),
            _ => {
                let connection = self.connections.get(index);
                connection.owner = Owner::Backlog(id);
                if let Some(listener) = self.listeners.get(id) {
                    listener.completed(index);
                }
            }
        }
    }

    pub fn remove(&mut self, index: u32) {
        let connection = self.connections.get(index);
        self.resting -= connection.resting as usize;
        if let Owner::Handshake(id) | Owner::Backlog(id) = connection.owner {
            self.listeners.forget(id, index);
        }
        self.connections.remove(index);
    }

    /// Sends what one connection may send now, and notes when it next has to be looked at.
    fn pump(&mut self, index: u32, now: u64) {
        let connection = self.connections.get(index);
        if let Some(link) = self.links.get(connection.link) {
            let remote = connection.flow.remote.addr;
            connection.deadline = link.pump(connection.lone().set(), &remote, now);
            self.next = self.next.min(connection.deadline);
        }
    }

    /// Runs the timers that are due, or `all` that are set.
    #[inline(never)]
    fn timers(&mut self, now: u64, all: bool) {
        self.next = u64::MAX;
        let mut from = 0;
        while let Some(index) = self.connections.next_index(from) {
            from = index + 1;
            let connection = self.connections.get(index);
            let until = match connection.owner {
                Owner::Nobody { until } => until,
                _ => u64::MAX,
            };
            if now >= until {
                self.abandon(index, now);
                continue;
            }
            self.next = self.next.min(connection.deadline).min(until);
            if connection.deadline <= now || all && connection.deadline != u64::MAX {
                let was = connection.state();
                connection.give_up_if_silent(now);
                self.settle(index, was, now);
            }
        }
        self.post_waiting(now, all);
        self.setup.step(&mut self.links, now);
    }

    fn unreachable(&mut self, udp: bool, flow: &Flow, port: bool, now: u64) {
        let error = if port { Errno::ECONNREFUSED } else { Errno::EHOSTUNREACH };
        if udp {
            self.datagrams.failed(flow, error);
        } else if let Some(index) = self.connections.find(flow) {
            let connection = self.connections.get(index);
            // Anyone could have sent this: only a connection that does not exist yet is given up (RFC 5927 4).
            if connection.state() == State::SynSent && connection.owner == Owner::Program {
                connection.error = Some(error);
                connection.socket_mut().abort();
                self.settle(index, State::SynSent, now);
            }
        }
    }
}

/// What the program is told when a connection ended in state `was`.
fn end_reason(was: State, now: u64, heard: u64) -> Option<Errno> {
    match was {
        // Ended by what was just received, or by a timer?
        State::SynSent | State::SynReceived if heard != now => Some(Errno::ETIMEDOUT),
        State::SynSent => Some(Errno::ECONNREFUSED),
        State::LastAck | State::TimeWait | State::Listen => None,
        _ if heard != now => Some(Errno::ETIMEDOUT),
        State::CloseWait => Some(Errno::EPIPE),
        _ => Some(Errno::ECONNRESET),
    }
}
