//! The network: devices below, smoltcp in the middle, sockets as [`Object`](crate::object::Object)s above.
//!
//! - [`device`] is what drivers offer; [`link`] puts a smoltcp interface on it, and is loopback. [`ask`] and [`hops`] find neighbours
//!   where smoltcp would not.
//! - [`frame`] finds out which socket a frame is for, so that smoltcp sees one socket at a time ([`lone`]).
//! - [`stack`] holds everything and does the work of packets and timers; [`connection`], [`table`], [`listener`],
//!   [`datagram`], [`outbox`] and [`ports`] are its parts. [`setup`] gives the machine its addresses.
//! - [`tcp`] and [`udp`] are the socket calls, [`block`] their waiting, [`resolve`] names, by [`dns`] messages.
//!
//! Limits, on purpose: no IP fragments, no multicast membership, packets of at most 1500 bytes outside.

pub mod device;

#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod address;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod ask;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod block;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod connection;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod datagram;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod delivery;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod dhcp_options;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod dns;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod frame;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod hops;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod link;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod listener;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod lone;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod options;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod outbox;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod ports;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod resolve;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod setup;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod stack;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod system;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod table;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod tcp;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod text;
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod udp;

#[cfg(all(feature = "fuzz", not(target_os = "hermit")))]
pub mod fuzzed;
#[cfg(test)]
mod tests;

#[cfg(target_os = "hermit")]
mod kernel;
#[cfg(target_os = "hermit")]
pub use kernel::*;

#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
use limits::*;

/// How long things may take, nanoseconds where not a `Duration`.
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
mod limits {
    use smoltcp::time::Duration;

    const SECOND: u64 = 1_000_000_000;
    /// A peer's part of the handshake of an incoming connection.
    pub const HANDSHAKE: Duration = Duration::from_secs(10);
    /// A handshake this young keeps its place when the backlog is full.
    pub const YOUNG: u64 = SECOND;
    /// With this many handshakes under way at a listener, new ones get small buffers: they may be a flood.
    pub const CROWD: usize = 32;
    /// An outgoing connection's handshake.
    pub const CONNECT: Duration = Duration::from_secs(60);
    /// A peer that owes an acknowledgement and is not heard from.
    pub const SILENCE: u64 = 300 * SECOND;
    /// The same once the program has closed the connection. Longer than two of smoltcp's longest pauses between probes, 60 s.
    pub const DELIVERY: u64 = 150 * SECOND;
    /// Longest life of a connection that the program has closed, whatever the peer says.
    pub const ORPHAN: u64 = 600 * SECOND;
    /// The peer's FIN after ours was acknowledged.
    pub const FIN_WAIT_2: u64 = 10 * SECOND;
    /// The acknowledgement of our FIN when both sides closed at once. A peer may send it only on a repeated FIN, which smoltcp
    /// does not take in this state.
    pub const CLOSING: u64 = 3 * SECOND;
    /// Long enough for a repeated FIN on a real network, short because the connection keeps its buffers.
    pub const TIME_WAIT: u64 = SECOND;
    /// Most closed connections kept in TIME_WAIT.
    pub const MOST_RESTING: usize = 16;
}

/// Takes a local name for a socket; brings the network up first when the address can only be one of the outside.
#[cfg(any(target_os = "hermit", test, feature = "fuzz"))]
fn bind(
    stack: &stack::Stack,
    protocol: ports::Protocol,
    local: smoltcp::wire::IpEndpoint,
    families: ports::Families,
) -> crate::errno::Result<ports::Binding> {
    use crate::errno::Errno;
    let address = address::specified(local.addr);
    let own = |address| stack.look(|inner| block::is_own(inner, address));
    if let Some(address) = &address
        && !own(address)
        && address.is_unicast()
    {
        // EADDRNOTAVAIL unless the address is the machine's once the network is up.
        let _ = block::reach(stack, address);
        if !own(address) {
            return Err(Errno::EADDRNOTAVAIL);
        }
    }
    stack.look(|inner| {
        inner.ports.bind(ports::Binding {
            protocol,
            port: local.port,
            address,
            families,
        })
    })
}
