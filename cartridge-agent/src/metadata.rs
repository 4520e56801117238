//! The payload from a cloud's metadata service: who is asked, a thread that asks, and what `start` waits for meanwhile.
//!
//! Heap: one answer at a time, at most 64 KiB (twice that while it grows), and the payload, which is kept.

mod found;

use crate::app::{self, Plan, usable};
use crate::fetch::{Limits, fetch};
use crate::instance::Instance;
use crate::log;
use crate::runner;
use crate::shared::{Base, lock};
use cartridge_agent_core::http::client::{Fault, Request, Url};
use cartridge_agent_core::log::Level;
use cartridge_agent_core::metadata::{
    CONNECT_LIMIT, Choice, Inquiry, Place, REQUEST_LIMIT, Service, Step, TOKEN_SECONDS, What, recognised,
};
use cartridge_agent_core::network::NetworkState;
use cartridge_agent_core::settings::{metadata_choice, metadata_place};
use found::Found;
use std::fmt;
use std::net::IpAddr;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// The `platform` file is short.
const PLATFORM_FILE_LIMIT: usize = 4096;

/// How often is looked whether the network is up: twice as long each time, up to this.
const SLOWEST_LOOK: Duration = Duration::from_millis(100);

/// What the thread that asks has found: nothing so far, nothing at all, or something.
static ANSWER: Mutex<Option<Option<Found>>> = Mutex::new(None);

/// Adds the payload of the metadata service to `plan`, if there is one to be asked, and gives what it says of the instance.
pub fn payload(base: &'static Base, has_payload: bool, plan: &mut Plan) -> Instance {
    let choice = metadata_choice(&plan.parameters, &mut app::report);
    match services(base, choice, has_payload) {
        Some(services) => ask_and_wait(base, services, plan),
        None => Instance::default(),
    }
}

/// The service to ask, and the one to ask where that is not there.
fn services(base: &Base, choice: Choice, has_payload: bool) -> Option<(Service, Option<Service>)> {
    match choice {
        Choice::Off => None,
        Choice::Ask(service) => Some((service, None)),
        // A payload at hand is the payload.
        Choice::Auto if has_payload => None,
        Choice::Auto => {
            let platform = base.files.read("platform", PLATFORM_FILE_LIMIT)?.ok()?;
            let service = recognised(std::str::from_utf8(&platform).ok()?)?;
            Some((service, (service == Service::OpenStack).then_some(Service::Ec2)))
        }
    }
}

#[inline(never)]
fn ask_and_wait(base: &'static Base, services: (Service, Option<Service>), plan: &mut Plan) -> Instance {
    let place = metadata_place(&plan.parameters, &mut app::report);
    // So that a stop that is asked for meanwhile is obeyed at once, whatever the network does.
    let asks = runner::spawn("agent-metadata", base, move || {
        let found = Asking::new(base, place, services).ask();
        *lock(&ANSWER) = Some(found);
        base.look_again();
    });
    if asks.is_none() {
        return Instance::default();
    }
    // The thread keeps to its limit by itself; this is for the case that it does not get to run.
    let limit = place.limit + 2 * REQUEST_LIMIT;
    base.wait_for_stop_or(limit, &|| lock(&ANSWER).is_some());
    let Some(Found { payload, instance, .. }) = lock(&ANSWER).take().flatten() else {
        return Instance::default();
    };
    let network = plan.settings.network;
    let mut parameters = plan.parameters;
    if let Some(id) = &instance.id {
        parameters = parameters.fallback(format!("INSTANCE_ID={id}").into_bytes().leak());
    }
    *plan = Plan::new(parameters.below(usable(payload)));
    log::set_level(plan.settings.log_level);
    if plan.settings.network != network {
        plan.configure_network(base);
    }
    instance
}

/// One inquiry, with all that it needs.
struct Asking {
    base: &'static Base,
    place: Place<'static>,
    inquiry: Inquiry,
    found: Found,
}

impl Asking {
    fn new(base: &'static Base, place: Place<'static>, (service, next): (Service, Option<Service>)) -> Self {
        let addresses = if place.address.is_some() {
            1
        } else {
            service.addresses().len()
        };
        Asking {
            base,
            place,
            inquiry: Inquiry::new(service, next, addresses, base.now() + place.limit),
            found: Found::default(),
        }
    }

    /// Asks until everything is known, or nothing will be.
    fn ask(mut self) -> Option<Found> {
        self.say(
            Level::Info,
            0,
            format_args!("waiting for the payload, for at most {} s", self.place.limit.as_secs()),
        );
        if self.await_network() == NetworkState::Absent {
            self.say(
                Level::Error,
                0,
                format_args!("no payload: {}; going on with the defaults", NetworkState::Absent),
            );
            return None;
        }
        let mut asked = 0;
        loop {
            match self.inquiry.step(self.base.now()) {
                Step::Wait(until) => thread::sleep(until.saturating_sub(self.base.now())),
                Step::Ask(what, address) => {
                    asked = address;
                    self.ask_for(what, address);
                }
                Step::Done => {
                    self.say(
                        Level::Info,
                        asked,
                        format_args!("the payload has {} bytes", self.found.payload.len()),
                    );
                    return Some(self.found);
                }
                Step::Failed(problem, failures) => {
                    self.say(
                        Level::Error,
                        asked,
                        format_args!(
                            "no payload: {problem} ({failures} in all); going on with the defaults; check the service and the \
                             route to it, or set METADATA"
                        ),
                    );
                    return None;
                }
            }
        }
    }

    fn ask_for(&mut self, what: What, address: usize) {
        let mut body = Vec::new();
        let mut result = self.request(what, address, &mut body);
        if matches!(result, Ok(200..=299)) {
            if what == What::Keys {
                self.inquiry.listed(std::str::from_utf8(&body).unwrap_or_default());
            }
            self.found.take(what, body, &self.base.files);
            // Without it what follows would be version 1.
            if what == What::Token && self.found.token.is_empty() {
                result = Err(Fault::Malformed);
            }
        }
        let service = self.inquiry.service();
        let now = self.base.now();
        // Instances that were started together differ in this.
        let random = now.subsec_nanos() >> 6;
        if let Some(problem) = self.inquiry.answered(result, now, random) {
            self.say(
                Level::Warn,
                address,
                format_args!("{problem} for {}", what.path(service)),
            );
        }
    }

    fn request(&self, what: What, address: usize, body: &mut Vec<u8>) -> Result<u16, Fault> {
        let (host, port) = self.at(address);
        let url = Url {
            host,
            port,
            target: what.path(self.inquiry.service()),
            user: None,
        };
        let token = self.found.token.as_str();
        let field = match what {
            What::Token => [("X-aws-ec2-metadata-token-ttl-seconds", [TOKEN_SECONDS, ""])],
            _ => [("X-aws-ec2-metadata-token", [token, ""])],
        };
        let has_field = what == What::Token || !token.is_empty();
        let request = Request {
            method: if what == What::Token { "PUT" } else { "GET" },
            url,
            fields: if has_field { &field } else { &[] },
        };
        let limits = Limits {
            connect: CONNECT_LIMIT,
            silence: REQUEST_LIMIT,
            end: Instant::now() + REQUEST_LIMIT,
            body: what.limit() as u64,
        };
        let address: IpAddr = host.parse().map_err(|_| Fault::NoName)?;
        fetch(&request, &[(address, port).into()], &limits, &mut |piece| {
            body.extend_from_slice(piece);
            true
        })
    }

    /// Host and port of the address of this number.
    fn at(&self, address: usize) -> (&'static str, u16) {
        match self.place.address {
            // It was checked.
            Some(place) => Url::host_and_port(place).unwrap_or((place, 80)),
            None => {
                let addresses = self.inquiry.service().addresses();
                (addresses[address % addresses.len()], 80)
            }
        }
    }

    /// Without an address there is nothing to ask from. Where none comes, asking goes its way: there may be another network.
    fn await_network(&self) -> NetworkState {
        let end = self.base.now() + self.place.limit;
        let mut pause = Duration::from_millis(1);
        loop {
            let state = runner::network(self.base);
            if state != NetworkState::Configuring || self.base.now() >= end {
                return state;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(SLOWEST_LOOK);
        }
    }

    #[inline(never)]
    fn say(&self, level: Level, address: usize, what: fmt::Arguments<'_>) {
        let (host, port) = self.at(address);
        let service = self.inquiry.service().name();
        log::agent(
            level,
            format_args!("{service} metadata at {host} port {port}: {what}"),
            &[],
        );
    }
}
