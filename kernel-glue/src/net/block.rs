//! Waiting for the stack: the loop behind every blocking socket call, and the wait for the network itself.

use super::address::is_loopback;
use super::connection::LinkId;
use super::setup::{PATIENCE, State, has_route};
use super::stack::{Inner, Stack};
use super::system;
use crate::errno::{Errno, Result};
use crate::thread_types::{Channel, Wake};
use smoltcp::wire::IpAddress;

/// Why a call cannot finish now: an error's number, or the channel whose wake-up may change something. One word, because
/// every attempt returns one; channels are addresses, far above the error numbers.
pub struct Stop(usize);

const MOST_ERRORS: usize = 4096;

impl Stop {
    pub fn wait(channel: Channel) -> Stop {
        Stop(channel.0)
    }
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Stop {
        Stop(errno.0 as usize)
    }
}

/// Runs `attempt` until it succeeds or fails. EAGAIN when it would have to wait and may not, or the time-out (ns, 0: none)
/// is over.
pub fn block<R>(
    stack: &Stack,
    nonblocking: bool,
    timeout: u64,
    mut attempt: impl FnMut(&mut Inner, u64) -> core::result::Result<R, Stop>,
) -> Result<R> {
    let mut deadline = 0;
    loop {
        match stack.run(&mut attempt) {
            Ok(result) => return Ok(result),
            Err(stop) if stop.0 >= MOST_ERRORS && stack.has_looped() => {}
            Err(stop) => wait(stop, nonblocking, timeout, &mut deadline)?,
        }
    }
}

#[inline(never)]
fn wait(stop: Stop, nonblocking: bool, timeout: u64, deadline: &mut u64) -> Result<()> {
    if stop.0 < MOST_ERRORS {
        return Err(Errno(stop.0 as i32));
    }
    if nonblocking {
        return Err(Errno::EAGAIN);
    }
    if *deadline == 0 {
        *deadline = match timeout {
            0 => u64::MAX,
            timeout => system::now().saturating_add(timeout),
        };
    }
    match system::wait(&[Channel(stop.0)], *deadline) {
        Wake::TimedOut => Err(Errno::EAGAIN),
        Wake::Woken => Ok(()),
    }
}

/// The link to `destination`. Brings the network up and waits for its first address if that is what is missing, at most 5 s.
/// ENETDOWN without a device, ENETUNREACH without a route.
pub fn reach(stack: &Stack, destination: &IpAddress) -> Result<LinkId> {
    let reached = block(stack, false, PATIENCE, |inner, now| {
        if is_own(inner, destination) {
            return Ok(LinkId::Loopback);
        }
        inner.need_network(now);
        if is_own(inner, destination) {
            return Ok(LinkId::Loopback);
        }
        if has_route(&mut inner.links, destination) {
            return Ok(LinkId::Outside);
        }
        let v6 = matches!(destination, IpAddress::Ipv6(_));
        match inner.setup.state(&inner.links) {
            State::Absent => Err(Errno::ENETDOWN.into()),
            _ if inner.setup.may_come(v6) => Err(Stop::wait(inner.setup.channel())),
            _ => Err(Errno::ENETUNREACH.into()),
        }
    });
    reached.map_err(|error| {
        if error == Errno::EAGAIN {
            Errno::ENETUNREACH
        } else {
            error
        }
    })
}

/// An address of this machine.
#[inline(never)]
pub fn is_own(inner: &Inner, address: &IpAddress) -> bool {
    is_loopback(address)
        || inner
            .links
            .outside
            .as_ref()
            .is_some_and(|link| link.interface.has_ip_addr(*address))
}
