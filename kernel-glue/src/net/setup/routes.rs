//! What can be reached with the addresses and routes at hand.

use crate::net::connection::LinkId;
use crate::net::stack::Links;
use smoltcp::wire::{IpAddress, IpCidr};

/// 255.255.255.255 or the broadcast address of a network of the link's.
pub fn is_broadcast(links: &mut Links, link: LinkId, address: &IpAddress) -> bool {
    let IpAddress::Ipv4(address) = address else {
        return false;
    };
    let of_network = |cidr: &IpCidr| matches!(cidr, IpCidr::Ipv4(cidr) if cidr.broadcast() == Some(*address));
    address.is_broadcast()
        || links
            .get(link)
            .is_some_and(|link| link.interface.ip_addrs().iter().any(of_network))
}

/// Whether packets to `address` have somewhere to go outside.
pub fn has_route(links: &mut Links, address: &IpAddress) -> bool {
    let Some(link) = links.outside.as_deref_mut() else {
        return false;
    };
    let mut own = link.interface.ip_addrs().iter();
    own.any(|cidr| cidr.address().version() == address.version())
        && (address.is_multicast() || address.is_broadcast() || link.next_hop(address).is_some())
}
