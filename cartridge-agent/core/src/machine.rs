//! The life of a member as a state machine: what happened and what time it is go in, what to do comes out.
//!
//! The driver calls [`Machine::next`] until it is told to wait, does each [`Action`], and reports through
//! [`Machine::network`], [`Machine::probed`], [`Machine::stop`] and [`Machine::released`]. Time is counted since the
//! agent started.

use crate::control::{Command, ControlPlane};
use crate::lifecycle::{Lifecycle, State, WrongOrder};
use crate::network::NetworkState;
use crate::settings::Ports;
use core::fmt;
use core::time::Duration;

/// The first look at the ports, in nanoseconds: by then an app that has nothing else to do has opened them.
const FIRST_CHECK: u32 = 1_000_000;

/// Checks come twice as far apart each time, up to this, in nanoseconds: the control plane hears within 50 ms that the ports are
/// open, and the check is the largest part of it.
const SLOW_CHECK: u32 = 10_000_000;

/// The same after [`PATIENCE`]: an app that takes long is not to be slowed down by being asked.
const SLOWEST_CHECK: u32 = 25_000_000;

/// How long an app may be silent before the log says what it is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Checks after the port check time-out: the app may still come.
const LATE_CHECK: Duration = Duration::from_secs(1);

/// How long a control plane may take to hear of the last states: a connection to a broker that is alive, and its answer.
pub const FAREWELL: Duration = Duration::from_secs(5);

/// What the driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Log and publish that the member is in this state.
    Entered(State),
    /// Log this.
    Report(Note),
    /// Read the network's state and tell [`Machine::network`].
    CheckNetwork,
    /// Connect to this port on loopback and tell [`Machine::probed`].
    Probe(u16),
    /// Tell the app to finish by this time.
    TellApp(Duration),
    /// Wait until something happens, or until this time if there is one.
    Wait(Option<Duration>),
    /// End the process with this status.
    Exit(i32),
}

/// Who asked for a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The platform: ACPI power button.
    Power,
    /// SIGTERM or SIGINT (dev mode).
    Signal,
    /// POST /stop.
    Management,
    /// The control plane.
    ControlPlane,
    /// The app itself: it returned, dropped its handle, or asked.
    App,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Power => "the platform's power button",
            Cause::Signal => "a signal",
            Cause::Management => "the management endpoint",
            Cause::ControlPlane => "the control plane",
            Cause::App => "the app",
        })
    }
}

/// A request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopRequest {
    /// Who asks.
    pub cause: Cause,
    /// The exit status wanted.
    pub status: i32,
    /// How long the app may finish its work; DRAIN_SECONDS if not given.
    pub drain: Option<Duration>,
}

/// Something to log, besides the states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A stop was asked for; the app may finish for this long.
    Stopping(Cause, Duration),
    /// The member is not ready after this long.
    Waiting(Missing, Duration),
    /// The member is not ready, and the port check time-out, this long, has passed.
    TimedOut(Missing, Duration),
    /// The network cannot come up as things are.
    NoNetwork(NetworkState),
    /// The app was not done at its drain deadline.
    DrainPassed,
    /// The control plane did not hear of the last states in time.
    Unheard,
    /// A move refused (a defect of this machine; logged rather than hidden).
    Refused(WrongOrder),
}

/// What a member lacks to be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The network.
    pub network: NetworkState,
    /// The ports that did not accept a connection.
    pub ports: Ports,
    /// The artifact that the payload names.
    pub artifact: bool,
}

impl Missing {
    /// True if the member is ready.
    pub fn is_nothing(&self) -> bool {
        self.network.is_ready() && self.ports.as_slice().is_empty() && !self.artifact
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.network.is_ready() {
            write!(f, "{}", self.network)?;
        }
        for (index, port) in self.ports.as_slice().iter().enumerate() {
            let before = match (index, self.network.is_ready()) {
                (0, true) => "no connection accepted on port ",
                (0, false) => "; no connection accepted on port ",
                _ => ", ",
            };
            write!(f, "{before}{port}")?;
        }
        if self.artifact {
            let is_alone = self.network.is_ready() && self.ports.as_slice().is_empty();
            f.write_str(if is_alone { "" } else { "; " })?;
            f.write_str("the artifact is not in place")?;
        }
        Ok(())
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Stopping(cause, drain) => {
                write!(
                    f,
                    "stop asked for by {cause}; the app has {} ms to finish",
                    milliseconds(*drain)
                )
            }
            Note::Waiting(missing, after) => write!(f, "not ready after {} ms: {missing}", milliseconds(*after)),
            Note::TimedOut(missing, after) => write!(
                f,
                "not ready within port.check.timeout of {} ms: {missing}; the member stays Starting; check that the app \
                 listens on 0.0.0.0 on every port of PORTS",
                milliseconds(*after)
            ),
            Note::NoNetwork(state) => write!(f, "{state}; the member stays Starting, only loopback works"),
            Note::DrainPassed => f.write_str("the drain deadline passed before the app was done; its work is cut off"),
            Note::Unheard => f.write_str("the control plane did not hear of the last states within 5 s"),
            Note::Refused(wrong) => write!(f, "{wrong}"),
        }
    }
}

/// Whole milliseconds; in 64 bits, because formatting 128 would be a kilobyte of code.
pub fn milliseconds(time: Duration) -> u64 {
    time.as_secs()
        .saturating_mul(1000)
        .saturating_add(u64::from(time.subsec_millis()))
}

impl Note {
    /// How much it matters.
    pub fn level(&self) -> crate::log::Level {
        use crate::log::Level;
        match self {
            Note::Stopping(..) => Level::Info,
            Note::Waiting(..) | Note::DrainPassed | Note::Unheard => Level::Warn,
            Note::TimedOut(..) | Note::NoNetwork(_) | Note::Refused(_) => Level::Error,
        }
    }
}

/// The life of one member.
pub struct Machine<C> {
    plane: C,
    lifecycle: Lifecycle,
    entered: bool,
    readiness: Readiness,
    drain: Duration,
    stop: Option<StopRequest>,
    told_app: bool,
    /// The drain deadline passed and that was reported, once: the driver goes on saying that the app is not done.
    cut_off: bool,
    deadline: Duration,
    /// When the wait for the control plane to hear of the last states ends.
    farewell: Option<Duration>,
    released: bool,
    note: Option<Note>,
}

impl<C: ControlPlane> Machine<C> {
    /// A new member that is ready when `ports` accept connections.
    pub fn new(plane: C, ports: Ports, port_check_timeout: Duration, drain: Duration) -> Self {
        Self {
            plane,
            lifecycle: Lifecycle::new(),
            entered: true,
            readiness: Readiness::new(ports, port_check_timeout),
            drain,
            stop: None,
            told_app: false,
            cut_off: false,
            deadline: Duration::ZERO,
            farewell: None,
            released: false,
            note: None,
        }
    }

    /// The control plane, for the driver to move its bytes.
    pub fn plane(&mut self) -> &mut C {
        &mut self.plane
    }

    /// The network's state, as asked for by [`Action::CheckNetwork`].
    pub fn network(&mut self, state: NetworkState) {
        self.note = self.note.or(self.readiness.network(state));
    }

    /// Whether `port` accepted a connection, as asked for by [`Action::Probe`].
    pub fn probed(&mut self, port: u16, accepts: bool) {
        self.readiness.probed(port, accepts);
    }

    /// Whether the member waits for its artifact: it is not ready before that is in place.
    pub fn await_artifact(&mut self, awaited: bool) {
        self.readiness.artifact = awaited;
    }

    /// Someone asks for a stop. The first request counts; during the drain a signal ends the wait at once, and the app's
    /// own status replaces the one asked for from outside.
    pub fn stop(&mut self, request: StopRequest, now: Duration) {
        match &mut self.stop {
            None => {
                self.stop = Some(request);
                let drain = request.drain.unwrap_or(self.drain);
                self.deadline = now.saturating_add(drain);
                self.note = Some(Note::Stopping(request.cause, drain));
            }
            Some(_) if request.cause == Cause::Signal => self.deadline = self.deadline.min(now),
            Some(first) if request.cause == Cause::App && request.status != 0 => first.status = request.status,
            Some(_) => {}
        }
    }

    /// The app has dropped its handle and every guard; it is done. False again when it takes a new guard.
    pub fn released(&mut self, released: bool) {
        self.released = released;
    }

    /// What to do at `now`.
    pub fn next(&mut self, now: Duration) -> Action {
        if core::mem::take(&mut self.entered) {
            let state = self.lifecycle.state();
            self.plane.entered(state, now);
            return Action::Entered(state);
        }
        if let Some(note) = self.note.take() {
            return Action::Report(note);
        }
        if self.lifecycle.state() < State::InMaintenance && self.stop.is_some() {
            return self.enter(State::InMaintenance, now);
        }
        match self.lifecycle.state() {
            State::Created => self.obey(now),
            State::Initialized => {
                self.readiness.begin(now);
                self.enter(State::Starting, now)
            }
            State::Starting => match self.readiness.next(now) {
                Some(Action::Wait(until)) => self.wait(until, now),
                Some(action) => action,
                None => self.enter(State::Active, now),
            },
            State::Active => self.wait(None, now),
            State::InMaintenance => self.drain(now),
            State::ReadyToShutDown => self.part(now),
            State::Terminated => Action::Exit(self.stop.map_or(0, |stop| stop.status)),
        }
    }

    fn enter(&mut self, state: State, now: Duration) -> Action {
        match self.lifecycle.enter(state) {
            Ok(()) => {
                self.plane.entered(state, now);
                Action::Entered(state)
            }
            Err(wrong) => Action::Report(Note::Refused(wrong)),
        }
    }

    /// In state Created: waits for the control plane's word.
    fn obey(&mut self, now: Duration) -> Action {
        match self.plane.command(now) {
            Some(Command::Initialize) => self.enter(State::Initialized, now),
            Some(Command::Stop) => self.stop_by_plane(now),
            None => Action::Wait(self.plane.wake()),
        }
    }

    /// Waits until the earlier of `until` and what the control plane wants, unless it has a command.
    #[inline(never)]
    fn wait(&mut self, until: Option<Duration>, now: Duration) -> Action {
        // All of them are taken before the stop, however often it is asked for: this is called again from there.
        let mut stop = false;
        while let Some(command) = self.plane.command(now) {
            stop |= command == Command::Stop;
        }
        if stop {
            return self.stop_by_plane(now);
        }
        Action::Wait(earlier(until, self.plane.wake()))
    }

    #[inline(never)]
    fn stop_by_plane(&mut self, now: Duration) -> Action {
        self.stop(
            StopRequest {
                cause: Cause::ControlPlane,
                status: 0,
                drain: None,
            },
            now,
        );
        self.next(now)
    }

    #[inline(never)]
    fn drain(&mut self, now: Duration) -> Action {
        if !core::mem::replace(&mut self.told_app, true) {
            return Action::TellApp(self.deadline);
        }
        if !self.released && now < self.deadline {
            return self.wait(Some(self.deadline), now);
        }
        if !self.released && !core::mem::replace(&mut self.cut_off, true) {
            return Action::Report(Note::DrainPassed);
        }
        self.enter(State::ReadyToShutDown, now)
    }

    /// In state ReadyToShutDown: waits until the control plane has heard of it.
    fn part(&mut self, now: Duration) -> Action {
        if !self.plane.is_heard() {
            let until = *self.farewell.get_or_insert(now.saturating_add(FAREWELL));
            if now < until {
                return self.wait(Some(until), now);
            }
            self.note = Some(Note::Unheard);
        }
        self.enter(State::Terminated, now)
    }
}

fn earlier(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The checks in state Starting: first the network, then each port that has not answered yet.
struct Readiness {
    ports: Ports,
    accepting: u32,
    asked: usize,
    network: Option<NetworkState>,
    artifact: bool,
    began: Duration,
    next_check: Duration,
    /// In nanoseconds.
    interval: u32,
    timeout: Duration,
    warned: bool,
    timed_out: bool,
}

impl Readiness {
    fn new(ports: Ports, timeout: Duration) -> Self {
        Self {
            ports,
            accepting: 0,
            asked: 0,
            network: None,
            artifact: false,
            began: Duration::ZERO,
            next_check: Duration::ZERO,
            interval: FIRST_CHECK,
            timeout,
            warned: false,
            timed_out: false,
        }
    }

    fn begin(&mut self, now: Duration) {
        self.began = now;
        self.next_check = now + Duration::new(0, FIRST_CHECK);
    }

    /// The next check, or `None` when everything is ready.
    fn next(&mut self, now: Duration) -> Option<Action> {
        let ports = self.ports.as_slice();
        if ports.is_empty() && !self.artifact {
            return None;
        }
        if now < self.next_check {
            return Some(Action::Wait(Some(self.next_check)));
        }
        if self.network.is_none() {
            return Some(Action::CheckNetwork);
        }
        while let Some(port) = ports.get(self.asked) {
            if self.accepting & (1 << self.asked) == 0 {
                return Some(Action::Probe(*port));
            }
            self.asked += 1;
        }
        let missing = self.missing();
        if missing.is_nothing() {
            return None;
        }
        Some(self.again(missing, now))
    }

    /// Sets the time of the next round, and says what is missing when that is due.
    #[inline(never)]
    fn again(&mut self, missing: Missing, now: Duration) -> Action {
        let waited = now.saturating_sub(self.began);
        self.asked = 0;
        if !missing.network.is_ready() {
            self.network = None;
        }
        let slowest = if waited < PATIENCE { SLOW_CHECK } else { SLOWEST_CHECK };
        self.interval = (self.interval * 2).min(slowest);
        if waited >= self.timeout && !core::mem::replace(&mut self.timed_out, true) {
            self.warned = true;
            self.next_check = now + LATE_CHECK;
            return Action::Report(Note::TimedOut(missing, self.timeout));
        }
        let pause = Duration::new(0, self.interval);
        self.next_check = now + if self.timed_out { LATE_CHECK } else { pause };
        if waited >= PATIENCE && !core::mem::replace(&mut self.warned, true) {
            return Action::Report(Note::Waiting(missing, waited));
        }
        Action::Wait(Some(self.next_check))
    }

    fn missing(&self) -> Missing {
        Missing {
            network: self.network.unwrap_or(NetworkState::Configuring),
            ports: self.ports.without(|index| self.accepting & (1 << index) != 0),
            artifact: self.artifact,
        }
    }

    /// Takes the network's state; the first time that it cannot come up gives a note.
    fn network(&mut self, state: NetworkState) -> Option<Note> {
        self.network = Some(state);
        let hopeless = matches!(state, NetworkState::Absent | NetworkState::Failed);
        (hopeless && !core::mem::replace(&mut self.warned, true)).then_some(Note::NoNetwork(state))
    }

    fn probed(&mut self, port: u16, accepts: bool) {
        if self.ports.as_slice().get(self.asked) == Some(&port) {
            self.accepting |= u32::from(accepts) << self.asked;
            self.asked += 1;
        }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
