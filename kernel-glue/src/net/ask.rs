//! Questions to the link that are sent as whole frames: who is a router, and who has an address.
//!
//! smoltcp asks for one neighbour a second, whatever their number: one that does not answer would hold up all others.

use super::device::NetworkDevice;
use super::frame::ETHERNET_HEADER;
use super::link::Link;
use core::net::{Ipv4Addr, Ipv6Addr};
use smoltcp::wire::{Icmpv6Packet, IpAddress};

/// The same neighbour is asked for at most this often, ns (RFC 1122 2.3.2.1, RFC 4861 10).
const PAUSE: u64 = 1_000_000_000;

/// Message types (RFC 4861 4.1 and 4.3), the option with the sender's address (4.6.1), ICMPv6's number, and the hop limit of what
/// may not be forwarded (6.1.1 and 7.1.1).
const ROUTER_SOLICITATION: u8 = 133;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const SOURCE_LINK_ADDRESS: u8 = 1;
pub const ICMPV6: u8 = 58;
pub const NOT_FORWARDED: u8 = 255;

impl Link {
    /// Asks for the neighbour that packets to `destination` go through.
    #[cold]
    pub fn ask(&mut self, destination: &IpAddress, now: u64) {
        let Some(hop) = self.next_hop(destination) else { return };
        // Each socket that waits asks once a second: here it is enough to know the last one.
        if self.asked == hop && now < self.asked_at + PAUSE || !self.device.can_transmit() {
            return;
        }
        (self.asked, self.asked_at) = (hop, now);
        match (hop, self.interface.get_source_address(&hop)) {
            (IpAddress::Ipv4(hop), Some(IpAddress::Ipv4(source))) => {
                let real = |address: Ipv4Addr| self.hops.real(address.octets());
                ask_ipv4(self.device, real(source), real(hop));
            }
            (IpAddress::Ipv6(hop), Some(IpAddress::Ipv6(source))) => ask_ipv6(self.device, source, hop),
            _ => {}
        }
    }

    /// The neighbour that packets to `destination` go through; `None` without a route.
    #[inline(never)]
    pub fn next_hop(&mut self, destination: &IpAddress) -> Option<IpAddress> {
        if self
            .interface
            .ip_addrs()
            .iter()
            .any(|cidr| cidr.contains_addr(destination))
        {
            return Some(*destination);
        }
        let mut hop = None;
        self.interface.routes_mut().update(|routes| {
            let fitting = routes.iter().filter(|route| route.cidr.contains_addr(destination));
            hop = fitting
                .max_by_key(|route| route.cidr.prefix_len())
                .map(|route| route.via_router);
        });
        hop
    }
}

/// An ARP request (RFC 826).
fn ask_ipv4(device: &dyn NetworkDevice, source: [u8; 4], target: [u8; 4]) {
    let mac = device.mac_address();
    let mut frame = [0; ETHERNET_HEADER + 28];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&mac);
    // ARP, for Ethernet and IPv4 with their lengths, a request.
    frame[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame[22..28].copy_from_slice(&mac);
    frame[28..32].copy_from_slice(&source);
    frame[38..].copy_from_slice(&target);
    send(device, &frame);
}

/// To the target's solicited-node group (RFC 4861 4.3, RFC 4291 2.7.1).
fn ask_ipv6(device: &dyn NetworkDevice, source: Ipv6Addr, target: Ipv6Addr) {
    let [.., high, middle, low] = target.octets();
    let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, high, middle, low];
    solicit(device, NEIGHBOUR_SOLICITATION, source, group.into(), &target.octets());
}

/// To all routers on the link (RFC 4861 4.1).
pub fn ask_routers(device: &dyn NetworkDevice, source: Ipv6Addr) {
    const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
    solicit(device, ROUTER_SOLICITATION, source, ALL_ROUTERS, &[]);
}

fn solicit(device: &dyn NetworkDevice, kind: u8, source: Ipv6Addr, destination: Ipv6Addr, target: &[u8]) {
    const MESSAGE: usize = ETHERNET_HEADER + 40;
    let (mac, group) = (device.mac_address(), destination.octets());
    let mut frame = [0; MESSAGE + 8 + 16 + 8];
    // The group's Ethernet address has its last four bytes (RFC 2464 7).
    frame[..2].fill(0x33);
    frame[2..6].copy_from_slice(&group[12..]);
    frame[6..12].copy_from_slice(&mac);
    frame[12..15].copy_from_slice(&[0x86, 0xdd, 0x60]);
    frame[19..22].copy_from_slice(&[16 + target.len() as u8, ICMPV6, NOT_FORWARDED]);
    frame[22..38].copy_from_slice(&source.octets());
    frame[38..54].copy_from_slice(&group);
    let frame = &mut frame[..MESSAGE + 16 + target.len()];
    frame[MESSAGE] = kind;
    let (body, option) = frame[MESSAGE + 8..].split_at_mut(target.len());
    body.copy_from_slice(target);
    option[..2].copy_from_slice(&[SOURCE_LINK_ADDRESS, 1]);
    option[2..].copy_from_slice(&mac);
    Icmpv6Packet::new_unchecked(&mut frame[MESSAGE..]).fill_checksum(&source, &destination);
    send(device, frame);
}

#[inline(never)]
pub fn send(device: &dyn NetworkDevice, frame: &[u8]) {
    device.transmit(frame.len(), &mut |room| room.copy_from_slice(frame));
}
