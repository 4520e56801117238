//! A first look at a received frame: which socket is it for?
//!
//! Only addresses and ports are read here, with every length checked; smoltcp parses and verifies the frame afterwards.
//! Layouts: Ethernet II; IPv4 RFC 791; IPv6 RFC 8200; TCP RFC 9293; UDP RFC 768; ICMP RFC 792; NDP RFC 4861.

use core::net::{Ipv4Addr, Ipv6Addr};
use smoltcp::wire::{IpAddress, IpEndpoint};

pub const ETHERNET_HEADER: usize = 14;
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const HOP_BY_HOP: u8 = 0;
const ICMPV6: u8 = 58;

/// The two ends of a packet's conversation as seen from this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    pub local: IpEndpoint,
    pub remote: IpEndpoint,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `opens`: SYN without ACK, a new connection.
    Tcp {
        flow: Flow,
        opens: bool,
    },
    Udp(Flow),
    /// May teach the interface a neighbour's hardware address.
    Neighbour,
    /// Says that it is one.
    RouterAdvertisement,
    /// An ICMP error about a packet of ours.
    Unreachable {
        udp: bool,
        flow: Flow,
        port: bool,
    },
    Other,
    /// Claims an address that never travels on a wire (RFC 1122 3.2.1.3 (g), RFC 4291 2.5.3).
    Martian,
}

/// What `frame` is; `ethernet` is false on loopback, where frames start with the IP header.
pub fn classify(frame: &[u8], ethernet: bool) -> Kind {
    if !ethernet {
        return match frame.first().map(|byte| byte >> 4) {
            Some(4) => ipv4(frame, false),
            Some(6) => ipv6(frame, false),
            _ => Kind::Other,
        };
    }
    let Some((header, packet)) = frame.split_at_checked(ETHERNET_HEADER) else {
        return Kind::Other;
    };
    match [header[12], header[13]] {
        [0x08, 0x00] => ipv4(packet, true),
        [0x86, 0xdd] => ipv6(packet, true),
        [0x08, 0x06] => Kind::Neighbour,
        _ => Kind::Other,
    }
}

fn ipv4(packet: &[u8], wire: bool) -> Kind {
    let Some(header) = packet.first_chunk::<20>() else {
        return Kind::Other;
    };
    let (source, destination) = (ipv4_address(&header[12..16]), ipv4_address(&header[16..20]));
    // Nobody can be answered at 0.0.0.0, and smoltcp panics when it tries. It is the source of DHCP clients only.
    if wire && (source.is_loopback() || source.is_unspecified() || destination.is_loopback()) {
        return Kind::Martian;
    }
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0;
    let Some(payload) = packet.get((header[0] & 15) as usize * 4..).filter(|_| !fragment) else {
        return Kind::Other;
    };
    match header[9] {
        ICMP => icmpv4_error(payload),
        protocol => transport(protocol, payload, source.into(), destination.into()),
    }
}

fn ipv6(packet: &[u8], wire: bool) -> Kind {
    let Some(header) = packet.first_chunk::<40>() else {
        return Kind::Other;
    };
    let (source, destination) = (ipv6_address(&header[8..24]), ipv6_address(&header[24..40]));
    if wire && (source.is_loopback() || destination.is_loopback()) {
        return Kind::Martian;
    }
    let (mut protocol, mut payload) = (header[6], &packet[40..]);
    if protocol == HOP_BY_HOP {
        let Some(&[next, length]) = payload.first_chunk() else {
            return Kind::Other;
        };
        let Some(rest) = payload.get((length as usize + 1) * 8..) else {
            return Kind::Other;
        };
        (protocol, payload) = (next, rest);
    }
    match (protocol, payload.first()) {
        (ICMPV6, Some(134)) if wire => Kind::RouterAdvertisement,
        (ICMPV6, Some(135 | 136)) => Kind::Neighbour,
        (ICMPV6, _) => Kind::Other,
        _ => transport(protocol, payload, source.into(), destination.into()),
    }
}

/// Where the TCP header of a frame that [`classify`] called TCP begins. `None` behind IPv6 extension headers, and unless all of it
/// is there.
pub fn tcp_header(frame: &[u8], ethernet: bool) -> Option<usize> {
    let start = if ethernet { ETHERNET_HEADER } else { 0 };
    let header = start
        + match frame.get(start..)? {
            [first, ..] if first >> 4 == 4 => (first & 15) as usize * 4,
            [_, _, _, _, _, _, TCP, ..] => 40,
            _ => return None,
        };
    frame.get(header..header + 20).map(|_| header)
}

fn transport(protocol: u8, payload: &[u8], source: IpAddress, destination: IpAddress) -> Kind {
    let Some(&[s1, s0, d1, d0]) = payload.first_chunk() else {
        return Kind::Other;
    };
    let flow = Flow {
        local: IpEndpoint::new(destination, u16::from_be_bytes([d1, d0])),
        remote: IpEndpoint::new(source, u16::from_be_bytes([s1, s0])),
    };
    match (protocol, payload.get(13)) {
        (TCP, Some(flags)) => Kind::Tcp {
            flow,
            opens: flags & 0x12 == 0x02,
        },
        (UDP, _) => Kind::Udp(flow),
        _ => Kind::Other,
    }
}

/// Destination unreachable (type 3) carries the header of the packet it is about: ours, so its source is local.
fn icmpv4_error(message: &[u8]) -> Kind {
    let (Some(&3), Some(code), Some(about)) = (message.first(), message.get(1), message.get(8..)) else {
        return Kind::Other;
    };
    let Some(header) = about.first_chunk::<20>() else {
        return Kind::Other;
    };
    let Some(&[s1, s0, d1, d0]) = about
        .get((header[0] & 15) as usize * 4..)
        .and_then(|ports| ports.first_chunk())
    else {
        return Kind::Other;
    };
    let flow = Flow {
        local: IpEndpoint::new(ipv4_address(&header[12..16]).into(), u16::from_be_bytes([s1, s0])),
        remote: IpEndpoint::new(ipv4_address(&header[16..20]).into(), u16::from_be_bytes([d1, d0])),
    };
    match header[9] {
        // Code 4 is path MTU discovery, not an error of the destination.
        TCP | UDP if *code != 4 => Kind::Unreachable {
            udp: header[9] == UDP,
            flow,
            port: *code == 3,
        },
        _ => Kind::Other,
    }
}

fn ipv4_address(bytes: &[u8]) -> Ipv4Addr {
    Ipv4Addr::from_octets(bytes.try_into().unwrap_or_default())
}

pub fn ipv6_address(bytes: &[u8]) -> Ipv6Addr {
    Ipv6Addr::from_octets(bytes.try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn syn() -> Vec<u8> {
        let mut packet = std::vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, TCP, 0, 0, 10, 0, 2, 2, 10, 0, 2, 15];
        packet.extend([
            0x30, 0x39, 0x1f, 0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02, 0, 0, 0, 0, 0, 0,
        ]);
        packet
    }

    #[test]
    fn a_syn_opens_a_flow() {
        let flow = Flow {
            local: IpEndpoint::new(IpAddress::v4(10, 0, 2, 15), 8080),
            remote: IpEndpoint::new(IpAddress::v4(10, 0, 2, 2), 12345),
        };
        assert_eq!(classify(&syn(), false), Kind::Tcp { flow, opens: true });
        let mut framed = std::vec![0; 12];
        framed.extend([8, 0]);
        framed.extend(syn());
        assert_eq!(classify(&framed, true), Kind::Tcp { flow, opens: true });
        framed[14 + 20 + 13] = 0x12;
        assert_eq!(classify(&framed, true), Kind::Tcp { flow, opens: false });
        for source in [[127, 0, 0, 1], [0, 0, 0, 0]] {
            framed[14 + 12..14 + 16].copy_from_slice(&source);
            assert_eq!(classify(&framed, true), Kind::Martian);
        }
    }

    #[test]
    fn no_truncation_panics() {
        let whole = syn();
        let mut icmp = std::vec![
            0x45, 0, 0, 68, 0, 0, 0, 0, 64, ICMP, 0, 0, 10, 0, 2, 2, 10, 0, 2, 15, 3, 3, 0, 0, 0, 0, 0, 0
        ];
        icmp.extend(&whole);
        let mut six = std::vec![0x60, 0, 0, 0, 0, 0, HOP_BY_HOP, 64];
        six.extend([1; 32]);
        six.extend([TCP, 0, 0, 0, 0, 0, 0, 0]);
        six.extend(&whole[20..]);
        for frame in [&whole, &icmp, &six] {
            for length in 0..frame.len() {
                classify(&frame[..length], false);
                classify(&frame[..length], true);
            }
        }
        assert!(matches!(
            classify(&icmp, false),
            Kind::Unreachable {
                udp: false,
                port: true,
                ..
            }
        ));
        assert!(matches!(classify(&six, false), Kind::Tcp { opens: true, .. }));
    }
}
