//! UDP datagrams on their way out.
//!
//! Each is a smoltcp socket of its own until it is sent: one that waits for a neighbour holds up no other, may outlive the program's
//! socket, and is given up after a time.

use super::connection::LinkId;
use super::lone::{Lone, udp_socket};
use super::stack::Inner;
use crate::errno::{Errno, Result};
use crate::heap::{self, Vec};
use smoltcp::socket::udp::{self, UdpMetadata};
use smoltcp::wire::IpAddress;

/// How long a datagram waits for its neighbour's address, ns: three questions, as on Linux.
const PATIENCE: u64 = 3_000_000_000;
/// Most datagrams that wait; the oldest is given up for another.
const MOST: usize = 32;

struct Letter {
    lone: Lone,
    /// The socket that sent it.
    sender: u32,
    link: LinkId,
    destination: IpAddress,
    deadline: u64,
    until: u64,
}

pub struct Outbox {
    waiting: Vec<Letter>,
}

impl Outbox {
    pub fn new() -> Outbox {
        Outbox { waiting: heap::vec() }
    }
}

impl Inner {
    /// Sends a datagram of socket `sender`, or keeps it until its neighbour is known.
    pub fn send_datagram(
        &mut self,
        sender: u32,
        link: LinkId,
        to: UdpMetadata,
        hop_limit: u8,
        content: &[u8],
        now: u64,
    ) -> Result<()> {
        let from = self.datagrams.get(sender)?.binding.endpoint();
        let mut lone = udp_socket(from, (0, 0), (1, content.len())).ok_or(Errno::ENOBUFS)?;
        let socket = lone.get_mut::<udp::Socket>();
        socket.set_hop_limit(Some(hop_limit));
        socket.send_slice(content, to).map_err(|_| Errno::EINVAL)?;
        let mut letter = Letter {
            lone,
            sender,
            link,
            destination: to.endpoint.addr,
            deadline: 0,
            until: now + PATIENCE,
        };
        if !self.post(&mut letter, now) {
            let waiting = &mut self.outbox.waiting;
            if waiting.len() == MOST {
                waiting.remove(0);
            }
            waiting.try_reserve(1).map_err(|_| Errno::ENOBUFS)?;
            waiting.push(letter);
        }
        Ok(())
    }

    /// Whether the letter is gone.
    fn post(&mut self, letter: &mut Letter, now: u64) -> bool {
        let Some(link) = self.links.get(letter.link) else {
            return true;
        };
        letter.deadline = link.pump(letter.lone.set(), &letter.destination, now);
        self.next = self.next.min(letter.deadline).min(letter.until);
        letter.lone.get::<udp::Socket>().send_queue() == 0
    }

    /// Tries what is due, or `all`, again.
    pub fn post_waiting(&mut self, now: u64, all: bool) {
        // Out of the way while the letters use the rest.
        let mut waiting = core::mem::replace(&mut self.outbox.waiting, heap::vec());
        let mut at = 0;
        while let Some(letter) = waiting.get_mut(at) {
            self.next = self.next.min(letter.deadline).min(letter.until);
            let expired = now >= letter.until;
            if expired {
                self.datagrams.tell(letter.sender, Errno::EHOSTUNREACH);
            }
            if expired || (all || now >= letter.deadline) && self.post(letter, now) {
                waiting.remove(at);
            } else {
                at += 1;
            }
        }
        self.outbox.waiting = waiting;
    }
}
