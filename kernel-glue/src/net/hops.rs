//! IPv4 next hops outside the machine's own networks: a router beyond a /32 address, a host that a route says is on this link
//! (RFC 3442), as Google's and Hetzner's networks have them.
//!
//! smoltcp takes ARP answers from its own networks only. So the interface has an address in a network that is never on a wire, each
//! such hop has a stand-in there, and ARP packets are rewritten on their way in and out.

use super::frame::ETHERNET_HEADER;
use core::net::Ipv4Addr;
use smoltcp::wire::{IpCidr, Ipv4Cidr};

/// Most hops; more are left as they are, and not reached.
const MOST: usize = 4;
/// The stand-ins' network, a part of loopback's (RFC 1122 3.2.1.3 (g)): its host 1 + n is hop n, and the last one this machine.
const NETWORK: [u8; 3] = [127, 255, 255];
const SELF: u8 = 254;

/// Offsets in an Ethernet frame with ARP for IPv4 (RFC 826): the sender's and the target's protocol address, and the end.
const SENDER: usize = ETHERNET_HEADER + 14;
const TARGET: usize = ETHERNET_HEADER + 24;
const END: usize = ETHERNET_HEADER + 28;

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hops {
    own: [u8; 4],
    real: [[u8; 4]; MOST],
    count: usize,
}

impl Hops {
    /// None yet, for a machine with this address.
    pub fn new(own: Ipv4Addr) -> Hops {
        Hops {
            own: own.octets(),
            real: [[0; 4]; MOST],
            count: 0,
        }
    }

    /// The stand-in of a hop.
    pub fn stand_in(&mut self, hop: Ipv4Addr) -> Ipv4Addr {
        let hop = hop.octets();
        if !self.all().contains(&hop) && self.count < MOST {
            self.real[self.count] = hop;
            self.count += 1;
        }
        self.masked(hop).into()
    }

    /// The hop behind a stand-in; other addresses as they are.
    pub fn real(&self, address: [u8; 4]) -> [u8; 4] {
        match address {
            [a, b, c, SELF] if [a, b, c] == NETWORK => self.own,
            [a, b, c, host] if [a, b, c] == NETWORK => {
                let hop = self.all().get((host as usize).wrapping_sub(1));
                *hop.unwrap_or(&address)
            }
            _ => address,
        }
    }

    /// What the interface has for them.
    pub fn address(&self) -> Option<IpCidr> {
        let [a, b, c] = NETWORK;
        (self.count > 0).then(|| IpCidr::Ipv4(Ipv4Cidr::new(Ipv4Addr::new(a, b, c, SELF), 24)))
    }

    fn all(&self) -> &[[u8; 4]] {
        &self.real[..self.count]
    }

    fn masked(&self, address: [u8; 4]) -> [u8; 4] {
        let [a, b, c] = NETWORK;
        match self.all().iter().position(|hop| *hop == address) {
            Some(at) => [a, b, c, 1 + at as u8],
            None => address,
        }
    }

    /// Puts the real addresses into a frame to be sent.
    pub fn unmask(&self, frame: &mut [u8]) {
        if self.count > 0 && frame[12..14] == [8, 6] {
            for at in [SENDER, TARGET] {
                if let Some(address) = frame.get_mut(at..).and_then(|bytes| bytes.first_chunk_mut()) {
                    *address = self.real(*address);
                }
            }
        }
    }

    /// A received ARP frame with a stand-in for its sender.
    pub fn mask(&self, frame: &[u8]) -> Option<[u8; END]> {
        let mut masked = *frame.first_chunk::<END>()?;
        let sender: &mut [u8; 4] = masked[SENDER..].first_chunk_mut()?;
        *sender = self.masked(*sender);
        Some(masked)
    }
}
