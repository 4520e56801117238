//! The DHCP client (RFC 2131 4.4): how a lease is asked for, kept and lost.
//!
//! What it sends are whole frames: a client has no address to send from yet, and later knows where its server is.

use super::lease::{Lease, is_host};
use super::{SECOND, room_at, system};
use crate::net::ask::send;
use crate::net::device::NetworkDevice;
use crate::net::dhcp_options::REQUESTED;
use crate::net::frame::ETHERNET_HEADER;
use core::net::Ipv4Addr;
use smoltcp::wire::{Ipv4Packet, UdpPacket};

/// Pauses between questions are as long as the time already waited, 1 s at least and this at most, in seconds (RFC 2131 4.1).
const LONGEST_PAUSE: u64 = 64;
/// Requests for one offer.
const MOST_TRIES: u8 = 4;
/// Least pause between requests to renew (RFC 2131 4.4.5), ns; less where the lease leaves no time for it.
const LEAST_PAUSE: u64 = 60 * SECOND;
/// The shortest lease that is believed, ns: a server that gives less would be asked without end.
const SHORTEST_LEASE: u64 = 8 * SECOND;

pub const SERVER_PORT: u16 = 67;
pub const CLIENT_PORT: u16 = 68;

/// Message types (RFC 2132 9.6).
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;

/// Options (RFC 2132).
const REQUESTED_ADDRESS: u8 = 50;
const MESSAGE_TYPE: u8 = 53;
const SERVER: u8 = 54;
const WANTED: u8 = 55;
const LARGEST_MESSAGE: u8 = 57;
const CLIENT: u8 = 61;
const END: u8 = 255;

/// The fixed part of a message with the cookie after it (RFC 2131 2 and 3), and the least that relays take (RFC 1542 2.1).
const FIXED: usize = 240;
const MESSAGE: usize = 300;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const IP: usize = ETHERNET_HEADER;
const UDP: usize = IP + 20;
const BOOTP: usize = UDP + 8;
const FRAME: usize = BOOTP + MESSAGE;
/// Where options begin, and where those that name an offer do.
const OPTIONS: usize = BOOTP + FIXED;
const CHOICE: usize = OPTIONS + 18 + REQUESTED.len();
/// Bytes of the largest message that is taken: an Ethernet frame's.
const LARGEST: u16 = 1500 - 28;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Discovering,
    Requesting,
    Bound,
}

pub struct Dhcp {
    phase: Phase,
    /// Of the present exchange.
    transaction: u32,
    /// When asking began, ns.
    since: u64,
    /// When there is next something to do, ns.
    due: u64,
    tries: u8,
    /// Offered or leased.
    address: Ipv4Addr,
    server: Ipv4Addr,
    /// The Ethernet address that the lease came from: the way to the server.
    via: [u8; 6],
    /// When other servers are asked too, and when the lease ends, ns.
    rebind: u64,
    end: u64,
}

impl Dhcp {
    pub fn new(now: u64) -> Dhcp {
        Dhcp {
            phase: Phase::Discovering,
            transaction: 0,
            since: now,
            due: now,
            tries: 0,
            address: Ipv4Addr::UNSPECIFIED,
            server: Ipv4Addr::UNSPECIFIED,
            via: [0; 6],
            rebind: 0,
            end: 0,
        }
    }

    pub fn deadline(&self) -> u64 {
        self.due
    }

    /// Sends what is due; whether the lease ended.
    pub fn step(&mut self, device: &dyn NetworkDevice, now: u64) -> bool {
        if now < self.due {
            return false;
        }
        let ended = self.phase == Phase::Bound && now >= self.end;
        if ended || self.phase == Phase::Requesting && self.tries == MOST_TRIES {
            let since = if ended { now } else { self.since };
            *self = Dhcp {
                since,
                ..Dhcp::new(now)
            };
        }
        if !device.can_transmit() {
            self.due = room_at(device, now);
            return ended;
        }
        self.due = match self.phase {
            Phase::Discovering => {
                self.transaction = system::random() as u32;
                self.after_pause(now)
            }
            Phase::Requesting => {
                self.tries += 1;
                now + (SECOND << self.tries) / 2
            }
            Phase::Bound => {
                let next = if now < self.rebind { self.rebind } else { self.end };
                let least = LEAST_PAUSE.min(self.end - self.rebind);
                next.min(now + least.max((next - now) / 2))
            }
        };
        self.send(device, now);
        ended
    }

    /// When to ask again: the longer it has been asked, the later.
    fn after_pause(&self, now: u64) -> u64 {
        let pause = (now.saturating_sub(self.since) / SECOND).clamp(1, LONGEST_PAUSE);
        // Up to a second more, so that machines started together do not ask in step.
        now + pause * SECOND + u64::from(self.transaction) % SECOND
    }

    fn send(&self, device: &dyn NetworkDevice, now: u64) {
        let mac = device.mac_address();
        let mut frame = [0; FRAME];
        let bound = self.phase == Phase::Bound;
        // The server that gave the lease, as long as there is hope of it; else all.
        let (to, destination) = match bound && now < self.rebind {
            true => (self.via, self.server),
            false => ([0xff; 6], Ipv4Addr::BROADCAST),
        };
        let own = if bound { self.address.octets() } else { [0; 4] };
        frame[..6].copy_from_slice(&to);
        frame[6..12].copy_from_slice(&mac);
        // IPv4 without options, its length; 64 hops, UDP.
        let [high, low] = ((FRAME - IP) as u16).to_be_bytes();
        frame[12..18].copy_from_slice(&[8, 0, 0x45, 0, high, low]);
        frame[IP + 8..IP + 10].copy_from_slice(&[64, 17]);
        frame[IP + 12..IP + 16].copy_from_slice(&own);
        frame[IP + 16..UDP].copy_from_slice(&destination.octets());
        let [high, low] = ((FRAME - UDP) as u16).to_be_bytes();
        frame[UDP..UDP + 6].copy_from_slice(&[0, CLIENT_PORT as u8, 0, SERVER_PORT as u8, high, low]);
        // A question, from Ethernet with its 6 bytes of address.
        frame[BOOTP..BOOTP + 3].copy_from_slice(&[1, 1, 6]);
        frame[BOOTP + 4..BOOTP + 8].copy_from_slice(&self.transaction.to_be_bytes());
        let waited = (now.saturating_sub(self.since) / SECOND) as u16;
        frame[BOOTP + 8..BOOTP + 10].copy_from_slice(&waited.to_be_bytes());
        frame[BOOTP + 12..BOOTP + 16].copy_from_slice(&own);
        frame[BOOTP + 28..BOOTP + 34].copy_from_slice(&mac);
        let kind = if self.phase == Phase::Discovering {
            DISCOVER
        } else {
            REQUEST
        };
        let [high, low] = LARGEST.to_be_bytes();
        frame[OPTIONS - 4..OPTIONS].copy_from_slice(&COOKIE);
        frame[OPTIONS..OPTIONS + 6].copy_from_slice(&[MESSAGE_TYPE, 1, kind, CLIENT, 7, 1]);
        frame[OPTIONS + 6..OPTIONS + 12].copy_from_slice(&mac);
        frame[OPTIONS + 12..OPTIONS + 18].copy_from_slice(&[
            LARGEST_MESSAGE,
            2,
            high,
            low,
            WANTED,
            REQUESTED.len() as u8,
        ]);
        frame[OPTIONS + 18..CHOICE].copy_from_slice(&REQUESTED);
        frame[CHOICE] = END;
        if self.phase == Phase::Requesting {
            frame[CHOICE..CHOICE + 2].copy_from_slice(&[REQUESTED_ADDRESS, 4]);
            frame[CHOICE + 2..CHOICE + 6].copy_from_slice(&self.address.octets());
            frame[CHOICE + 6..CHOICE + 8].copy_from_slice(&[SERVER, 4]);
            frame[CHOICE + 8..CHOICE + 12].copy_from_slice(&self.server.octets());
            frame[CHOICE + 12] = END;
        }
        Ipv4Packet::new_unchecked(&mut frame[IP..]).fill_checksum();
        UdpPacket::new_unchecked(&mut frame[UDP..])
            .fill_checksum(&Ipv4Addr::from_octets(own).into(), &destination.into());
        send(device, &frame);
    }

    /// Takes a frame to the client's port; whether `lease` changed.
    pub fn take(&mut self, frame: &[u8], mac: [u8; 6], lease: &mut Option<Lease>, now: u64) -> bool {
        self.answer(frame, mac, lease, now) == Some(true)
    }

    fn answer(&mut self, frame: &[u8], mac: [u8; 6], lease: &mut Option<Lease>, now: u64) -> Option<bool> {
        let packet = Ipv4Packet::new_checked(frame.get(IP..)?)
            .ok()
            .filter(Ipv4Packet::verify_checksum)?;
        let udp = UdpPacket::new_checked(packet.payload()).ok()?;
        let (fixed, options) = udp.payload().split_first_chunk::<FIXED>()?;
        let mine = udp.verify_checksum(&packet.src_addr().into(), &packet.dst_addr().into())
            && fixed[..3] == [2, 1, 6]
            && fixed[4..8] == self.transaction.to_be_bytes()
            && fixed[28..34] == mac
            && fixed[FIXED - COOKIE.len()..] == COOKIE;
        if !mine {
            return None;
        }
        let address = Ipv4Addr::from_octets(*fixed[16..].first_chunk()?);
        let mut offered = Lease::new();
        offered.read(address, options);
        match (self.phase, offered.kind) {
            (Phase::Discovering, OFFER) if is_host(address) => {
                self.server = Some(offered.server).filter(|server| is_host(*server))?;
                self.address = address;
                (self.phase, self.tries, self.due) = (Phase::Requesting, 0, now);
                Some(false)
            }
            (Phase::Requesting | Phase::Bound, ACK) if is_host(address) && offered.prefix.is_some() => {
                self.phase = Phase::Bound;
                self.address = address;
                self.via.copy_from_slice(frame.get(6..12)?);
                self.keep(&offered, now);
                *lease = Some(offered);
                Some(true)
            }
            // Its server offers what it does not give: asked again at once, it would do so without end.
            (Phase::Requesting, NAK) => {
                (self.phase, self.due) = (Phase::Discovering, self.after_pause(now));
                Some(false)
            }
            (Phase::Bound, NAK) => {
                *self = Dhcp::new(now);
                Some(lease.take().is_some())
            }
            _ => None,
        }
    }

    /// Sets the times of a new lease; those that the server does not give, or gives in the wrong order, are RFC 2131 4.4.5's.
    fn keep(&mut self, lease: &Lease, now: u64) {
        let length = (lease.seconds as u64 * SECOND).max(SHORTEST_LEASE);
        let (renew, rebind) = match lease.times.map(|seconds| seconds as u64 * SECOND) {
            [renew, rebind] if 0 < renew && renew < rebind && rebind < length => (renew, rebind),
            _ => (length / 2, length / 8 * 7),
        };
        (self.due, self.rebind, self.end) = (now + renew, now + rebind, now + length);
        if lease.seconds == u32::MAX {
            (self.due, self.rebind, self.end) = (u64::MAX, u64::MAX, u64::MAX);
        }
    }
}
