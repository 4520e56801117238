//! What an app holds: its cartridge, the wish to stop, and guards for work in flight.

use crate::events::Events;
use crate::files::Files;
use crate::instance::Instance;
#[cfg(feature = "metadata")]
use crate::metadata;
use crate::shared::{Base, Shared};
use crate::{log, management, runner, stop_sources};
use cartridge_agent_core::lifecycle::State;
use cartridge_agent_core::log::Level;
use cartridge_agent_core::machine::Cause;
use cartridge_agent_core::parameters::{Parameters, SIZE_LIMIT};
use cartridge_agent_core::payload;
use cartridge_agent_core::settings::{self, BadValue, Settings};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Problems of the payload past this many are only counted in the log.
const PROBLEM_LIMIT: usize = 8;

/// How much longer than the drain deadline anyone waits for the agent to end the process.
const PATIENCE: Duration = Duration::from_secs(5);

static BASE: OnceLock<Base> = OnceLock::new();
static AGENT: OnceLock<Shared> = OnceLock::new();

/// Starts the agent; the first thing an app does.
///
/// It returns at once, while the network is still being configured, unless there is a metadata service to ask for the payload: then
/// it returns with the payload, or after METADATA_SECONDS. It cannot fail: what is wrong with the payload or the platform is in
/// the log, and the defaults hold. Called again, it gives another handle to the same agent.
pub fn start() -> Cartridge {
    let mut is_first = false;
    let shared = AGENT.get_or_init(|| {
        is_first = true;
        prepare()
    });
    shared.handles.fetch_add(1, Ordering::AcqRel);
    if is_first {
        runner::start(shared);
        management::start(shared);
    }
    Cartridge { shared }
}

/// Reads the payload and has the network configured by it.
fn prepare() -> Shared {
    let base = BASE.get_or_init(|| Base::new(Files::from_environment()));
    log::open(&base.files);
    let defaults = read(&base.files, "defaults").unwrap_or_default();
    let payload = read(&base.files, "payload").map(usable);
    #[cfg_attr(
        not(feature = "metadata"),
        expect(unused_mut, reason = "only a metadata service changes it")
    )]
    let mut plan = Plan::new(Parameters::new(defaults.leak(), payload.unwrap_or_default()));
    log::set_level(plan.settings.log_level);
    #[cfg(feature = "log")]
    crate::facade::install();
    plan.configure_network(base);
    stop_sources::watch(base);
    #[cfg(feature = "metadata")]
    let instance = metadata::payload(base, payload.is_some(), &mut plan);
    #[cfg(not(feature = "metadata"))]
    let instance = Instance::default();
    report_problems(&plan.parameters);
    let instance = instance.with(plan.parameters);
    Shared::new(base, plan.parameters, plan.settings, instance)
}

/// The parameters, and what the agent makes of them.
pub struct Plan {
    pub parameters: Parameters<'static>,
    pub settings: Settings<'static>,
}

impl Plan {
    #[inline(never)]
    pub fn new(parameters: Parameters<'static>) -> Self {
        // Errors are written at every level, so before LOG_LEVEL is known too.
        let settings = settings::read(&parameters, &mut report);
        Plan { parameters, settings }
    }

    #[inline(never)]
    pub fn configure_network(&self, base: &Base) {
        if let Some(Err(error)) = base.files.write("network", self.settings.network.command().as_str()) {
            log::failure(format_args!("the network cannot be configured"), &error);
        }
    }
}

/// Logs that a value is not taken.
#[inline(never)]
pub fn report(bad: BadValue<'_>) {
    log::agent(Level::Error, format_args!("{bad}"), &[]);
}

/// The text in file `name`, if there is one.
fn read(files: &Files, name: &str) -> Option<Vec<u8>> {
    match files.read(name, SIZE_LIMIT)? {
        Ok(text) => Some(text),
        Err(error) => {
            log::failure(
                format_args!("going on without the {name}, which cannot be read"),
                &error,
            );
            None
        }
    }
}

/// A payload's text for [`Parameters`], kept for as long as the process lives; empty when nothing of it can be used.
#[inline(never)]
pub fn usable(mut payload: Vec<u8>) -> &'static [u8] {
    let length = payload::read(&mut payload).unwrap_or_else(|why| {
        log::agent(Level::Error, format_args!("payload: {why}"), &[]);
        0
    });
    payload.truncate(length);
    payload.shrink_to_fit();
    payload.leak()
}

fn report_problems(parameters: &Parameters<'_>) {
    let mut count = 0;
    parameters.problems(&mut |source, problem| {
        count += 1;
        if count <= PROBLEM_LIMIT {
            log::agent(problem.level(), format_args!("{source}: {problem}"), &[]);
        }
    });
    if count > PROBLEM_LIMIT {
        log::agent(
            Level::Error,
            format_args!("{} more problems with the payload", count - PROBLEM_LIMIT),
            &[],
        );
    }
}

/// The app's handle to its cartridge. Dropping the last one says that the app is done: the cartridge then stops in order.
///
/// Dropped by the thread that called [`start`], as when `main` returns, it waits for the guards in flight and the life
/// cycle to end and leaves the exit status to `main`; the process ends two seconds later even if `main` does not.
#[must_use = "the cartridge stops when its handle is dropped; keep it: `let cartridge = cartridge_agent::start();`"]
pub struct Cartridge {
    shared: &'static Shared,
}

impl Cartridge {
    /// The cartridge's name, from its manifest.
    pub fn name(&self) -> &'static str {
        self.shared.settings.name
    }

    /// The cartridge's version, from its manifest.
    pub fn version(&self) -> &'static str {
        self.shared.settings.version
    }

    /// The ports of PORTS, each once: what the member must accept connections on to be Active.
    pub fn ports(&self) -> &'static [u16] {
        self.shared.settings.ports.as_slice()
    }

    /// The value of a launch parameter: the payload's, else the manifest's default.
    pub fn parameter(&self, key: &str) -> Option<&'static str> {
        self.shared.parameters.get(key)
    }

    /// All launch parameters, with typed look-ups.
    pub fn parameters(&self) -> Parameters<'static> {
        self.shared.parameters
    }

    /// What the cloud says of this instance: its identifier, host name, public keys; nothing outside a cloud.
    pub fn instance(&self) -> &'static Instance {
        &self.shared.instance
    }

    /// The life-cycle state now.
    pub fn state(&self) -> State {
        self.shared.state()
    }

    /// The wish to stop, for any thread to wait for or ask about.
    pub fn shutdown(&self) -> Shutdown {
        Shutdown { shared: self.shared }
    }

    /// What the control plane and the platform have for the app, in one stream.
    pub fn events(&self) -> Events {
        Events::new(self.shared)
    }

    /// The content that is fetched after the boot (feature `artifacts`).
    #[cfg(feature = "artifacts")]
    pub fn artifacts(&self) -> crate::artifacts::Artifacts {
        crate::artifacts::Artifacts::new()
    }

    /// A guard for work in flight: a stop waits for it to be dropped, until the drain deadline.
    pub fn hold(&self) -> Hold {
        Hold::new(self.shared)
    }

    /// Lets go of the cartridge without stopping it, for an app that has nothing to finish: a stop then waits for guards only.
    /// When `main` returns afterwards, the process ends as any does, without the last states.
    pub fn detach(self) {
        self.shared.handles.fetch_sub(1, Ordering::AcqRel);
        // A stop may be waiting for it.
        self.shared.wake_agent();
        std::mem::forget(self);
    }

    /// Stops the cartridge in order, with this exit status, and does not return: this thread is done.
    pub fn stop(self, status: i32) -> ! {
        let shared = self.shared;
        std::mem::forget(self);
        shared.request_stop(Cause::App, status, None);
        shared.handles.fetch_sub(1, Ordering::AcqRel);
        shared.wake_agent();
        if shared.has_agent() {
            wait_for_the_end(shared);
            std::thread::sleep(PATIENCE);
        }
        std::process::exit(status)
    }
}

impl Drop for Cartridge {
    fn drop(&mut self) {
        if self.shared.handles.load(Ordering::Acquire) == 1 && std::thread::current().id() == self.shared.home {
            self.shared.leaving.store(true, Ordering::Release);
        }
        if self.shared.handles.fetch_sub(1, Ordering::AcqRel) == 1 && self.shared.has_agent() {
            // 101 is the status of a Rust program that panicked.
            let status = if std::thread::panicking() { 101 } else { 0 };
            self.shared.request_stop(Cause::App, status, None);
            wait_for_the_end(self.shared);
        }
    }
}

/// Waits until the member is Terminated, and no longer than the drain deadline and some patience.
fn wait_for_the_end(shared: &Shared) {
    let limit = Instant::now() + shared.settings.drain + PATIENCE;
    let told = shared.wait_told(Some(limit), &|told| told.terminated || told.deadline.is_some());
    let limit = told.deadline.map_or(limit, |deadline| deadline + PATIENCE);
    shared.wait_told(Some(limit), &|told| told.terminated);
}

/// The wish to stop: asked for by the platform, the control plane, the management endpoint or the app.
///
/// An app that drops its [`Cartridge`] and [`Hold`]s after it is told ends the drain early; one that does not is cut off at
/// the deadline.
#[derive(Clone, Copy)]
pub struct Shutdown {
    shared: &'static Shared,
}

impl Shutdown {
    /// True once a stop was asked for.
    pub fn is_requested(&self) -> bool {
        self.shared.state() >= State::InMaintenance
    }

    /// When the app's work is cut off; `None` as long as no stop was asked for.
    pub fn deadline(&self) -> Option<Instant> {
        self.shared.told().deadline
    }

    /// Waits for a stop to be asked for; gives the time at which the app's work is cut off.
    pub fn wait(&self) -> Instant {
        let told = self.shared.wait_told(None, &|told| told.deadline.is_some());
        told.deadline.unwrap_or_else(Instant::now)
    }

    /// As [`Shutdown::wait`], but no longer than `limit`; `None` if no stop was asked for by then.
    pub fn wait_timeout(&self, limit: Duration) -> Option<Instant> {
        let limit = Instant::now().checked_add(limit);
        self.shared.wait_told(limit, &|told| told.deadline.is_some()).deadline
    }

    /// A guard for work in flight, as [`Cartridge::hold`].
    pub fn hold(&self) -> Hold {
        Hold::new(self.shared)
    }
}

/// A guard for work in flight; a stop waits for it to be dropped, until the drain deadline.
pub struct Hold {
    shared: &'static Shared,
}

impl Hold {
    fn new(shared: &'static Shared) -> Self {
        shared.holds.fetch_add(1, Ordering::AcqRel);
        Self { shared }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.shared.holds.fetch_sub(1, Ordering::AcqRel) == 1 && self.shared.state() >= State::InMaintenance {
            self.shared.wake_agent();
        }
    }
}
