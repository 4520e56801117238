//! Service names that `getaddrinfo` knows: decimal ports, and the few names that programs use (IANA service name
//! registry).

const SERVICES: &[(&[u8], u16)] = &[
    (b"domain", 53),
    (b"http", 80),
    (b"https", 443),
    (b"mqtt", 1883),
    (b"nats", 4222),
    (b"ntp", 123),
    (b"secure-mqtt", 8883),
    (b"ssh", 22),
];

pub fn port(name: &[u8]) -> Option<u16> {
    let known = SERVICES.iter().find(|(known, _)| *known == name).map(|(_, port)| *port);
    known.or_else(|| core::str::from_utf8(name).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names() {
        assert_eq!(port(b"https"), Some(443));
        assert_eq!(port(b"8080"), Some(8080));
        for unknown in [&b"65536"[..], b"-1", b"", b"gopher", b"\xff"] {
            assert_eq!(port(unknown), None);
        }
    }
}
