//! Asking a metadata service.

use crate::bounds::heap_at_most;
use crate::script::Script;
use cartridge_agent_core::http::client::Fault;
use cartridge_agent_core::metadata::{Inquiry, LONGEST_PAUSE, Service, Step, TRIES_LIMIT, What};
use std::time::Duration;

const FAULTS: [Fault; 12] = [
    Fault::BadRequest,
    Fault::NoName,
    Fault::Refused,
    Fault::Unreachable,
    Fault::TimedOut,
    Fault::CutOff,
    Fault::Malformed,
    Fault::HeadTooLarge,
    Fault::BodyTooLarge,
    Fault::RedirectedAway,
    Fault::RedirectLoop,
    Fault::NotWanted,
];

const LIMIT: Duration = Duration::from_secs(120);

/// For each request: its outcome, how long it took, and of a list of keys the list.
pub fn inquiry(input: &[u8]) {
    let mut script = Script::new(input);
    let kind = script.byte();
    let (service, next) = match kind & 3 {
        0 => (Service::Ec2, None),
        1 => (Service::OpenStack, None),
        _ => (Service::OpenStack, Some(Service::Ec2)),
    };
    let addresses = 1 + usize::from(kind >> 2 & 1);
    let mut now = Duration::from_secs(1);
    let mut inquiry = Inquiry::new(service, next, addresses, now + LIMIT);
    heap_at_most(0, || {
        let (mut asked, mut after_the_end) = (0, 0);
        loop {
            match inquiry.step(now) {
                Step::Done | Step::Failed(..) => break,
                Step::Wait(until) => {
                    assert!(
                        until > now && until <= now + LONGEST_PAUSE,
                        "a pause of {:?}",
                        until - now
                    );
                    now = until;
                }
                Step::Ask(what, address) => {
                    assert!(address < addresses && what.path(inquiry.service()).starts_with('/'));
                    asked += 1;
                    // Past the deadline only what can do without an answer is asked for.
                    after_the_end += u32::from(now > Duration::from_secs(1) + LIMIT);
                    let outcome = script.byte();
                    now += script.time().min(Duration::from_secs(14));
                    let result = match outcome {
                        0..=11 => Err(FAULTS[usize::from(outcome)]),
                        12..=99 => Ok([200, 404, 401, 403, 405, 500, 503, 429, 301, 204][usize::from(outcome % 10)]),
                        _ => Ok(100 + u16::from(outcome - 100) * 4),
                    };
                    if result == Ok(200) && what == What::Keys {
                        let list = script.byte();
                        if let Ok(text) = core::str::from_utf8(script.take(usize::from(list & 63))) {
                            inquiry.listed(text);
                        }
                    }
                    inquiry.answered(result, now, u32::from(outcome).wrapping_mul(0x9e37_79b9));
                }
            }
            // Once a request every half second, as the pauses are doubled from there; two services with two addresses.
            assert!(asked <= 600, "{asked} requests");
        }
        // Twelve things that can be done without, each tried a few times, and all of it again once, with another token.
        let most = 2 * (3 + 12 * TRIES_LIMIT * addresses as u32);
        assert!(after_the_end <= most, "{after_the_end} requests after the deadline");
    });
}
