//! UDP sockets below the socket calls: which datagram is for whom, and the sockets' buffers.

use super::connection::LinkId;
use super::frame::Flow;
use super::link::LOOPBACK_MTU;
use super::lone::{Lone, bytes, filled, lend};
use super::ports::Binding;
use super::setup;
use super::stack::Inner;
use super::system;
use crate::errno::{Errno, Result};
use crate::heap::{self, Box, Vec};
use crate::thread_types::Channel;
use smoltcp::socket::udp::{self, PacketMetadata};
use smoltcp::wire::{IpAddress, IpEndpoint, IpListenEndpoint};

/// Datagrams that wait to be read, and their bytes.
const RECEIVE_QUEUE: usize = 32;
const RECEIVE_BYTES: usize = 16384;
/// Datagrams that wait for a neighbour's address, and their bytes.
const SEND_QUEUE: usize = 8;
const SEND_BYTES: usize = LOOPBACK_MTU;

type Memory = (Vec<PacketMetadata>, Vec<u8>);

pub struct Datagram {
    pub id: u32,
    lone: Lone<Memory>,
    pub binding: Binding,
    pub peer: Option<IpEndpoint>,
    pub error: Option<Errno>,
    pub receive_waited: bool,
    pub send_waited: bool,
    /// The link its last datagram went to.
    pub link: LinkId,
    deadline: u64,
}

impl Datagram {
    fn new(id: u32, binding: &Binding) -> Option<Box<Datagram>> {
        let queues = filled(RECEIVE_QUEUE + SEND_QUEUE, || PacketMetadata::EMPTY)?;
        let mut memory: Memory = (queues, bytes(RECEIVE_BYTES + SEND_BYTES)?);
        // SAFETY: all four slices belong to `memory`, which `Lone` keeps and nobody touches.
        let mut lone = unsafe {
            let (receive_queue, send_queue) = lend(&mut memory.0).split_at_mut(RECEIVE_QUEUE);
            let (receive, send) = lend(&mut memory.1).split_at_mut(RECEIVE_BYTES);
            let receive = udp::PacketBuffer::new(receive_queue, receive);
            let send = udp::PacketBuffer::new(send_queue, send);
            Lone::new(udp::Socket::new(receive, send), memory)?
        };
        let endpoint = IpListenEndpoint {
            addr: binding.address,
            port: binding.port,
        };
        lone.get_mut::<udp::Socket>().bind(endpoint).ok()?;
        heap::try_box(Datagram {
            id,
            lone,
            binding: *binding,
            peer: None,
            error: None,
            receive_waited: false,
            send_waited: false,
            link: LinkId::Loopback,
            deadline: u64::MAX,
        })
    }

    pub fn socket(&self) -> &udp::Socket<'static> {
        self.lone.get()
    }

    pub fn socket_mut(&mut self) -> &mut udp::Socket<'static> {
        self.lone.get_mut()
    }

    pub fn channel(&self) -> Channel {
        Channel(self as *const Datagram as usize)
    }

    fn notify(&mut self) {
        let readable = self.receive_waited && (self.socket().can_recv() || self.error.is_some());
        if readable || self.send_waited && self.socket().can_send() {
            (self.receive_waited, self.send_waited) = (false, false);
            system::wake(self.channel());
        }
    }

    /// How well the socket fits a datagram's flow; 0: not at all.
    fn fit(&self, flow: &Flow, broadcast: bool) -> u32 {
        let port = self.binding.port == flow.local.port;
        let address = match self.binding.address {
            Some(address) => broadcast || address == flow.local.addr,
            None => self.binding.v6 || matches!(flow.local.addr, IpAddress::Ipv4(_)),
        };
        match self.peer {
            _ if !port || !address => 0,
            Some(peer) if peer != flow.remote => 0,
            peer => 1 + self.binding.address.is_some() as u32 + 2 * peer.is_some() as u32,
        }
    }
}

pub struct Datagrams {
    #[allow(clippy::vec_box, reason = "growing a list of pointers moves no buffers")]
    all: Vec<Box<Datagram>>,
    next_id: u32,
}

impl Datagrams {
    pub fn new() -> Datagrams {
        Datagrams {
            all: heap::vec(),
            next_id: 0,
        }
    }

    #[inline(never)]
    pub fn add(&mut self, binding: &Binding) -> Result<u32> {
        let id = self.next_id;
        self.all.try_reserve(1).map_err(|_| Errno::ENOBUFS)?;
        self.all.push(Datagram::new(id, binding).ok_or(Errno::ENOBUFS)?);
        self.next_id = self.next_id.wrapping_add(1);
        Ok(id)
    }

    pub fn get(&mut self, id: u32) -> Result<&mut Datagram> {
        self.find(id).ok_or(Errno::EBADF)
    }

    #[inline(never)]
    fn find(&mut self, id: u32) -> Option<&mut Datagram> {
        self.all
            .iter_mut()
            .find(|datagram| datagram.id == id)
            .map(|datagram| &mut **datagram)
    }

    pub fn remove(&mut self, id: u32) -> Option<Box<Datagram>> {
        let at = self.all.iter().position(|datagram| datagram.id == id)?;
        let removed = self.all.swap_remove(at);
        if self.all.is_empty() {
            self.all = heap::vec();
        }
        Some(removed)
    }

    /// An ICMP error came back for a datagram of this flow: connected sockets are told.
    pub fn failed(&mut self, flow: &Flow, error: Errno) {
        let sender = |datagram: &&mut Box<Datagram>| {
            datagram.peer == Some(flow.remote) && datagram.binding.port == flow.local.port
        };
        if let Some(datagram) = self.all.iter_mut().find(sender) {
            datagram.error = Some(error);
            datagram.notify();
        }
    }
}

impl Inner {
    pub fn udp_ingress(&mut self, link: LinkId, frame: &[u8], flow: &Flow, now: u64) {
        if link == LinkId::Outside && self.setup.udp_ingress(&mut self.links, frame, flow, now) {
            return;
        }
        let broadcast = !flow.local.addr.is_unicast() || setup::is_broadcast(&mut self.links, link, &flow.local.addr);
        let (mut fitting, mut best) = (None, 1);
        for datagram in &mut self.datagrams.all {
            let fit = datagram.fit(flow, broadcast);
            if fit >= best {
                (fitting, best) = (Some(datagram), fit);
            }
        }
        match fitting {
            Some(datagram) => {
                self.links.deliver(link, frame, datagram.lone.set(), now);
                datagram.notify();
            }
            None => self.deliver_to_none(link, frame, now),
        }
    }

    /// Sends what socket `id` has queued on `link`.
    pub fn pump_datagram(&mut self, id: u32, link: LinkId, now: u64) {
        let Ok(datagram) = self.datagrams.get(id) else { return };
        datagram.link = link;
        if let Some(link) = self.links.get(link) {
            datagram.deadline = link.pump(datagram.lone.set(), now);
            self.next = self.next.min(datagram.deadline);
        }
    }

    pub fn datagram_timers(&mut self, now: u64) {
        for datagram in &mut self.datagrams.all {
            if datagram.deadline != u64::MAX
                && let Some(link) = self.links.get(datagram.link)
            {
                datagram.deadline = link.pump(datagram.lone.set(), now);
                datagram.notify();
            }
            self.next = self.next.min(datagram.deadline);
        }
    }
}
