//! What a DHCP server gave, and the routes it means.

use super::*;

/// What a DHCP server gave.
pub struct Lease {
    pub address: Ipv4Cidr,
    pub router: Option<Ipv4Address>,
    pub servers: [Option<IpAddr>; MOST_SERVERS],
    pub mtu: Option<usize>,
    pub routes: Vec<ClasslessRoute>,
}

impl Lease {
    pub fn new(config: dhcpv4::Config<'_>) -> Lease {
        let mut classless = ClasslessRoutes::new();
        let mut mtu = None;
        for option in config.packet.iter().flat_map(|packet| packet.options()) {
            match (option.kind, option.data) {
                (CLASSLESS_ROUTES, piece) => classless.push(piece),
                (INTERFACE_MTU, [high, low]) => mtu = Some(u16::from_be_bytes([*high, *low]) as usize),
                _ => {}
            }
        }
        let mut routes = heap::vec();
        for route in classless.iter() {
            if routes.try_reserve(1).is_ok() {
                routes.push(route);
            }
        }
        let mut servers = [None; MOST_SERVERS];
        for (slot, server) in servers.iter_mut().zip(&config.dns_servers) {
            *slot = Some(IpAddr::V4(*server));
        }
        // Below the least of IPv4 it is a mistake of the server's; IPv6 then does without large packets.
        let mtu = mtu.filter(|mtu| *mtu >= LEAST_MTU[0]);
        Lease {
            address: config.address,
            router: config.router,
            servers,
            mtu,
            routes,
        }
    }

    /// Classless routes replace the router option (RFC 3442).
    pub fn routes(&self) -> impl Iterator<Item = Route> + '_ {
        let router = self
            .router
            .filter(|_| self.routes.is_empty())
            .map(|router| default_route(router.into()));
        router.into_iter().chain(self.routes.iter().filter_map(|route| {
            // A host on this link is its own next hop; wider on-link routes are the address's own prefix.
            let via = match route.router {
                Ipv4Address::UNSPECIFIED if route.prefix == 32 => route.destination,
                Ipv4Address::UNSPECIFIED => return None,
                router => router,
            };
            let cidr = IpCidr::Ipv4(Ipv4Cidr::new(route.destination, route.prefix));
            Some(Route {
                cidr,
                via_router: via.into(),
                preferred_until: None,
                expires_at: None,
            })
        }))
    }
}
