//! Listening TCP sockets: which one a SYN is for, and the connections on their way to accept.

use super::ports::Families;
use super::system;
use crate::errno::{Errno, Result};
use crate::heap::{self, Box, Vec};
use crate::thread_types::Channel;
use smoltcp::wire::{IpAddress, IpEndpoint};

/// Largest backlog, as Linux's `net.core.somaxconn` once was.
pub const MOST_BACKLOG: usize = 128;

pub struct Listener {
    pub id: u32,
    /// `None`: every address.
    pub address: Option<IpAddress>,
    /// Counts with no address.
    pub families: Families,
    pub port: u16,
    pub backlog: usize,
    /// Handshakes, oldest first.
    pub half_open: Vec<u32>,
    /// Connections for accept, oldest first.
    pub ready: Vec<u32>,
    pub waited: bool,
}

impl Listener {
    pub fn channel(&self) -> Channel {
        Channel(self as *const Listener as usize)
    }

    /// The handshake of `index` is complete. Room was reserved when it began.
    pub fn completed(&mut self, index: u32) {
        take_out(&mut self.half_open, index);
        self.ready.push(index);
        if self.waited {
            self.waited = false;
            system::wake(self.channel());
        }
    }

    /// The oldest connection for accept.
    pub fn next(&mut self) -> Option<u32> {
        let first = *self.ready.first()?;
        take_out(&mut self.ready, first);
        Some(first)
    }

    fn serves(&self, local: &IpEndpoint) -> bool {
        let address = match self.address {
            Some(address) => address == local.addr,
            None => self.families.has(&local.addr),
        };
        address && self.port == local.port
    }
}

/// Short lists: what moves up is a few hundred bytes.
#[inline(never)]
fn take_out(list: &mut Vec<u32>, index: u32) {
    if let Some(at) = list.iter().position(|other| *other == index) {
        list.remove(at);
    }
}

pub struct Listeners {
    #[allow(clippy::vec_box, reason = "growing a list of pointers moves no queues")]
    all: Vec<Box<Listener>>,
    next_id: u32,
}

impl Listeners {
    pub fn new() -> Listeners {
        Listeners {
            all: heap::vec(),
            next_id: 0,
        }
    }

    pub fn add(&mut self, address: Option<IpAddress>, families: Families, port: u16, backlog: usize) -> Result<u32> {
        let id = self.next_id;
        let listener = Listener {
            id,
            address,
            families,
            port,
            backlog: backlog.clamp(1, MOST_BACKLOG),
            half_open: heap::vec(),
            ready: heap::vec(),
            waited: false,
        };
        self.all.try_reserve(1).map_err(|_| Errno::ENOBUFS)?;
        self.all.push(heap::try_box(listener).ok_or(Errno::ENOBUFS)?);
        self.next_id = self.next_id.wrapping_add(1);
        Ok(id)
    }

    pub fn get(&mut self, id: u32) -> Option<&mut Listener> {
        self.all
            .iter_mut()
            .find(|listener| listener.id == id)
            .map(|listener| &mut **listener)
    }

    /// The listener of one address goes before that of every address, and a family's own before the dual-stack one.
    pub fn find(&mut self, local: &IpEndpoint) -> Option<&mut Listener> {
        let (mut found, mut best) = (None, u8::MAX);
        for listener in &mut self.all {
            let rank = (listener.address.is_none() as u8) << 1 | (listener.families == Families::Both) as u8;
            if rank < best && listener.serves(local) {
                (found, best) = (Some(&mut **listener), rank);
            }
        }
        found
    }

    pub fn forget(&mut self, id: u32, index: u32) {
        if let Some(listener) = self.get(id) {
            take_out(&mut listener.half_open, index);
            take_out(&mut listener.ready, index);
        }
    }

    pub fn remove(&mut self, id: u32) -> Option<Box<Listener>> {
        let at = self.all.iter().position(|listener| listener.id == id)?;
        Some(self.all.swap_remove(at))
    }
}
