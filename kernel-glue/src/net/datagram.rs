//! UDP sockets below the socket calls: which datagram is for whom, and the sockets' buffers.

use super::connection::LinkId;
use super::frame::Flow;
use super::lone::{Lone, udp_socket};
use super::ports::Binding;
use super::setup;
use super::stack::Inner;
use super::system;
use crate::errno::{Errno, Result};
use crate::heap::{self, Box, Vec};
use crate::thread_types::Channel;
use smoltcp::socket::udp;
use smoltcp::wire::IpEndpoint;

/// Datagrams that wait to be read, and their bytes.
const RECEIVE_QUEUE: usize = 32;
const RECEIVE_BYTES: usize = 16384;

pub struct Datagram {
    pub id: u32,
    lone: Lone,
    pub binding: Binding,
    pub peer: Option<IpEndpoint>,
    pub error: Option<Errno>,
    pub receive_waited: bool,
}

impl Datagram {
    fn new(id: u32, binding: &Binding) -> Option<Box<Datagram>> {
        // What is sent goes through the outbox.
        let lone = udp_socket(binding.endpoint(), (RECEIVE_QUEUE, RECEIVE_BYTES), (0, 0))?;
        heap::try_box(Datagram {
            id,
            lone,
            binding: *binding,
            peer: None,
            error: None,
            receive_waited: false,
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
        if self.receive_waited && (self.socket().can_recv() || self.error.is_some()) {
            self.receive_waited = false;
            system::wake(self.channel());
        }
    }

    /// How well the socket fits a datagram's flow; 0: not at all.
    fn fit(&self, flow: &Flow, broadcast: bool) -> u32 {
        let port = self.binding.port == flow.local.port;
        let address = match self.binding.address {
            Some(address) => broadcast || address == flow.local.addr,
            None => self.binding.families.has(&flow.local.addr),
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
        if let Some(id) = self.all.iter_mut().find(sender).map(|datagram| datagram.id) {
            self.tell(id, error);
        }
    }

    /// The next call on the socket fails, if it still exists.
    pub fn tell(&mut self, id: u32, error: Errno) {
        if let Some(datagram) = self.find(id) {
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
}
