//! Names to addresses, by DNS.

use super::block::{Stop, block};
use super::setup::{Setup, State, has_route};
use super::stack::{Inner, Stack};
use crate::errno::{Errno, Result};
use crate::heap::{self, Vec};
use core::net::IpAddr;
use smoltcp::socket::dns::{self, GetQueryResultError, QueryHandle, StartQueryError};
use smoltcp::wire::{DnsQueryType, IpAddress};

/// A whole resolution takes at most this long (ns); smoltcp gives each server 10 s.
const LONGEST: u64 = 20_000_000_000;

/// The addresses DNS knows of `name` (not a literal, not localhost), those of the wanted families, IPv4 first. ENOENT: there is
/// no such name. EAGAIN: no answer, or no server known. ENETDOWN: no network.
pub fn resolve(stack: &Stack, name: &str, v4: bool, v6: bool) -> Result<Vec<IpAddr>> {
    wait_for_server(stack)?;
    let mut questions = stack.run(|inner, now| Questions::ask(inner, name, v4, v6, now))?;
    let answer = block(stack, false, LONGEST, |inner, _| {
        questions.collect(&mut inner.setup)?;
        match questions.asked.iter().any(Option::is_some) {
            true => Err(Stop::Wait(inner.setup.channel())),
            false => Ok(()),
        }
    });
    stack.look(|inner| questions.cancel(&mut inner.setup));
    answer.and(if questions.answers.is_empty() {
        Err(Errno::ENOENT)
    } else {
        Ok(questions.answers)
    })
}

fn wait_for_server(stack: &Stack) -> Result<()> {
    block(stack, false, LONGEST, |inner, now| {
        inner.need_network(now);
        if inner.setup.dns().is_some() {
            return Ok(());
        }
        match inner.setup.state(&inner.links) {
            State::Absent => Err(Errno::ENETDOWN.into()),
            _ if inner.setup.may_come(false, now) => Err(Stop::Wait(inner.setup.channel())),
            _ => Err(Errno::EAGAIN.into()),
        }
    })
}

/// The questions under way, and what was answered.
struct Questions {
    asked: [Option<QueryHandle>; 2],
    answers: Vec<IpAddr>,
}

impl Questions {
    fn ask(inner: &mut Inner, name: &str, v4: bool, v6: bool, now: u64) -> Result<Questions> {
        let mut questions = Questions {
            asked: [None, None],
            answers: heap::vec(),
        };
        // Addresses of a family that leads nowhere help nobody (RFC 3493 6.1, AI_ADDRCONFIG).
        let routed6 = has_route(&mut inner.links, &IpAddress::v6(0x2000, 0, 0, 0, 0, 0, 0, 1));
        let wanted = [(v4, DnsQueryType::A), (v6 && (routed6 || !v4), DnsQueryType::Aaaa)];
        for (slot, (_, kind)) in questions
            .asked
            .iter_mut()
            .zip(wanted)
            .filter(|(_, (wanted, _))| *wanted)
        {
            let (Some(dns), Some(link)) = (inner.setup.dns(), inner.links.outside.as_deref_mut()) else {
                return Err(Errno::EAGAIN);
            };
            let started = dns
                .get_mut::<dns::Socket>()
                .start_query(link.interface.context(), name, kind);
            *slot = Some(started.map_err(|error| match error {
                StartQueryError::NoFreeSlot => Errno::EAGAIN,
                StartQueryError::InvalidName | StartQueryError::NameTooLong => Errno::ENOENT,
            })?);
        }
        inner.setup.step(&mut inner.links, now);
        inner.next = inner.next.min(inner.setup.deadline());
        Ok(questions)
    }

    fn collect(&mut self, setup: &mut Setup) -> Result<()> {
        let Some(dns) = setup.dns() else {
            return Err(Errno::EAGAIN);
        };
        for slot in &mut self.asked {
            let Some(handle) = *slot else { continue };
            match dns.get_mut::<dns::Socket>().get_query_result(handle) {
                Err(GetQueryResultError::Pending) => continue,
                Err(GetQueryResultError::Failed) => {}
                Ok(addresses) => {
                    self.answers.try_reserve(addresses.len()).map_err(|_| Errno::ENOMEM)?;
                    self.answers
                        .extend(addresses.iter().map(|address| IpAddr::from(*address)));
                }
            }
            *slot = None;
        }
        Ok(())
    }

    fn cancel(&mut self, setup: &mut Setup) {
        let Some(dns) = setup.dns() else { return };
        for handle in self.asked.iter_mut().filter_map(Option::take) {
            dns.get_mut::<dns::Socket>().cancel_query(handle);
        }
    }
}
