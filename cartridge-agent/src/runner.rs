//! The agent's own thread: does what the core says.

use crate::links::Links;
use crate::shared::{Base, Shared};
use crate::{figures, log, plane};
use cartridge_agent_core::control::ControlPlane;
use cartridge_agent_core::lifecycle::State;
use cartridge_agent_core::log::Level;
use cartridge_agent_core::machine::{Action, Machine, milliseconds};
use cartridge_agent_core::network::NetworkState;
use std::fmt;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Bytes of stack for each of the agent's threads.
const STACK_SIZE: usize = 128 * 1024;

/// A port on loopback answers at once or not at all; a backlog that is full does not answer.
const PROBE_TIMEOUT: Duration = Duration::from_millis(250);

/// How long `main` may take to return after it has dropped the cartridge.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The `network` file is short.
const NETWORK_FILE_LIMIT: usize = 4096;

/// Starts the life of the member under its control plane.
pub fn start(shared: &'static Shared) {
    live(shared, plane::choose(shared));
}

/// Takes the member through its first states, and leaves the rest to a thread of the agent's own.
fn live<C: ControlPlane + Send + 'static>(shared: &'static Shared, plane: C) {
    #[cfg(feature = "artifacts")]
    crate::artifacts::start(shared, plane.links() > 0);
    let mut member = Member::new(shared, plane);
    // What there is to wait for after the first states, the thread finds again.
    member.advance();
    let thread = spawn("agent", shared, move || {
        loop {
            match member.advance() {
                Next::Wait(until) => wait(shared, until),
                Next::Exit(status) => exit(shared, status),
            }
        }
    });
    if let Some(thread) = thread {
        shared.set_agent(thread);
        // A request may have come before there was a thread to wake.
        shared.wake_agent();
    }
}

/// Starts a thread of the agent's, above the app's in priority. A failure is logged: the cartridge goes on without it.
pub fn spawn(name: &str, base: &'static Base, work: impl FnOnce() + Send + 'static) -> Option<Thread> {
    spawn_boxed(name, base, Box::new(work))
}

/// One copy of the code for every kind of work.
fn spawn_boxed(name: &str, base: &'static Base, work: Box<dyn FnOnce() + Send>) -> Option<Thread> {
    // The kind of work that an app may start too: one copy of what std does for it.
    let above_the_app: Box<dyn FnOnce() + Send> = Box::new(move || {
        base.files.raise_priority();
        work();
    });
    match thread::Builder::new()
        .name(name.into())
        .stack_size(STACK_SIZE)
        .spawn(above_the_app)
    {
        Ok(handle) => Some(handle.thread().clone()),
        Err(error) => {
            log::failure(
                format_args!("no thread for {name}; give the cartridge more memory"),
                &error,
            );
            None
        }
    }
}

fn wait(shared: &Shared, until: Option<Duration>) {
    match until {
        Some(until) => thread::park_timeout(until.saturating_sub(shared.now())),
        None => thread::park(),
    }
}

/// What comes when everything was done that there is to do now.
#[derive(Debug)]
enum Next {
    /// To wait until this time, or until the agent is woken.
    Wait(Option<Duration>),
    /// The end, with this status.
    Exit(i32),
}

/// The member with all it has to the outside.
struct Member<C> {
    shared: &'static Shared,
    machine: Machine<C>,
    /// Made when the control plane has links. Never dropped: the agent's thread lives as long as the process, and code that
    /// drops links would be in images that have none.
    links: Option<&'static mut Links>,
}

impl<C: ControlPlane> Member<C> {
    fn new(shared: &'static Shared, plane: C) -> Self {
        let settings = &shared.settings;
        let count = plane.links();
        Member {
            shared,
            machine: Machine::new(plane, settings.ports, settings.port_check_timeout, settings.drain),
            links: (count > 0).then(|| Box::leak(Box::new(Links::new(shared, count)))),
        }
    }

    /// Does everything there is to do now.
    fn advance(&mut self) -> Next {
        let Self { shared, machine, links } = self;
        loop {
            for request in shared.take_requests() {
                machine.stop(request, shared.now());
            }
            machine.released(shared.is_released());
            #[cfg(feature = "artifacts")]
            machine.await_artifact(crate::artifacts::is_awaited());
            match machine.next(shared.now()) {
                Action::Entered(state) => enter(shared, state),
                Action::Report(note) => log::agent(note.level(), format_args!("{note}"), &[]),
                Action::CheckNetwork => machine.network(network(shared)),
                Action::Probe(port) => machine.probed(port, accepts(port)),
                Action::TellApp(deadline) => {
                    shared.tell(|told| told.deadline = Some(shared.started + deadline));
                    shared.listeners.tell();
                }
                Action::Wait(until) => {
                    // The first condition is known when a control plane without links is compiled.
                    if machine.plane().links() > 0
                        && let Some(links) = links
                        && (links.step(machine.plane()) | figures::answer(shared, machine.plane()))
                    {
                        continue;
                    }
                    #[cfg(feature = "artifacts")]
                    shared.listeners.take_in(machine.plane());
                    shared.listeners.pass_on(machine.plane());
                    return Next::Wait(until);
                }
                Action::Exit(status) => return Next::Exit(status),
            }
        }
    }
}

#[inline(never)]
fn enter(shared: &Shared, state: State) {
    shared.set_state(state);
    let settings = &shared.settings;
    match state {
        State::Created => log_state(state, format_args!("{} {}", settings.name, settings.version)),
        State::Active => log_state(state, format_args!("ready after {} ms", milliseconds(shared.now()))),
        _ => log_state(state, format_args!("{state}")),
    }
}

#[inline(never)]
fn log_state(state: State, message: fmt::Arguments<'_>) {
    let fields = [("event", "lifecycle"), ("state", state.name())];
    log::agent(Level::Info, message, &fields);
}

/// What the platform says about the network.
pub fn network(base: &Base) -> NetworkState {
    match base.files.read("network", NETWORK_FILE_LIMIT) {
        None => NetworkState::NotOurs,
        Some(Ok(text)) => NetworkState::parse(std::str::from_utf8(&text).unwrap_or_default()),
        Some(Err(_)) => NetworkState::Failed,
    }
}

/// True if something accepts connections on this port of the loopback address.
pub fn accepts(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), PROBE_TIMEOUT).is_ok()
}

/// The one way out. An app that has dropped its handle in `main` is about to return from it with a status of its own.
fn exit(shared: &Shared, status: i32) -> ! {
    // Before `main` is told that it may end the process.
    #[cfg(all(unix, feature = "artifacts"))]
    crate::artifacts::clear();
    shared.tell(|told| told.terminated = true);
    if shared.leaving.load(Ordering::Acquire) {
        let limit = Instant::now() + LEAVE_TIMEOUT;
        while let left = limit.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            thread::park_timeout(left);
        }
    }
    std::process::exit(status)
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
