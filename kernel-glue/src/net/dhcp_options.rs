//! DHCP options that are more than an address or a number: what is asked for, and classless static routes (121).

use core::net::Ipv4Addr;

/// RFC 2132 5.1.
pub const INTERFACE_MTU: u8 = 26;
/// RFC 3442.
pub const CLASSLESS_ROUTES: u8 = 121;

/// What the client asks for, in the order it wants to be answered: subnet mask, classless routes (before routers, RFC 3442),
/// routers, DNS servers, MTU, renewal and rebinding times.
pub const REQUESTED: [u8; 8] = [1, CLASSLESS_ROUTES, 3, 6, INTERFACE_MTU, 51, 58, 59];

/// Most bytes of option 121 that are read (RFC 3396 lets it come in several pieces).
const MOST_BYTES: usize = 512;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    pub destination: Ipv4Addr,
    pub prefix: u8,
    /// 0.0.0.0: on this link.
    pub router: Ipv4Addr,
}

/// Option 121, its pieces joined.
pub struct ClasslessRoutes {
    bytes: [u8; MOST_BYTES],
    length: usize,
}

impl ClasslessRoutes {
    pub fn new() -> ClasslessRoutes {
        ClasslessRoutes {
            bytes: [0; MOST_BYTES],
            length: 0,
        }
    }

    /// Appends a piece; what does not fit is left out.
    pub fn push(&mut self, piece: &[u8]) {
        let room = self.bytes.iter_mut().skip(self.length);
        for (slot, byte) in room.zip(piece) {
            *slot = *byte;
            self.length += 1;
        }
    }

    /// The routes up to the first malformed one. Each is: prefix length, its significant octets, router.
    pub fn iter(&self) -> impl Iterator<Item = Route> {
        let mut rest = &self.bytes[..self.length];
        core::iter::from_fn(move || {
            let (&prefix, tail) = rest.split_first()?;
            let significant = (prefix as usize).div_ceil(8);
            if prefix > 32 {
                return None;
            }
            let (octets, tail) = tail.split_at_checked(significant)?;
            let (router, tail) = tail.split_first_chunk::<4>()?;
            rest = tail;
            let mut destination = [0; 4];
            for (slot, octet) in destination.iter_mut().zip(octets) {
                *slot = *octet;
            }
            // Bits beyond the prefix are to be ignored (RFC 3442).
            let mask = (u64::MAX << (32 - prefix)) as u32;
            let destination = Ipv4Addr::from_bits(u32::from_be_bytes(destination) & mask);
            Some(Route {
                destination,
                prefix,
                router: Ipv4Addr::from_octets(*router),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn routes(pieces: &[&[u8]]) -> Vec<Route> {
        let mut option = ClasslessRoutes::new();
        pieces.iter().for_each(|piece| option.push(piece));
        option.iter().collect()
    }

    fn route(destination: [u8; 4], prefix: u8, router: [u8; 4]) -> Route {
        Route {
            destination: destination.into(),
            prefix,
            router: router.into(),
        }
    }

    #[test]
    fn rfc_3442_examples() {
        assert_eq!(routes(&[&[0, 10, 0, 0, 1]]), [route([0; 4], 0, [10, 0, 0, 1])]);
        assert_eq!(
            routes(&[&[8, 10, 10, 0, 0, 1]]),
            [route([10, 0, 0, 0], 8, [10, 0, 0, 1])]
        );
        assert_eq!(
            routes(&[&[24, 10, 0, 0, 10, 0, 0, 1]]),
            [route([10, 0, 0, 0], 24, [10, 0, 0, 1])]
        );
        assert_eq!(
            routes(&[&[25, 10, 27, 129, 128, 1, 2, 3, 4]]),
            [route([10, 27, 129, 128], 25, [1, 2, 3, 4])]
        );
        assert_eq!(
            routes(&[&[32, 169, 254, 169, 254, 10, 0, 0, 2]]),
            [route([169, 254, 169, 254], 32, [10, 0, 0, 2])]
        );
        // Host bits are cleared.
        assert_eq!(
            routes(&[&[20, 10, 17, 255, 1, 2, 3, 4]]),
            [route([10, 17, 240, 0], 20, [1, 2, 3, 4])]
        );
    }

    #[test]
    fn pieces_join_and_rubbish_ends_the_list() {
        let both = [route([0; 4], 0, [10, 0, 0, 1]), route([10, 0, 0, 0], 8, [10, 0, 0, 2])];
        assert_eq!(routes(&[&[0, 10, 0], &[0, 1, 8, 10, 10, 0, 0, 2]]), both);
        assert_eq!(routes(&[&[0, 10, 0, 0, 1, 33, 1, 2, 3, 4, 5, 6, 7, 8, 9]]), both[..1]);
        assert_eq!(routes(&[&[24, 10, 0]]), []);
        assert_eq!(routes(&[&[7; 300], &[7; 300]]).len(), 85);
    }
}
