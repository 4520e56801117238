//! An IPv6 router that advertises itself and a prefix when asked (RFC 4861, RFC 4862).

use super::frames::ethernet;
use super::{LINK_LOCAL, MAC};
use anyhow::{Result, ensure};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::Duration;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv6Message, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet,
    Ipv6Repr, NdiscPrefixInfoFlags, NdiscPrefixInformation, NdiscRepr, NdiscRouterFlags,
};
use std::net::Ipv6Addr;

/// Every node of the link, and its address on Ethernet (RFC 4291 2.7.1, RFC 2464 7).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// As every message of this protocol must have (RFC 4861 6.1).
const HOP_LIMIT: u8 = 255;

pub struct Router {
    pub prefix: Ipv6Addr,
    /// Solicitations so far.
    pub solicited: usize,
}

impl Router {
    pub fn new(prefix: Ipv6Addr) -> Router {
        Router { prefix, solicited: 0 }
    }

    /// The advertisement, if the frame solicits one. An error when a router had to ignore the solicitation (6.1.1).
    pub fn answer(&mut self, frame: &[u8]) -> Result<Option<Vec<u8>>> {
        let ethernet = EthernetFrame::new_checked(frame)?;
        if ethernet.ethertype() != EthernetProtocol::Ipv6 {
            return Ok(None);
        }
        let packet = Ipv6Packet::new_checked(ethernet.payload())?;
        if packet.next_header() != IpProtocol::Icmpv6 {
            return Ok(None);
        }
        let message = Icmpv6Packet::new_checked(packet.payload())?;
        if message.msg_type() != Icmpv6Message::RouterSolicit {
            return Ok(None);
        }
        let (from, to) = (packet.src_addr(), packet.dst_addr());
        ensure!(
            packet.hop_limit() == HOP_LIMIT,
            "a solicitation with hop limit {}",
            packet.hop_limit()
        );
        ensure!(
            message.verify_checksum(&from, &to),
            "a solicitation with a wrong checksum"
        );
        ensure!(message.msg_code() == 0 && to == ALL_ROUTERS, "a solicitation to {to}");
        ensure!(
            from.is_unspecified() || from.segments()[0] & 0xffc0 == 0xfe80,
            "a solicitation from {from}"
        );
        self.solicited += 1;
        Ok(Some(self.advertisement()))
    }

    pub fn advertisement(&self) -> Vec<u8> {
        let prefix = NdiscPrefixInformation {
            prefix_len: 64,
            flags: NdiscPrefixInfoFlags::ON_LINK | NdiscPrefixInfoFlags::ADDRCONF,
            valid_lifetime: Duration::from_secs(7200),
            preferred_lifetime: Duration::from_secs(3600),
            prefix: self.prefix,
        };
        let message = Icmpv6Repr::Ndisc(NdiscRepr::RouterAdvert {
            hop_limit: 64,
            flags: NdiscRouterFlags::empty(),
            router_lifetime: Duration::from_secs(1800),
            reachable_time: Duration::ZERO,
            retrans_time: Duration::ZERO,
            lladdr: Some(EthernetAddress(MAC).into()),
            mtu: None,
            prefix_info: Some(prefix),
        });
        let ip = Ipv6Repr {
            src_addr: LINK_LOCAL,
            dst_addr: ALL_NODES,
            next_header: IpProtocol::Icmpv6,
            payload_len: message.buffer_len(),
            hop_limit: HOP_LIMIT,
        };
        let length = ip.buffer_len() + ip.payload_len;
        ethernet(MAC, ALL_NODES_MAC, EthernetProtocol::Ipv6, length, |bytes| {
            let mut packet = Ipv6Packet::new_unchecked(bytes);
            ip.emit(&mut packet);
            let mut payload = Icmpv6Packet::new_unchecked(packet.payload_mut());
            message.emit(
                &ip.src_addr,
                &ip.dst_addr,
                &mut payload,
                &ChecksumCapabilities::default(),
            );
        })
    }
}
