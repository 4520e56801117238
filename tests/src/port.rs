//! Ports of this host for servers that a test starts as processes.

use anyhow::{Context, Result};
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Longest that other tests may keep a port.
const CLAIM_LIMIT: Duration = Duration::from_secs(600);
/// Until a server that was just ended gives its port back.
const FREE_LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// Below those that Linux gives to outgoing connections (ip_local_port_range), so that no client of another test sits on one
/// between our look and the server's start.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A port that no other test uses while this lives.
pub struct Claim(#[expect(dead_code, reason = "it is held, not used")] UnixListener);

/// Waits until no other test on this host has the port, and nobody listens on it.
///
/// The claim is a name in Linux's abstract namespace: one for each network namespace, as ports are, and gone with its process,
/// however that ends. So it holds within a test program, across them, and across checkouts.
pub fn claim(port: u16) -> Result<Claim> {
    let name = SocketAddr::from_abstract_name(format!("cartridge-tests-port-{port}"))?;
    let claim = wait(CLAIM_LIMIT, || UnixListener::bind_addr(&name))
        .with_context(|| format!("other tests keep port {port} of this machine"))?;
    wait(FREE_LIMIT, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))
        .with_context(|| format!("port {port} of this machine is taken; end what uses it"))?;
    Ok(Claim(claim))
}

/// A port that nobody listens on, another one at each call.
pub fn free() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    // Test programs that run side by side begin at different places.
    let first = (std::process::id().wrapping_mul(97) % u32::from(count)) as u16;
    for _ in 0..count {
        let port = PORTS.start + (first + NEXT.fetch_add(1, Ordering::Relaxed) % count) % count;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("every port from {} to {} is taken", PORTS.start, PORTS.end)
}

fn wait<T>(limit: Duration, attempt: impl Fn() -> std::io::Result<T>) -> std::io::Result<T> {
    let end = Instant::now() + limit;
    loop {
        match attempt() {
            Err(_) if Instant::now() < end => thread::sleep(LOOK),
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_claimed_port_has_one_owner_at_a_time() {
        let port = free().unwrap();
        let first = claim(port).unwrap();
        let (sender, second) = mpsc::channel();
        let waiter = thread::spawn(move || {
            let claim = claim(port);
            sender.send(()).unwrap();
            claim
        });
        assert_eq!(
            second.recv_timeout(LOOK * 4),
            Err(mpsc::RecvTimeoutError::Timeout),
            "two owners"
        );
        drop(first);
        second.recv_timeout(FREE_LIMIT).unwrap();
        waiter.join().unwrap().unwrap();
    }

    #[test]
    fn free_ports_differ() {
        assert_ne!(free().unwrap(), free().unwrap());
    }
}
