//! Names and addresses.

use crate::report::{Check, Outcome};
use crate::{ensure, ensure_eq, tried};
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

pub const CHECKS: &[Check] = &[
    ("localhost", localhost),
    ("literal addresses need no lookup", literals),
    ("a name that does not exist", nonexistent),
    ("a name that cannot exist", malformed),
];

fn localhost() -> Outcome {
    let found: Vec<SocketAddr> = tried!("localhost:80".to_socket_addrs()).collect();
    ensure!(
        found.contains(&SocketAddr::from((Ipv4Addr::LOCALHOST, 80))),
        "localhost is {found:?}"
    );
    ensure!(
        found.iter().all(|address| address.ip().is_loopback()),
        "localhost is {found:?}"
    );
    Ok(())
}

fn literals() -> Outcome {
    for literal in ["10.1.2.3:4", "[fe80::1]:5"] {
        let found: Vec<String> = tried!(literal.to_socket_addrs())
            .map(|address| address.to_string())
            .collect();
        ensure_eq!(found, [literal]);
    }
    Ok(())
}

/// `.invalid` never resolves (RFC 6761, section 6.4); with or without a name server, the answer is an error in bounded
/// time.
fn nonexistent() -> Outcome {
    let start = Instant::now();
    ensure!("nobody.invalid:80".to_socket_addrs().is_err(), "it was found");
    ensure!(
        start.elapsed() < Duration::from_secs(45),
        "not finding it took {:?}",
        start.elapsed()
    );
    Ok(())
}

fn malformed() -> Outcome {
    for name in ["", "a b", "x..y", &"label.".repeat(60)] {
        ensure!((name, 80).to_socket_addrs().is_err(), "{name:?} was found");
    }
    Ok(())
}
