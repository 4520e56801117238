//! Names to addresses, by DNS: a UDP socket of its own for each attempt, so that guessing an answer takes guessing its port too.

use super::address::any;
use super::block::{Stop, block};
use super::dns::{self, Question};
use super::setup::{State, has_route};
use super::stack::Stack;
use super::system;
use super::text::MOST_SERVERS;
use super::udp::UdpSocket;
use crate::errno::{Errno, Result};
use crate::heap::{self, Rc, Vec};
use crate::object::{Object, Socket};
use core::net::{IpAddr, SocketAddr};
use smoltcp::wire::IpAddress;

const SECOND: u64 = 1_000_000_000;
/// A whole resolution takes at most this long (ns).
const LONGEST: u64 = 20 * SECOND;
/// How long each server may take for its answer in each round (ns).
const PATIENCE: [u64; 3] = [SECOND, 3 * SECOND, 6 * SECOND];

type Servers = [Option<IpAddr>; MOST_SERVERS];
/// Those without an answer yet.
type Questions = [Option<Question>; 2];

/// The addresses DNS knows of `name` (not a literal, not localhost), those of the wanted families. ENOENT: there is
/// no such name. EAGAIN: no answer, or no server known. ENETDOWN: no network.
pub fn resolve(stack: &Rc<Stack>, name: &str, v4: bool, v6: bool) -> Result<Vec<IpAddr>> {
    let servers = wait_for_servers(stack)?;
    // Addresses of a family that leads nowhere help nobody (RFC 3493 6.1, AI_ADDRCONFIG).
    let routed6 = stack.look(|inner| has_route(&mut inner.links, &IpAddress::v6(0x2000, 0, 0, 0, 0, 0, 0, 1)));
    let mut questions = [None, None];
    for (slot, wanted, kind) in [(0, v4, dns::A), (1, v6 && (routed6 || !v4), dns::AAAA)] {
        if wanted {
            questions[slot] = Some(Question::new(system::random() as u16, name, kind)?);
        }
    }
    let mut found = heap::vec();
    let end = system::now() + LONGEST;
    for patience in PATIENCE {
        for server in servers.iter().flatten() {
            let until = end.min(system::now() + patience);
            match ask(stack, *server, &mut questions, &mut found, until) {
                Ok(()) if found.is_empty() => return Err(Errno::ENOENT),
                Ok(()) => return Ok(found),
                // One family is better than none: some servers never answer for IPv6.
                Err(_) if !found.is_empty() => return Ok(found),
                // The next server, or this one again.
                Err(_) => {}
            }
        }
    }
    Err(Errno::EAGAIN)
}

fn wait_for_servers(stack: &Stack) -> Result<Servers> {
    block(stack, false, LONGEST, |inner, now| {
        inner.need_network(now);
        let servers = inner.setup.servers();
        if servers[0].is_some() {
            return Ok(servers);
        }
        match inner.setup.state(&inner.links) {
            State::Absent => Err(Errno::ENETDOWN.into()),
            _ if inner.setup.may_come(false) => Err(Stop::wait(inner.setup.channel())),
            _ => Err(Errno::EAGAIN.into()),
        }
    })
}

/// Asks one server everything that is not answered, until a time (ns).
fn ask(
    stack: &Rc<Stack>,
    server: IpAddr,
    questions: &mut Questions,
    found: &mut Vec<IpAddr>,
    until: u64,
) -> Result<()> {
    let socket = UdpSocket::new(stack.clone(), server.is_ipv6());
    // A port nobody can foresee (RFC 5452 4.5); where it is taken, any.
    let port = super::ports::FIRST_EPHEMERAL | system::random() as u16;
    socket
        .bind(any(port, server.is_ipv6()))
        .or_else(|_| socket.bind(any(0, server.is_ipv6())))?;
    socket.connect(SocketAddr::new(server, dns::PORT))?;
    for question in questions.iter().flatten() {
        socket.write(question.bytes())?;
    }
    let mut message = [0; dns::LONGEST_MESSAGE];
    while questions.iter().any(Option::is_some) {
        // At least 1: none would be for ever.
        socket.limit_receive(until.saturating_sub(system::now()).max(1));
        let length = socket.read(&mut message)?;
        for slot in questions.iter_mut() {
            if let Some(question) = slot
                && question.take(&message[..length], found)?
            {
                *slot = None;
            }
        }
    }
    Ok(())
}
