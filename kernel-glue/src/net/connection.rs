//! One TCP connection: a smoltcp socket with its buffers, and what the socket layer needs to know about it.

use super::frame::Flow;
use super::lone::{Lone, bytes, lend};
use super::system;
use crate::errno::Errno;
use crate::heap::{self, Box};
use crate::thread_types::Channel;
use smoltcp::socket::tcp::{self, State};
use smoltcp::time::Duration;

/// Below this much free memory (bytes) no connection is opened: what is left is for the program.
const RESERVE: u64 = 256 << 10;
/// The buffers of all connections together take at most this share of the memory that is free without them: the kernel's heap
/// never gives memory back, and peers decide how many connections there are.
const SHARE: u64 = 2;
/// A size is chosen while connections with this many buffers of it have room; below that, smaller ones are.
const SPARE: u64 = 64;

/// Free memory (bytes) from which a connection gets buffers of this size (bytes, each direction).
const BUFFER_SIZES: [(u64, usize); 4] = [(256 << 20, 65535), (32 << 20, 32768), (2 << 20, 8192), (RESERVE, 4096)];

/// smoltcp scales the window of a larger buffer (RFC 7323 2.3), but not that of its SYN|ACK (2.2): until its next segment it then
/// takes bytes that have no room in the buffer, and panics when the gap before them closes.
const GREATEST_BUFFER: usize = u16::MAX as usize;
const _: () = assert!(BUFFER_SIZES[0].1 <= GREATEST_BUFFER);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkId {
    Outside,
    Loopback,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Arrived at this listener; its handshake is not complete.
    Handshake(u32),
    /// Complete, waiting for accept.
    Backlog(u32),
    Program,
    /// Closed by the program, finishing on its own; given up at this time (ns).
    Nobody {
        until: u64,
    },
}

pub struct Connection {
    lone: Lone,
    pub flow: Flow,
    pub link: LinkId,
    pub owner: Owner,
    /// Why it ended, until the program has been told (SO_ERROR).
    pub error: Option<Errno>,
    /// When its timers want attention, ns.
    pub deadline: u64,
    /// When the peer was last heard from, ns.
    pub heard: u64,
    /// Since when an answer of the peer may be missing, ns.
    pub quiet_since: u64,
    /// When the program let go of it, ns.
    pub released: u64,
    /// Counted as one of those in TIME_WAIT.
    pub resting: bool,
    pub receive_waited: bool,
    pub send_waited: bool,
    /// Next in the same bucket of the table.
    pub next: u32,
}

impl Connection {
    /// `None` when memory is short. Other connections use `used` bytes; a `modest` one gets the smallest buffers.
    pub fn new(flow: &Flow, link: LinkId, owner: Owner, used: u64, modest: bool) -> Option<Box<Connection>> {
        let size = buffer_size(system::free_memory(), used, modest)?;
        let mut buffers = bytes(size * 2)?;
        // SAFETY: both slices belong to `buffers`, which `Lone` keeps and nobody touches.
        let lone = unsafe {
            let (receive, send) = lend(&mut buffers).split_at_mut(size);
            let socket = tcp::Socket::new(tcp::SocketBuffer::new(receive), tcp::SocketBuffer::new(send));
            Lone::new(socket, (heap::vec(), buffers))?
        };
        heap::try_box(Connection {
            lone,
            flow: *flow,
            link,
            owner,
            error: None,
            deadline: u64::MAX,
            heard: 0,
            quiet_since: system::now(),
            released: 0,
            resting: false,
            receive_waited: false,
            send_waited: false,
            next: u32::MAX,
        })
    }

    /// Bytes of its buffers.
    pub fn size(&self) -> u64 {
        2 * self.socket().send_capacity() as u64
    }

    pub fn lone(&mut self) -> &mut Lone {
        &mut self.lone
    }

    pub fn socket(&self) -> &tcp::Socket<'static> {
        self.lone.get()
    }

    pub fn socket_mut(&mut self) -> &mut tcp::Socket<'static> {
        self.lone.get_mut()
    }

    pub fn state(&self) -> State {
        self.socket().state()
    }

    pub fn connecting(&self) -> bool {
        matches!(self.state(), State::SynSent | State::SynReceived)
    }

    /// Something to read, or nothing ever again.
    pub fn readable(&self) -> bool {
        let socket = self.socket();
        socket.can_recv() || !(socket.may_recv() || self.connecting())
    }

    /// A third of the buffer is free, so that a writer is not woken for every acknowledgement; or writing fails at once.
    pub fn writable(&self) -> bool {
        let socket = self.socket();
        if socket.may_send() {
            (socket.send_capacity() - socket.send_queue()) * 3 >= socket.send_capacity()
        } else {
            !self.connecting()
        }
    }

    pub fn receive_channel(&self) -> Channel {
        Channel(self as *const Connection as usize)
    }

    pub fn send_channel(&self) -> Channel {
        Channel(self as *const Connection as usize + 1)
    }

    /// Wakes those who wait for what is now true.
    pub fn notify(&mut self) {
        if self.receive_waited && self.readable() {
            self.receive_waited = false;
            system::wake(self.receive_channel());
        }
        if self.send_waited && self.writable() {
            self.send_waited = false;
            system::wake(self.send_channel());
        }
    }

    /// Fails while the handshake takes longer than `duration`; established connections have no such limit.
    pub fn limit_handshake(&mut self, duration: Option<Duration>) {
        self.socket_mut().set_timeout(duration);
    }

    /// Ends a connection whose peer has answered nothing for too long: data unacknowledged, or keep-alive probes.
    pub fn give_up_if_silent(&mut self, now: u64) {
        let silent = now.saturating_sub(self.quiet_since) > super::SILENCE;
        let socket = self.socket_mut();
        let waits_for_peer = match socket.state() {
            State::Listen | State::Closed | State::TimeWait => false,
            // The FIN is owed an acknowledgement.
            State::FinWait1 | State::Closing | State::LastAck => true,
            _ => socket.send_queue() > 0 || socket.keep_alive().is_some(),
        };
        if waits_for_peer && silent {
            socket.abort();
        }
    }
}

fn buffer_size(free: u64, used: u64, modest: bool) -> Option<usize> {
    let room = ((free + used) / SHARE).checked_sub(used)?;
    let least = BUFFER_SIZES[BUFFER_SIZES.len() - 1].1;
    let fits = |(needed, size): &&(u64, usize)| {
        free >= *needed
            && if *size == least {
                room >= 2 * least as u64
            } else {
                !modest && room >= *size as u64 * SPARE
            }
    };
    BUFFER_SIZES.iter().find(fits).map(|(_, size)| *size)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes of the buffers of as many connections as fit into `memory` bytes.
    fn sizes(memory: u64, modest: bool) -> std::vec::Vec<usize> {
        let mut sizes = std::vec::Vec::new();
        let mut used = 0;
        while let Some(size) = buffer_size(memory - used, used, modest) {
            sizes.push(size);
            used += 2 * size as u64;
        }
        sizes
    }

    #[test]
    fn connections_leave_memory_to_the_program() {
        for memory in [1, 2, 13, 60, 500, 4000].map(|mebibytes| mebibytes << 20) {
            let used = sizes(memory, false).iter().map(|size| 2 * *size as u64).sum::<u64>();
            assert!(used <= memory / 2, "{used} of {memory}");
            assert!(used >= memory / 2 - 8192);
            assert!(sizes(memory, true).iter().all(|size| *size == 4096));
        }
        assert_eq!(sizes(RESERVE - 1, false), []);
        assert!(sizes(13 << 20, false).len() >= 400);
    }
}
