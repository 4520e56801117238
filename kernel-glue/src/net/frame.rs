//! A first look at a received frame: which socket is it for?
//!
//! Only addresses and ports are read here, with every length checked; smoltcp parses and verifies the frame afterwards.
//! Layouts: Ethernet II; IPv4 RFC 791; IPv6 RFC 8200; TCP RFC 9293; UDP RFC 768; ICMP RFC 792; NDP RFC 4861.

use super::address::is_loopback;
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
    /// ARP, about this address; what it says of its sender may be news.
    Arp(Ipv4Addr),
    /// As ARP, for IPv6.
    Neighbour(Ipv6Addr),
    /// Says that it is one.
    RouterAdvertisement,
    /// An ICMP error about a packet of ours.
    Unreachable {
        udp: bool,
        flow: Flow,
        port: bool,
    },
    /// A router could not pass on a TCP segment of ours that is larger than this (0: it does not say).
    TooBig {
        flow: Flow,
        mtu: usize,
    },
    Other,
    /// Claims an address that never travels on a wire (RFC 1122 3.2.1.3 (g), RFC 4291 2.5.3).
    Martian,
}

/// What `frame` is; `ethernet` is false on loopback, where frames start with the IP header.
pub fn classify(frame: &[u8], ethernet: bool) -> Kind {
    if !ethernet {
        return Packet::read(frame).map_or(Kind::Other, |packet| packet.kind());
    }
    let Some((header, rest)) = frame.split_at_checked(ETHERNET_HEADER) else {
        return Kind::Other;
    };
    match [header[12], header[13]] {
        [0x08, 0x06] => match rest.get(14..28) {
            // What claims to be from loopback's network could take a stand-in's place (`hops`).
            Some(ends) if ends[0] != 127 => Kind::Arp(ipv4_address(&ends[10..])),
            _ => Kind::Martian,
        },
        [0x08, 0x00] | [0x86, 0xdd] => match Packet::read(rest) {
            Some(packet) if packet.is_possible() => packet.kind(),
            Some(_) => Kind::Martian,
            None => Kind::Other,
        },
        _ => Kind::Other,
    }
}

/// An IP packet as far as it matters here.
struct Packet<'a> {
    source: IpAddress,
    destination: IpAddress,
    protocol: u8,
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// `None` for what is too short, a later fragment, or no IP.
    fn read(bytes: &'a [u8]) -> Option<Packet<'a>> {
        let (&fixed, _) = bytes.split_first_chunk::<20>()?;
        match fixed[0] >> 4 {
            4 if u16::from_be_bytes([fixed[6], fixed[7]]) & 0x1fff == 0 => Some(Packet {
                source: ipv4_address(&fixed[12..16]).into(),
                destination: ipv4_address(&fixed[16..]).into(),
                protocol: fixed[9],
                payload: bytes.get((fixed[0] & 15) as usize * 4..)?,
            }),
            6 => {
                let (header, mut payload) = bytes.split_first_chunk::<40>()?;
                let mut protocol = header[6];
                if protocol == HOP_BY_HOP {
                    let &[next, length] = payload.first_chunk()?;
                    (protocol, payload) = (next, payload.get((length as usize + 1) * 8..)?);
                }
                Some(Packet {
                    source: ipv6_address(&header[8..24]).into(),
                    destination: ipv6_address(&header[24..]).into(),
                    protocol,
                    payload,
                })
            }
            _ => None,
        }
    }

    /// Whether it may have been on a wire. Nobody can be answered at 0.0.0.0, and smoltcp panics when it tries: it is the source of
    /// DHCP clients only.
    fn is_possible(&self) -> bool {
        let nobody = self.source == IpAddress::Ipv4(Ipv4Addr::UNSPECIFIED);
        !(nobody || is_loopback(&self.source) || is_loopback(&self.destination))
    }

    /// The conversation it belongs to, if this machine received it.
    fn flow(&self) -> Option<Flow> {
        let &[s1, s0, d1, d0] = self.payload.first_chunk()?;
        Some(Flow {
            local: IpEndpoint::new(self.destination, u16::from_be_bytes([d1, d0])),
            remote: IpEndpoint::new(self.source, u16::from_be_bytes([s1, s0])),
        })
    }

    fn kind(&self) -> Kind {
        let kind = match (self.protocol, self.destination) {
            (ICMP, _) => icmp_error(self.payload, false),
            (ICMPV6, IpAddress::Ipv6(destination)) => match self.payload.first() {
                Some(134) => Some(Kind::RouterAdvertisement),
                // A solicitation is about its target; an advertisement is for whom it is sent to.
                Some(135) => self
                    .payload
                    .get(8..24)
                    .map(|target| Kind::Neighbour(ipv6_address(target))),
                Some(136) => Some(Kind::Neighbour(destination)),
                _ => icmp_error(self.payload, true),
            },
            (TCP, _) => self.flow().zip(self.payload.get(13)).map(|(flow, flags)| Kind::Tcp {
                flow,
                opens: flags & 0x12 == 0x02,
            }),
            (UDP, _) => self.flow().map(Kind::Udp),
            _ => None,
        };
        kind.unwrap_or(Kind::Other)
    }
}

/// An error carries the beginning of the packet it is about: ours, so its source is local.
fn icmp_error(message: &[u8], v6: bool) -> Option<Kind> {
    let (&[kind, code, _, _, _, _, high, low], about) = message.split_first_chunk()?;
    let about = Packet::read(about)?;
    let Flow { local, remote } = about.flow()?;
    let flow = Flow {
        local: remote,
        remote: local,
    };
    // RFC 792, RFC 1191 4; RFC 4443 3.1 and 3.2.
    match (about.protocol, v6, kind, code) {
        (TCP, false, 3, 4) | (TCP, true, 2, _) => Some(Kind::TooBig {
            flow,
            mtu: u16::from_be_bytes([high, low]) as usize,
        }),
        (TCP | UDP, false, 3, _) | (TCP | UDP, true, 1, _) => Some(Kind::Unreachable {
            udp: about.protocol == UDP,
            flow,
            port: code == if v6 { 4 } else { 3 },
        }),
        _ => None,
    }
}

/// Where the TCP header of a frame that [`classify`] called TCP begins; its flags are there.
pub fn tcp_header(frame: &[u8], ethernet: bool) -> Option<usize> {
    let packet = Packet::read(frame.get(if ethernet { ETHERNET_HEADER } else { 0 }..)?)?;
    Some(frame.len() - packet.payload.len())
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
