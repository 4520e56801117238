//! What to ask, step by step.

use super::{FIRST_PAUSE, KEY_LIMIT, LONGEST_PAUSE, Service, TRIES_LIMIT};
use crate::http::client::Fault;
use crate::parameters::{SIZE_LIMIT, decimal};
use core::fmt;
use core::time::Duration;

/// Something to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// OpenStack: a JSON object with all of the instance's own data, and a seed of random bytes.
    MetaData,
    /// EC2: the token of version 2, to be PUT for.
    Token,
    /// The payload. The first thing asked of EC2 after its token.
    UserData,
    /// EC2: the instance's identifier.
    InstanceId,
    /// EC2: its host name.
    Hostname,
    /// EC2: its availability zone.
    Zone,
    /// EC2: a list of its public keys, a line `NUMBER=NAME` each.
    Keys,
    /// EC2: the key of this number.
    Key(u8),
}

impl What {
    /// Where it is.
    pub const fn path(self, service: Service) -> &'static str {
        match (self, service) {
            (What::MetaData, _) => "/openstack/latest/meta_data.json",
            (What::UserData, Service::OpenStack) => "/openstack/latest/user_data",
            (What::UserData, Service::Ec2) => "/latest/user-data",
            (What::Token, _) => "/latest/api/token",
            (What::InstanceId, _) => "/latest/meta-data/instance-id",
            (What::Hostname, _) => "/latest/meta-data/local-hostname",
            (What::Zone, _) => "/latest/meta-data/placement/availability-zone",
            (What::Keys, _) => "/latest/meta-data/public-keys/",
            (What::Key(number), _) => KEY_PATHS[(number as usize) % KEY_LIMIT],
        }
    }

    /// How many bytes of it are taken.
    pub const fn limit(self) -> usize {
        match self {
            What::UserData | What::MetaData => SIZE_LIMIT,
            What::Key(_) => 16 * 1024,
            What::Keys => 4096,
            What::Token | What::InstanceId | What::Hostname | What::Zone => 1024,
        }
    }

    /// True if the payload depends on it.
    const fn is_needed(self) -> bool {
        matches!(self, What::MetaData | What::Token | What::UserData)
    }
}

/// A path for each key, made here rather than in the guest.
const KEY_PATHS: [&str; KEY_LIMIT] = [
    "/latest/meta-data/public-keys/0/openssh-key",
    "/latest/meta-data/public-keys/1/openssh-key",
    "/latest/meta-data/public-keys/2/openssh-key",
    "/latest/meta-data/public-keys/3/openssh-key",
    "/latest/meta-data/public-keys/4/openssh-key",
    "/latest/meta-data/public-keys/5/openssh-key",
    "/latest/meta-data/public-keys/6/openssh-key",
    "/latest/meta-data/public-keys/7/openssh-key",
];

/// What went wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No answer, or none that can be used.
    Fault(Fault),
    /// The answer has this status.
    Status(u16),
}

impl Problem {
    /// True if the same request may be answered later.
    fn may_pass(self) -> bool {
        match self {
            Problem::Fault(fault) => fault.may_pass(),
            Problem::Status(status) => status >= 500 || matches!(status, 408 | 425 | 429),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Fault(fault) => f.write_str(fault.text()),
            Problem::Status(status) => write!(f, "status {status}"),
        }
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the service at the address of this number (of [`Service::addresses`], or the only one) for it.
    Ask(What, usize),
    /// Wait until this time.
    Wait(Duration),
    /// Everything is known.
    Done,
    /// There is no payload to be had; this was the last problem, and that often something went wrong.
    Failed(Problem, u32),
}

/// The way through one service, and then perhaps another.
pub struct Inquiry {
    service: Service,
    /// Asked if `service` is not there.
    next_service: Option<Service>,
    what: What,
    addresses: usize,
    address: usize,
    /// That address has answered: it is the one.
    is_settled: bool,
    /// Failures of this request, and of all.
    tries: u32,
    failures: u32,
    pause: Duration,
    not_before: Duration,
    deadline: Duration,
    refreshed: bool,
    /// The payload is known, or that there is none: nothing that goes wrong after it takes it away.
    has_payload: bool,
    /// Numbers of the keys that are there, a bit each.
    keys: u8,
    end: Option<Step>,
}

impl Inquiry {
    /// Asks `service`, which has so many `addresses`, and `next_service` where there is nothing of the first; ends with `deadline`.
    pub fn new(service: Service, next_service: Option<Service>, addresses: usize, deadline: Duration) -> Self {
        Self {
            service,
            next_service,
            what: first(service),
            addresses,
            address: 0,
            is_settled: false,
            tries: 0,
            failures: 0,
            pause: FIRST_PAUSE,
            not_before: Duration::ZERO,
            deadline,
            refreshed: false,
            has_payload: false,
            keys: 0,
            end: None,
        }
    }

    /// The service that is asked.
    pub fn service(&self) -> Service {
        self.service
    }

    /// What to do at `now`.
    pub fn step(&self, now: Duration) -> Step {
        match self.end {
            Some(end) => end,
            // What the member can do without does not hold it up longer.
            None if now >= self.deadline && self.has_payload => Step::Done,
            None if now < self.not_before => Step::Wait(self.not_before),
            None => Step::Ask(self.what, self.address),
        }
    }

    /// The keys that [`What::Keys`] lists: the numbers before the `=` of each line.
    pub fn listed(&mut self, keys: &str) {
        for line in keys.lines() {
            let number = line.split('=').next().and_then(decimal);
            if let Some(number) = number.filter(|number| *number < KEY_LIMIT as u64) {
                self.keys |= 1 << number;
            }
        }
    }

    /// What came of the request: a status, or a fault. Gives the problem if there is one that the log should have: the first of a kind of
    /// request, and what is given up. `random` shortens pauses; any number does.
    pub fn answered(&mut self, result: Result<u16, Fault>, now: Duration, random: u32) -> Option<Problem> {
        let problem = match result {
            Ok(200..=299) => {
                self.is_settled = true;
                self.go_on(false);
                return None;
            }
            Ok(status) => {
                self.is_settled = true;
                if self.is_answer(status) {
                    return None;
                }
                Problem::Status(status)
            }
            Err(fault) => Problem::Fault(fault),
        };
        self.failures += 1;
        self.tries += 1;
        let over = if self.what.is_needed() {
            now >= self.deadline
        } else {
            self.tries >= TRIES_LIMIT
        };
        if over || !problem.may_pass() {
            if self.what.is_needed() {
                let failed = Step::Failed(problem, self.failures);
                self.end = Some(if self.has_payload { Step::Done } else { failed });
                return None;
            }
            self.go_on(true);
            return Some(problem);
        }
        self.put_off(now, random);
        (self.tries == 1).then_some(problem)
    }

    /// True if a status other than 2xx says all there is to say.
    fn is_answer(&mut self, status: u16) -> bool {
        match (self.what, status) {
            // No such service. Of the last one, it is a failure.
            (What::MetaData, 404) if self.next_service.is_some() => {
                self.service = self.next_service.take().unwrap_or(self.service);
                self.what = first(self.service);
            }
            (What::MetaData, _) => return false,
            // There is no route to a token: version 1. What is refused (401, 403) stays refused.
            (What::Token, 404 | 405 | 501) => self.go_on(false),
            // Nothing there is an answer.
            (What::Token, _) => return false,
            (_, 404) => self.go_on(true),
            // A token that holds no more, once.
            (_, 401) if self.service == Service::Ec2 && !self.refreshed => {
                self.refreshed = true;
                self.what = What::Token;
            }
            _ => return false,
        }
        true
    }

    /// To what comes next; `empty` if there is nothing of this.
    fn go_on(&mut self, empty: bool) {
        self.tries = 0;
        self.pause = FIRST_PAUSE;
        self.has_payload |= self.what == What::UserData;
        self.what = match self.what {
            What::MetaData | What::Token => What::UserData,
            What::UserData if self.service == Service::OpenStack => return self.end = Some(Step::Done),
            What::UserData => What::InstanceId,
            What::InstanceId => What::Hostname,
            What::Hostname => What::Zone,
            What::Zone => What::Keys,
            What::Keys if empty => return self.end = Some(Step::Done),
            What::Keys | What::Key(_) => {
                let number = self.keys.trailing_zeros() as u8;
                if self.keys == 0 {
                    return self.end = Some(Step::Done);
                }
                self.keys &= self.keys - 1;
                What::Key(number)
            }
        };
    }

    /// The next address at once, or the next round after a pause.
    fn put_off(&mut self, now: Duration, random: u32) {
        if !self.is_settled {
            self.address = (self.address + 1) % self.addresses.max(1);
            if self.address != 0 {
                return;
            }
        }
        // Three quarters to all of the pause, so that machines started together do not ask together.
        let shorter = self.pause / 4 / 256 * (random % 256);
        let last = self.deadline.max(now);
        self.not_before = (now + self.pause - shorter).min(last);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

const fn first(service: Service) -> What {
    match service {
        Service::OpenStack => What::MetaData,
        Service::Ec2 => What::Token,
    }
}
