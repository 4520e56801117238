//! What a DHCP server gave, and the routes it means.

use super::*;

/// What a DHCP server gave.
pub struct Lease {
    pub address: Ipv4Cidr,
    pub servers: [Option<IpAddr>; MOST_SERVERS],
    pub mtu: Option<usize>,
    pub routes: Vec<Route>,
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
        let mut router = config.router;
        for route in classless.iter() {
            // Classless routes replace the router option (RFC 3442).
            router = None;
            if let Some(route) = on_link_or_by_router(route)
                && routes.try_reserve(1).is_ok()
            {
                routes.push(route);
            }
        }
        if let Some(router) = router
            && routes.try_reserve(1).is_ok()
        {
            routes.push(default_route(router.into()));
        }
        let mut servers = [None; MOST_SERVERS];
        for (slot, server) in servers.iter_mut().zip(&config.dns_servers) {
            *slot = Some(IpAddr::V4(*server));
        }
        // Below the least of IPv4 it is a mistake of the server's; IPv6 then does without large packets.
        let mtu = mtu.filter(|mtu| *mtu >= LEAST_MTU[0]);
        Lease {
            address: config.address,
            servers,
            mtu,
            routes,
        }
    }
}

/// A host on this link is its own next hop; wider on-link routes are the address's own prefix.
fn on_link_or_by_router(route: ClasslessRoute) -> Option<Route> {
    let via = match route.router {
        Ipv4Address::UNSPECIFIED if route.prefix == 32 => route.destination,
        Ipv4Address::UNSPECIFIED => return None,
        router => router,
    };
    Some(Route {
        cidr: IpCidr::Ipv4(Ipv4Cidr::new(route.destination, route.prefix)),
        via_router: via.into(),
        preferred_until: None,
        expires_at: None,
    })
}
