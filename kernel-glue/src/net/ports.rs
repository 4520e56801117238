//! Which ports are taken, and the choice of ephemeral ones.

use super::system;
use crate::errno::{Errno, Result};
use crate::heap::{self, Vec};
use smoltcp::wire::{IpAddress, IpListenEndpoint};

/// RFC 6335 6: the dynamic ports.
pub const FIRST_EPHEMERAL: u16 = 49152;
const EPHEMERAL: u16 = 16384;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// What a socket without an address is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Families {
    V4,
    /// With IPV6_V6ONLY.
    V6,
    Both,
}

impl Families {
    pub fn has(self, address: &IpAddress) -> bool {
        self != match address {
            IpAddress::Ipv4(_) => Families::V6,
            IpAddress::Ipv6(_) => Families::V4,
        }
    }
}

/// A socket's local name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Binding {
    pub protocol: Protocol,
    pub port: u16,
    /// `None`: every address.
    pub address: Option<IpAddress>,
    /// Counts with no address.
    pub families: Families,
}

impl Binding {
    pub fn endpoint(&self) -> IpListenEndpoint {
        IpListenEndpoint {
            addr: self.address,
            port: self.port,
        }
    }

    fn conflicts(&self, other: &Binding) -> bool {
        let addresses = match (self.address, other.address) {
            (Some(one), Some(two)) => one == two,
            (Some(address), None) => other.families.has(&address),
            (None, Some(address)) => self.families.has(&address),
            (None, None) => {
                self.families == other.families || self.families == Families::Both || other.families == Families::Both
            }
        };
        self.protocol == other.protocol && self.port == other.port && addresses
    }
}

pub struct Ports {
    taken: Vec<Binding>,
    next: u16,
}

impl Ports {
    pub fn new() -> Ports {
        Ports {
            taken: heap::vec(),
            next: system::random() as u16 % EPHEMERAL,
        }
    }

    /// Takes the name (port 0: a free ephemeral port) and returns it. EADDRINUSE when it overlaps with one that is taken.
    pub fn bind(&mut self, mut binding: Binding) -> Result<Binding> {
        self.taken.try_reserve(1).map_err(|_| Errno::ENOBUFS)?;
        if binding.port == 0 {
            self.ephemeral(&mut binding, &mut |_| true)?;
        } else if self.is_taken(&binding) {
            return Err(Errno::EADDRINUSE);
        }
        self.taken.push(binding);
        Ok(binding)
    }

    pub fn release(&mut self, binding: &Binding) {
        if let Some(at) = self.taken.iter().position(|other| other == binding) {
            self.taken.swap_remove(at);
        }
    }

    #[inline(never)]
    fn is_taken(&self, binding: &Binding) -> bool {
        self.taken.iter().any(|other| other.conflicts(binding))
    }

    /// Gives `binding` the next ephemeral port that no other takes and that is `fit`.
    pub fn ephemeral(&mut self, binding: &mut Binding, fit: &mut dyn FnMut(u16) -> bool) -> Result<()> {
        for _ in 0..EPHEMERAL {
            self.next = (self.next + 1) % EPHEMERAL;
            binding.port = FIRST_EPHEMERAL + self.next;
            if fit(binding.port) && !self.is_taken(binding) {
                return Ok(());
            }
        }
        Err(Errno::EADDRNOTAVAIL)
    }
}

#[cfg(test)]
mod tests {
    use super::Families::*;
    use super::*;

    fn name(port: u16, address: Option<IpAddress>, families: Families) -> Binding {
        Binding {
            protocol: Protocol::Tcp,
            port,
            address,
            families,
        }
    }

    #[test]
    fn overlapping_names_conflict() {
        let mut ports = Ports::new();
        let local = Some(IpAddress::v4(127, 0, 0, 1));
        let one = ports.bind(name(80, local, V4)).unwrap();
        assert_eq!(ports.bind(name(80, None, V4)), Err(Errno::EADDRINUSE));
        assert_eq!(ports.bind(name(80, None, Both)), Err(Errno::EADDRINUSE));
        assert!(ports.bind(name(80, Some(IpAddress::v4(10, 0, 2, 15)), V4)).is_ok());
        assert!(
            ports
                .bind(Binding {
                    protocol: Protocol::Udp,
                    ..one
                })
                .is_ok()
        );
        // IPv6 alone leaves IPv4's port free, and the other way round.
        assert!(ports.bind(name(81, None, V6)).is_ok());
        assert!(ports.bind(name(81, None, V4)).is_ok());
        assert_eq!(ports.bind(name(81, None, Both)), Err(Errno::EADDRINUSE));
        ports.release(&one);
        assert_eq!(ports.bind(name(80, local, V4)), Ok(one));
    }

    #[test]
    fn port_zero_means_any_free_one() {
        let mut ports = Ports::new();
        let first = ports.bind(name(0, None, V4)).unwrap();
        let second = ports.bind(name(0, None, V4)).unwrap();
        assert!(first.port >= FIRST_EPHEMERAL && second.port >= FIRST_EPHEMERAL && first.port != second.port);
    }
}
