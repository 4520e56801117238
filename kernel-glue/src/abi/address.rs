//! Socket addresses as the ABI lays them out (`hermit_abi::sockaddr_in`, `sockaddr_in6`): a length byte, a family byte,
//! the port in network order; then for IPv4 the address and 8 zero bytes, for IPv6 flow information, the address and
//! the scope (native order).

use crate::errno::{Errno, Result};
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use hermit_abi::{AF_INET, AF_INET6, sockaddr_in, sockaddr_in6};

pub const V4_SIZE: usize = size_of::<sockaddr_in>();
pub const V6_SIZE: usize = size_of::<sockaddr_in6>();

/// Reads an address. The length byte is not looked at (std leaves it 0), the family byte is. EINVAL when `bytes` is too
/// short.
pub fn decode(bytes: &[u8]) -> Result<SocketAddr> {
    let family = i32::from(*bytes.get(1).ok_or(Errno::EINVAL)?);
    let port = u16::from_be_bytes(part(bytes, 2)?);
    match family {
        AF_INET if bytes.len() >= V4_SIZE => Ok(SocketAddrV4::new(Ipv4Addr::from(part::<4>(bytes, 4)?), port).into()),
        AF_INET6 if bytes.len() >= V6_SIZE => {
            let flow = u32::from_ne_bytes(part(bytes, 4)?);
            let scope = u32::from_ne_bytes(part(bytes, 24)?);
            Ok(SocketAddrV6::new(Ipv6Addr::from(part::<16>(bytes, 8)?), port, flow, scope).into())
        }
        AF_INET | AF_INET6 => Err(Errno::EINVAL),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// Lays an address out; returns it and how many of the bytes it takes.
pub fn encode(address: SocketAddr) -> ([u8; V6_SIZE], usize) {
    let mut bytes = [0; V6_SIZE];
    bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
    let (family, size) = match address {
        SocketAddr::V4(v4) => {
            bytes[4..8].copy_from_slice(&v4.ip().octets());
            (AF_INET, V4_SIZE)
        }
        SocketAddr::V6(v6) => {
            bytes[4..8].copy_from_slice(&v6.flowinfo().to_ne_bytes());
            bytes[8..24].copy_from_slice(&v6.ip().octets());
            bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
            (AF_INET6, V6_SIZE)
        }
    };
    bytes[0] = size as u8;
    bytes[1] = family as u8;
    (bytes, size)
}

fn part<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N]> {
    bytes
        .get(offset..offset + N)
        .and_then(|part| part.try_into().ok())
        .ok_or(Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for text in [
            "10.0.2.15:8080",
            "0.0.0.0:0",
            "[::1]:65535",
            "[fe80::5054:ff:fe12:3456%2]:1",
        ] {
            let address: SocketAddr = text.parse().unwrap();
            let (bytes, size) = encode(address);
            assert_eq!(decode(&bytes[..size]), Ok(address));
        }
    }

    #[test]
    fn layout_is_that_of_the_abi() {
        let (bytes, size) = encode("1.2.3.4:258".parse().unwrap());
        assert_eq!(bytes[..size], [16, 3, 1, 2, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
        let (bytes, size) = encode("[::1]:258".parse().unwrap());
        assert_eq!(bytes[..4], [28, 1, 1, 2]);
        assert_eq!((bytes[23], size), (1, 28));
    }

    #[test]
    fn short_or_foreign_addresses_are_refused() {
        let (v6, _) = encode("[::1]:1".parse().unwrap());
        for size in 0..V6_SIZE {
            assert_eq!(decode(&v6[..size]), Err(Errno::EINVAL));
        }
        let (v4, _) = encode("127.0.0.1:1".parse().unwrap());
        for size in 0..V4_SIZE {
            assert_eq!(decode(&v4[..size]), Err(Errno::EINVAL));
        }
        assert_eq!(
            decode(&[16, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Err(Errno::EAFNOSUPPORT)
        );
    }
}
