//! Frames in and packets out, through smoltcp.

use super::{EGRESS_BURST, Links, RETRY};
use crate::net::connection::LinkId;
use crate::net::link::{Link, instant, nanoseconds};
use smoltcp::iface::{PollResult, SocketSet};
use smoltcp::wire::IpAddress;

impl Links {
    pub fn deliver(&mut self, id: LinkId, frame: &[u8], set: &mut SocketSet<'_>, now: u64) {
        if let Some(link) = self.get(id) {
            let mut port = link.port(Some(frame));
            link.interface.poll_ingress_single(instant(now), &mut port, set);
        }
    }
}

impl Link {
    /// Sends what the sockets of `set` may send now; returns when they next have to be looked at, ns.
    /// `destination` is where their packets go.
    // For speed, as smoltcp's part of sending is compiled into it: for size, descriptions of packets are copied byte by byte,
    // a twentieth of a request's instructions.
    #[cfg_attr(target_os = "hermit", optimize(speed))]
    pub fn pump(&mut self, set: &mut SocketSet<'_>, destination: &IpAddress, now: u64) -> u64 {
        let time = instant(now);
        let mut port = self.port(None);
        let mut idle = 0;
        for _ in 0..EGRESS_BURST {
            match self.interface.poll_at(time, set) {
                None => return u64::MAX,
                Some(due) if due > time => return nanoseconds(due),
                Some(_) => {}
            }
            // Once without a packet is a change of state inside the socket; twice is a device without room.
            if self.interface.poll_egress(time, &mut port, set) == PollResult::None {
                if port.unsent.replace(false) {
                    self.ask(destination, now);
                }
                idle += 1;
                if idle == 2 {
                    return now + RETRY;
                }
            }
        }
        now
    }
}
