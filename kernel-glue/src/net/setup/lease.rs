//! What a DHCP server gave, and the routes it means.

use super::*;

/// Options (RFC 2132), beside those of [`dhcp_options`](crate::net::dhcp_options).
const MASK: u8 = 1;
const ROUTERS: u8 = 3;
const SERVERS: u8 = 6;
const LEASE_TIME: u8 = 51;
const MESSAGE_TYPE: u8 = 53;
const SERVER: u8 = 54;
const RENEWAL_TIME: u8 = 58;
const REBINDING_TIME: u8 = 59;
const PAD: u8 = 0;
const END: u8 = 255;

/// Without a time, a lease lasts so long (seconds).
const DEFAULT_SECONDS: u32 = 120;

/// What a DHCP server gave, or offers.
pub struct Lease {
    pub kind: u8,
    pub server: Ipv4Address,
    address: Ipv4Address,
    /// Bits of the subnet mask, if there is one.
    pub prefix: Option<u8>,
    pub seconds: u32,
    /// Until the lease is to be renewed, and asked of other servers, seconds; 0 when not given.
    pub times: [u32; 2],
    pub servers: [Option<IpAddr>; MOST_SERVERS],
    pub mtu: Option<usize>,
    router: Option<Ipv4Address>,
    classless: ClasslessRoutes,
}

impl Lease {
    /// Nothing yet.
    pub fn new() -> Lease {
        Lease {
            kind: 0,
            server: Ipv4Address::UNSPECIFIED,
            address: Ipv4Address::UNSPECIFIED,
            prefix: None,
            seconds: DEFAULT_SECONDS,
            times: [0; 2],
            servers: [None; MOST_SERVERS],
            mtu: None,
            router: None,
            classless: ClasslessRoutes::new(),
        }
    }

    /// Fills a new lease with what a message's options say; what cannot be is left out.
    pub fn read(&mut self, address: Ipv4Address, mut options: &[u8]) {
        self.address = address;
        while let [kind, rest @ ..] = options {
            options = rest;
            if *kind == PAD {
                continue;
            }
            let [length, rest @ ..] = rest else { return };
            let Some((data, rest)) = rest.split_at_checked(*length as usize) else {
                return;
            };
            options = rest;
            if *kind == END {
                return;
            }
            self.option(*kind, data);
        }
    }

    fn option(&mut self, kind: u8, data: &[u8]) {
        let word = data.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        match (kind, word) {
            (MESSAGE_TYPE, _) => self.kind = *data.first().unwrap_or(&0),
            (CLASSLESS_ROUTES, _) => self.classless.push(data),
            (INTERFACE_MTU, _) => {
                // Below the least of IPv4 it is a mistake of the server's; IPv6 then does without large packets.
                let mtu = data.first_chunk().map(|bytes| u16::from_be_bytes(*bytes) as usize);
                self.mtu = mtu.filter(|mtu| *mtu >= LEAST_MTU[0]);
            }
            (SERVERS, _) => {
                let (servers, _) = data.as_chunks::<4>();
                let servers = servers.iter().map(|octets| Ipv4Address::from_octets(*octets));
                for (slot, server) in self.servers.iter_mut().zip(servers.filter(|server| is_host(*server))) {
                    *slot = Some(IpAddr::V4(server));
                }
            }
            (MASK, Some(mask)) if mask.leading_ones() == mask.count_ones() => {
                self.prefix = Some(mask.count_ones() as u8)
            }
            (ROUTERS, Some(router)) => self.router = Some(Ipv4Address::from_bits(router)),
            (SERVER, Some(server)) => self.server = Ipv4Address::from_bits(server),
            (LEASE_TIME, Some(seconds)) => self.seconds = seconds,
            (RENEWAL_TIME, Some(seconds)) => self.times[0] = seconds,
            (REBINDING_TIME, Some(seconds)) => self.times[1] = seconds,
            _ => {}
        }
    }

    pub fn address(&self) -> IpCidr {
        IpCidr::Ipv4(Ipv4Cidr::new(self.address, self.prefix.unwrap_or(32)))
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

/// Whether a machine can have the address. smoltcp panics when a packet's next hop is not a unicast address.
pub fn is_host(address: Ipv4Address) -> bool {
    IpAddress::Ipv4(address).is_unicast() && !address.is_loopback()
}
