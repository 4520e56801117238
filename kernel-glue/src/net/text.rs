//! The lines a program writes to `/run/cartridge/network`.
//!
//! `dhcp [dns D,D] [mtu N]`, or `static ADDRESS/PREFIX [gateway G] [dns D,D] [mtu N]` for IPv4 or IPv6; one line for each family.

use super::address::is_loopback;
use super::link::MAX_MTU;
use core::net::{IpAddr, Ipv4Addr};
use smoltcp::wire::IpAddress;

/// Most DNS servers kept.
pub const MOST_SERVERS: usize = 3;
/// What every IPv4 host takes (RFC 791 3.1), and the least of IPv6 (RFC 8200 5), bytes.
pub const LEAST_MTU: [usize; 2] = [576, 1280];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Static {
    pub address: IpAddr,
    pub prefix: u8,
    pub gateway: Option<IpAddr>,
    pub servers: [Option<IpAddr>; MOST_SERVERS],
    pub mtu: Option<usize>,
}

impl Static {
    pub const NONE: Static = Static {
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        prefix: 0,
        gateway: None,
        servers: [None; MOST_SERVERS],
        mtu: None,
    };
}

/// What is wrong with a line, for the user.
pub type Wrong = &'static str;

/// Whether the line is `static`; otherwise it is `dhcp`, and `result` keeps the address it has. What the line says is in `result`.
pub fn parse(line: &[u8], result: &mut Static) -> Result<bool, Wrong> {
    let mut words = Words(line);
    match words.next() {
        Some(b"dhcp") => parse_options(words, result).map(|()| false),
        Some(b"static") => parse_static(words, result).map(|()| true),
        _ => Err("expected `dhcp` or `static ADDRESS/PREFIX`, then [gateway G] [dns D,D] [mtu N]"),
    }
}

/// What is left of a line.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    #[inline(never)]
    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.0.trim_ascii_start();
        let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        let (word, rest) = line.split_at_checked(end)?;
        self.0 = rest;
        Some(word).filter(|word| !word.is_empty())
    }
}

/// What comes before and after the first `at`; all of it and nothing without one.
#[inline(never)]
fn cut(bytes: &[u8], at: u8) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == at).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

// Its result stays in memory: field by field, copying it is much code.
#[inline(never)]
fn parse_static(mut words: Words, result: &mut Static) -> Result<(), Wrong> {
    const ADDRESS: Wrong = "expected ADDRESS/PREFIX after `static`, as in 10.0.2.15/24 or fd00::15/64";
    let (address, prefix) = cut(words.next().unwrap_or_default(), b'/');
    let (address, prefix) = (parse_address(address), number(prefix));
    let (Some(address), Some(prefix)) = (address, prefix) else {
        return Err(ADDRESS);
    };
    if !is_unicast(address) || is_loopback(&address.into()) {
        return Err("the static address must be one a host can have");
    }
    if prefix == 0 || prefix > if address.is_ipv4() { 32 } else { 128 } {
        return Err("the prefix length must be 1 to 32 (IPv4) or 1 to 128 (IPv6)");
    }
    (result.address, result.prefix) = (address, prefix as u8);
    parse_options(words, result)
}

/// The words after the address; without one there is no gateway either.
fn parse_options(mut words: Words, result: &mut Static) -> Result<(), Wrong> {
    let address = result.address;
    while let Some(key) = words.next() {
        let value = words.next().ok_or("expected a value after the last word")?;
        let (good, wrong) = match key {
            b"gateway" => {
                result.gateway = parse_address(value);
                let fits = |gateway: IpAddr| gateway.is_ipv4() == address.is_ipv4() && is_unicast(gateway);
                (
                    result.prefix > 0 && result.gateway.is_some_and(fits),
                    "expected a static address, and a router's of the same family after `gateway`",
                )
            }
            b"dns" => (
                parse_servers(value, &mut result.servers),
                "expected addresses separated by commas after `dns`",
            ),
            b"mtu" => {
                result.mtu = parse_mtu(value, address);
                (result.mtu.is_some(), "expected 576 (IPv6: 1280) to 65535 after `mtu`")
            }
            _ => (false, "expected `gateway`, `dns` or `mtu`"),
        };
        if !good {
            return Err(wrong);
        }
    }
    Ok(())
}

/// Not unspecified, multicast or broadcast.
#[inline(never)]
fn is_unicast(address: IpAddr) -> bool {
    IpAddress::from(address).is_unicast()
}

// Kept out of its callers: the parser is large.
#[inline(never)]
fn parse_address(word: &[u8]) -> Option<IpAddr> {
    core::str::from_utf8(word).ok()?.parse().ok()
}

/// At most five digits.
#[inline(never)]
fn number(word: &[u8]) -> Option<usize> {
    if word.is_empty() || word.len() > 5 {
        return None;
    }
    word.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + (digit - b'0') as usize)
    })
}

/// Whether all are addresses.
fn parse_servers(mut value: &[u8], servers: &mut [Option<IpAddr>]) -> bool {
    servers.fill(None);
    // More servers than are kept are not an error: the first ones are asked.
    for slot in servers {
        let word;
        (word, value) = cut(value, b',');
        *slot = parse_address(word);
        if slot.is_none() {
            return false;
        }
        if value.is_empty() {
            break;
        }
    }
    true
}

fn parse_mtu(value: &[u8], address: IpAddr) -> Option<usize> {
    let least = LEAST_MTU[address.is_ipv6() as usize];
    // What is larger than a frame is cut down to it.
    number(value)
        .filter(|mtu| (least..=65535).contains(mtu))
        .map(|mtu| mtu.min(MAX_MTU))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(PartialEq, Debug)]
    enum Line {
        Dhcp(Static),
        Static(Static),
    }

    fn parse(line: &[u8]) -> Result<Line, Wrong> {
        let mut given = Static::NONE;
        let is_static = super::parse(line, &mut given)?;
        Ok(if is_static {
            Line::Static(given)
        } else {
            Line::Dhcp(given)
        })
    }

    #[test]
    fn lines() {
        assert_eq!(parse(b"dhcp"), Ok(Line::Dhcp(Static::NONE)));
        let given = Static {
            servers: [Some(IpAddr::from([10, 0, 2, 3])), None, None],
            mtu: Some(1400),
            ..Static::NONE
        };
        assert_eq!(parse(b"dhcp dns 10.0.2.3 mtu 1400"), Ok(Line::Dhcp(given)));
        let Ok(Line::Static(four)) = parse(b"static 10.0.2.15/24 gateway 10.0.2.2 dns 10.0.2.3,1.1.1.1 mtu 9000")
        else {
            panic!("a good line");
        };
        assert_eq!(
            (four.address, four.prefix, four.mtu),
            (IpAddr::from([10, 0, 2, 15]), 24, Some(1500))
        );
        assert_eq!(
            four.servers,
            [
                Some(IpAddr::from([10, 0, 2, 3])),
                Some(IpAddr::from([1, 1, 1, 1])),
                None
            ]
        );
        assert_eq!(four.gateway, Some(IpAddr::from([10, 0, 2, 2])));
        assert!(parse(b"static\tfd00::15/64  mtu\t1280").is_ok());
        assert!(matches!(parse(b"static fd00::15/64"), Ok(Line::Static(six)) if six.prefix == 64));
    }

    #[test]
    fn mistakes_are_named() {
        for line in [
            "",
            "static",
            "dhcp now",
            "dhcp gateway 10.0.2.2",
            "dhcp mtu 575",
            "static 10.0.2.15",
            "static 10.0.2.15/33",
            "static 10.0.2.15/0",
            "static ::/64",
            "static 10.0.2.15/24 gateway",
            "static 10.0.2.15/24 gateway fe80::1",
            "static 10.0.2.15/24 dns 1,2",
            "static 10.0.2.15/24 mtu 575",
            "static fd00::1/64 mtu 1279",
            "static 255.255.255.255/8",
            "static 10.1/8",
            "static 10.0.2.15/24 colour red",
            "static 224.0.0.1/8",
            "static 127.0.0.1/8",
        ] {
            assert!(parse(line.as_bytes()).is_err(), "{line}");
        }
    }
}
