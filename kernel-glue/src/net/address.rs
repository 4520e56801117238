//! Addresses as programs see them. An IPv6 socket is dual-stack: IPv4 peers appear as ::ffff:a.b.c.d (RFC 4291 2.5.5.2).

use crate::errno::{Errno, Result};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use smoltcp::wire::{IpAddress, IpEndpoint};

/// An address of a program, for a socket of the family. EAFNOSUPPORT when it is of the other one.
pub fn endpoint(address: SocketAddr, v6: bool) -> Result<IpEndpoint> {
    if address.is_ipv6() != v6 {
        return Err(Errno::EAFNOSUPPORT);
    }
    Ok(IpEndpoint::new(address.ip().to_canonical().into(), address.port()))
}

pub fn socket_address(endpoint: IpEndpoint, v6: bool) -> SocketAddr {
    let ip = match endpoint.addr {
        IpAddress::Ipv4(address) if v6 => IpAddr::V6(address.to_ipv6_mapped()),
        address => address.into(),
    };
    SocketAddr::new(ip, endpoint.port)
}

/// 0.0.0.0 or ::, as the socket's family has it.
pub fn any(port: u16, v6: bool) -> SocketAddr {
    match v6 {
        true => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port),
        false => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
    }
}

/// The address, or `None` for 0.0.0.0 and ::.
pub fn specified(address: IpAddress) -> Option<IpAddress> {
    (!address.is_unspecified()).then_some(address)
}

pub fn is_loopback(address: &IpAddress) -> bool {
    match address {
        IpAddress::Ipv4(address) => address.is_loopback(),
        IpAddress::Ipv6(address) => address.is_loopback(),
    }
}

/// A destination of a program, as [`endpoint`]; 0.0.0.0 and :: mean this machine.
#[inline(never)]
pub fn remote(address: SocketAddr, v6: bool) -> Result<IpEndpoint> {
    let mut remote = endpoint(address, v6)?;
    if remote.addr.is_unspecified() {
        remote.addr = match remote.addr {
            IpAddress::Ipv4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddress::Ipv6(_) => Ipv6Addr::LOCALHOST.into(),
        };
    }
    Ok(remote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dual_stack_sockets_see_mapped_addresses() {
        let four = IpEndpoint::new(IpAddress::v4(10, 0, 2, 2), 80);
        let mapped: SocketAddr = "[::ffff:10.0.2.2]:80".parse().unwrap();
        assert_eq!(socket_address(four, true), mapped);
        assert_eq!(endpoint(mapped, true), Ok(four));
        assert_eq!(endpoint(mapped, false), Err(Errno::EAFNOSUPPORT));
        assert_eq!(socket_address(four, false), "10.0.2.2:80".parse().unwrap());
    }
}
