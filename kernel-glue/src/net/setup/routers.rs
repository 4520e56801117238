//! What IPv6 routers advertise: addresses, the way out, the link's MTU (RFC 4861 6.3, RFC 4862 5.5).

use super::{SECOND, is_link_local, link_local, room_at};
use crate::net::ask::{ICMPV6, NOT_FORWARDED, ask_routers};
use crate::net::device::NetworkDevice;
use crate::net::frame::ipv6_address;
use crate::net::link::MAX_MTU;
use crate::net::text::LEAST_MTU;
use smoltcp::wire::{Icmpv6Packet, Ipv6Address, Ipv6Cidr};

/// MAX_RTR_SOLICITATIONS and RTR_SOLICITATION_INTERVAL (ns) of RFC 4861 10. The random delay before the first one is left out:
/// whoever starts many machines at once does not start them in step.
const SOLICITATIONS: u8 = 3;
const INTERVAL: u64 = 4 * SECOND;
/// Prefixes that addresses are made of; more are left out.
pub const MOST_PREFIXES: usize = 2;
/// RFC 4862 5.5.3 (e): a forged advertisement shortens an address's life to this at most (ns).
const TWO_HOURS: u64 = 7200 * SECOND;

/// Options (RFC 4861 4.6).
const PREFIX_INFORMATION: u8 = 3;
const MTU: u8 = 5;
/// Flags of a prefix: its addresses are on this link; addresses may be made of it.
const ON_LINK: u8 = 0x80;
const AUTONOMOUS: u8 = 0x40;
/// Interface identifiers are 64 bits (RFC 4291 2.5.1), so other prefixes make no address (RFC 4862 5.5.3 (d)).
const PREFIX_BITS: u8 = 64;

/// The router that packets for elsewhere go to: the first one that offered itself, while its offer lasts.
#[derive(Clone, Copy)]
pub struct Router {
    pub address: Ipv6Address,
    until: u64,
}

/// This machine's address with an advertised prefix.
#[derive(Clone, Copy)]
pub struct Prefix {
    pub address: Ipv6Cidr,
    until: u64,
}

pub struct Advertised {
    pub router: Option<Router>,
    pub prefixes: [Option<Prefix>; MOST_PREFIXES],
    pub mtu: Option<usize>,
    /// Solicitations to be sent yet.
    left: u8,
    /// When the next one is due, or after the last when the waiting ends (ns).
    due: u64,
}

impl Advertised {
    pub fn new() -> Advertised {
        Advertised {
            router: None,
            prefixes: [None; MOST_PREFIXES],
            mtu: None,
            left: SOLICITATIONS,
            due: u64::MAX,
        }
    }

    /// Starts asking.
    pub fn solicit(&mut self, now: u64) {
        self.due = now;
    }

    /// Asked, and no router has offered itself yet.
    pub fn is_soliciting(&self) -> bool {
        self.due != u64::MAX
    }

    pub fn deadline(&self) -> u64 {
        let router = self.router.map_or(u64::MAX, |router| router.until);
        let prefixes = self.prefixes.iter().flatten().map(|prefix| prefix.until);
        prefixes.fold(self.due.min(router), u64::min)
    }

    /// Asks when it is time to; whether something that was advertised ended.
    pub fn step(&mut self, device: &dyn NetworkDevice, now: u64) -> bool {
        if now >= self.due {
            self.due = match self.left {
                0 => u64::MAX,
                _ if device.can_transmit() => {
                    self.left -= 1;
                    ask_routers(device, link_local(device.mac_address()));
                    now + INTERVAL
                }
                _ => room_at(device, now),
            };
        }
        let mut ended = self.router.take_if(|router| router.until <= now).is_some();
        for prefix in &mut self.prefixes {
            ended |= prefix.take_if(|prefix| prefix.until <= now).is_some();
        }
        ended
    }

    /// Takes an IPv6 packet that says it is a router's advertisement; `None` when it is not valid (RFC 4861 6.1.2).
    pub fn take(&mut self, packet: &[u8], mac: [u8; 6], now: u64) -> Option<()> {
        let (header, rest) = packet.split_first_chunk::<40>()?;
        let message = rest.get(..u16::from_be_bytes([header[4], header[5]]) as usize)?;
        let (fixed, options) = message.split_first_chunk::<16>()?;
        let (source, destination) = (ipv6_address(&header[8..24]), ipv6_address(&header[24..]));
        let valid = header[6..8] == [ICMPV6, NOT_FORWARDED]
            && is_link_local(source)
            && fixed[1] == 0
            && Icmpv6Packet::new_unchecked(message).verify_checksum(&source, &destination);
        let mut rest = options;
        while !rest.is_empty() {
            rest = first_option(rest)?.1;
        }
        if !valid {
            return None;
        }
        self.take_router(source, u16::from_be_bytes([fixed[6], fixed[7]]), now);
        let mut rest = options;
        while let Some((option, others)) = first_option(rest) {
            match *option {
                [PREFIX_INFORMATION, ..] if let Some(option) = option.first_chunk() => {
                    self.take_prefix(option, mac, now);
                }
                [MTU, _, _, _, 0, 0, high, low, ..] => {
                    let mtu = u16::from_be_bytes([high, low]) as usize;
                    self.mtu = Some(mtu).filter(|mtu| (LEAST_MTU[1]..=MAX_MTU).contains(mtu));
                }
                _ => {}
            }
            rest = others;
        }
        Some(())
    }

    fn take_router(&mut self, address: Ipv6Address, seconds: u16, now: u64) {
        if seconds > 0 {
            self.due = u64::MAX;
        }
        if self.router.is_none_or(|router| router.address == address) {
            let until = now + seconds as u64 * SECOND;
            self.router = (seconds > 0).then_some(Router { address, until });
        }
    }

    /// RFC 4862 5.5.3.
    fn take_prefix(&mut self, option: &[u8; 32], mac: [u8; 6], now: u64) {
        let [_, _, bits, flags, ..] = *option;
        let seconds = |at: usize| u32::from_be_bytes([option[at], option[at + 1], option[at + 2], option[at + 3]]);
        let (valid, preferred) = (seconds(4), seconds(8));
        let mut octets = link_local(mac).octets();
        octets[..8].copy_from_slice(&option[16..24]);
        let address = Ipv6Address::from_octets(octets);
        // Link-local and multicast prefixes, and the reserved 0000::/8 that holds loopback and IPv4's addresses (RFC 4291 2.4).
        let impossible = is_link_local(address) || matches!(octets[0], 0 | 0xff);
        if flags & AUTONOMOUS == 0 || bits != PREFIX_BITS || preferred > valid || impossible {
            return;
        }
        let offered = match valid {
            u32::MAX => u64::MAX,
            _ => now + valid as u64 * SECOND,
        };
        // Addresses that are not on this link are reached through the router: the machine's own is the only one here.
        let address = Ipv6Cidr::new(address, if flags & ON_LINK != 0 { PREFIX_BITS } else { 128 });
        let known = |slot: &&mut Option<Prefix>| slot.is_some_and(|known| known.address.address() == address.address());
        let until = match self.prefixes.iter_mut().find(known) {
            Some(slot) => {
                let before = slot.take().map_or(0, |known| known.until);
                if offered > before {
                    offered
                } else {
                    offered.max(before.min(now + TWO_HOURS))
                }
            }
            None => offered,
        };
        if until > now
            && let Some(free) = self.prefixes.iter_mut().find(|slot| slot.is_none())
        {
            *free = Some(Prefix { address, until });
        }
    }
}

/// The first option, and what follows it; `None` at the end or when its length is impossible.
fn first_option(options: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = *options.get(1)? as usize * 8;
    options.split_at_checked(length).filter(|_| length > 0)
}
