//! What a DHCP server gave, and the routes it means.

use super::*;

/// What a DHCP server gave.
pub struct Lease {
    pub address: Ipv4Cidr,
    pub servers: [Option<IpAddr>; MOST_SERVERS],
    pub mtu: Option<usize>,
    router: Option<Ipv4Address>,
    classless: ClasslessRoutes,
}

impl Lease {
    /// Nothing yet.
    pub fn new() -> Lease {
        Lease {
            address: Ipv4Cidr::new(Ipv4Address::UNSPECIFIED, 0),
            servers: [None; MOST_SERVERS],
            mtu: None,
            router: None,
            classless: ClasslessRoutes::new(),
        }
    }

    /// Fills a new lease.
    pub fn take(&mut self, config: &dhcpv4::Config<'_>) {
        (self.address, self.router) = (config.address, config.router);
        if let Some(packet) = &config.packet {
            for option in packet.options() {
                match (option.kind, option.data) {
                    (CLASSLESS_ROUTES, piece) => self.classless.push(piece),
                    (INTERFACE_MTU, [high, low]) => {
                        let mtu = u16::from_be_bytes([*high, *low]) as usize;
                        // Below the least of IPv4 it is a mistake of the server's; IPv6 then does without large packets.
                        self.mtu = Some(mtu).filter(|mtu| *mtu >= LEAST_MTU[0]);
                    }
                    _ => {}
                }
            }
        }
        let servers = config.dns_servers.iter().filter(|server| is_host(**server));
        for (slot, server) in self.servers.iter_mut().zip(servers) {
            *slot = Some(IpAddr::V4(*server));
        }
    }

    /// Gives each route, its network and the next hop, to `add`.
    pub fn routes(&self, add: &mut impl FnMut(IpCidr, IpAddress)) {
        let mut router = self.router;
        for route in self.classless.iter() {
            // Classless routes replace the router option (RFC 3442).
            router = None;
            let mut via = route.router;
            if via.is_unspecified() {
                // A host on this link is its own next hop; wider on-link routes are the address's own prefix.
                if route.prefix != 32 {
                    continue;
                }
                via = route.destination;
            }
            if is_host(via) {
                add(IpCidr::Ipv4(Ipv4Cidr::new(route.destination, route.prefix)), via.into());
            }
        }
        if let Some(router) = router.filter(|router| is_host(*router)) {
            add(EVERYWHERE4, router.into());
        }
    }
}

/// Whether a machine other than this one can have the address. smoltcp panics when a packet's next hop is not a unicast address.
fn is_host(address: Ipv4Address) -> bool {
    IpAddress::Ipv4(address).is_unicast() && !address.is_loopback()
}
