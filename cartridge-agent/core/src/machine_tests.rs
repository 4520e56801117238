use super::*;
use crate::control::Standalone;
use std::collections::VecDeque;
use std::string::{String, ToString};
use std::vec::Vec;

const DRAIN: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(600);

/// A member in a world of its own: time passes only when the machine waits.
struct World<C> {
    machine: Machine<C>,
    now: Duration,
    network: NetworkState,
    open_ports: Vec<u16>,
    probes: usize,
    released: bool,
    seen: Vec<String>,
    exit: Option<i32>,
}

impl World<Standalone> {
    fn new(ports: &str) -> Self {
        Self::with(Standalone::default(), ports)
    }
}

impl<C: ControlPlane> World<C> {
    fn with(plane: C, ports: &str) -> Self {
        Self {
            machine: Machine::new(plane, Ports::parse(ports).unwrap(), TIMEOUT, DRAIN),
            now: Duration::ZERO,
            network: NetworkState::NotOurs,
            open_ports: Vec::new(),
            probes: 0,
            released: false,
            seen: Vec::new(),
            exit: None,
        }
    }

    /// Runs until the machine waits past `until`, waits for nothing but events, or ends.
    fn run(&mut self, until: Duration) -> &mut Self {
        loop {
            self.machine.released(self.released);
            match self.machine.next(self.now) {
                Action::Entered(state) => self.seen.push(state.to_string()),
                Action::Report(note) => self.seen.push(std::format!("{}: {note}", note.level())),
                Action::CheckNetwork => self.machine.network(self.network),
                Action::Probe(port) => {
                    self.probes += 1;
                    self.machine.probed(port, self.open_ports.contains(&port));
                }
                Action::TellApp(deadline) => self.seen.push(std::format!("told {}", deadline.as_millis())),
                Action::Exit(status) => {
                    self.exit = Some(status);
                    return self;
                }
                Action::Wait(Some(next)) if next <= until => {
                    assert!(next > self.now, "waiting for a time that has passed is a busy loop");
                    self.now = next;
                }
                Action::Wait(_) => {
                    self.now = until;
                    return self;
                }
            }
        }
    }

    fn stop(&mut self, cause: Cause, status: i32) -> &mut Self {
        self.machine.stop(
            StopRequest {
                cause,
                status,
                drain: None,
            },
            self.now,
        );
        self
    }

    fn seen(&mut self) -> Vec<String> {
        std::mem::take(&mut self.seen)
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn a_member_without_ports_is_active_at_once() {
    let mut world = World::new("");
    world.network = NetworkState::Absent;
    assert_eq!(
        world.run(ms(0)).seen(),
        ["Created", "Initialized", "Starting", "Active"]
    );
}

#[test]
fn a_member_is_active_only_when_every_port_accepts() {
    let mut world = World::new("8080|9443");
    assert_eq!(world.run(ms(100)).seen(), ["Created", "Initialized", "Starting"]);
    world.open_ports.push(8080);
    assert!(world.run(ms(300)).seen().is_empty());
    world.open_ports.push(9443);
    assert_eq!(world.run(ms(351)).seen(), ["Active"]);
}

#[test]
fn probing_is_prompt_at_first_and_cheap_later() {
    let mut world = World::new("8080");
    world.open_ports.push(8080);
    world.run(ms(1));
    assert_eq!(
        (world.probes, world.seen().last().map(String::as_str)),
        (1, Some("Active"))
    );
    let mut world = World::new("8080");
    world.run(ms(10_000));
    assert!((690..720).contains(&world.probes), "{} probes in 10 s", world.probes);
}

#[test]
fn ports_that_have_answered_are_not_asked_again() {
    let mut world = World::new("80|443");
    world.open_ports.push(80);
    world.run(ms(3));
    assert_eq!(world.probes, 1 + 2);
}

#[test]
fn what_is_missing_is_said_after_five_seconds_and_at_the_timeout() {
    let mut world = World::new("8080|9443");
    world.open_ports.push(9443);
    world.run(ms(5_100));
    let seen = world.seen();
    assert!(seen[3].starts_with("warn: not ready after 50"), "{seen:?}");
    assert!(seen[3].ends_with("no connection accepted on port 8080"), "{seen:?}");
    let seen = world.run(TIMEOUT + ms(100)).seen();
    assert_eq!(seen.len(), 1);
    assert!(
        seen[0].starts_with(
            "error: not ready within port.check.timeout of 600000 ms: no connection accepted on port 8080;"
        )
    );
    world.probes = 0;
    assert!(world.run(TIMEOUT + ms(60_100)).seen().is_empty());
    assert!(
        (59..62).contains(&world.probes),
        "one probe a second after the time-out, not {}",
        world.probes
    );
    world.open_ports.push(8080);
    assert_eq!(world.run(TIMEOUT + ms(62_000)).seen(), ["Active"]);
}

#[test]
fn the_network_has_to_be_up_when_there_are_ports() {
    let mut world = World::new("8080");
    world.network = NetworkState::Configuring;
    world.open_ports.push(8080);
    assert_eq!(world.run(ms(6_000)).seen()[3..].len(), 1);
    world.network = NetworkState::Up;
    assert_eq!(world.run(ms(6_051)).seen(), ["Active"]);
}

#[test]
fn a_network_that_cannot_come_up_is_an_error_at_once_and_may_still_come() {
    let mut world = World::new("8080");
    world.network = NetworkState::Absent;
    world.open_ports.push(8080);
    let seen = world.run(ms(10_000)).seen();
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert!(seen[3].starts_with("error: no network interface"), "{seen:?}");
    world.network = NetworkState::Up;
    assert_eq!(world.run(ms(10_100)).seen(), ["Active"]);
}

#[test]
fn a_stop_waits_for_the_app_and_ends_in_order() {
    let mut world = World::new("");
    world.run(ms(1_000)).seen();
    world.stop(Cause::Power, 0).run(ms(2_000));
    assert_eq!(
        world.seen(),
        [
            "info: stop asked for by the platform's power button; the app has 10000 ms to finish",
            "In_Maintenance",
            "told 11000"
        ]
    );
    world.released = true;
    assert_eq!(world.run(ms(2_000)).seen(), ["ReadyToShutDown", "Terminated"]);
    assert_eq!(world.exit, Some(0));
}

#[test]
fn the_drain_deadline_ends_the_wait() {
    let mut world = World::new("");
    world.run(ms(0)).stop(Cause::Management, 7).run(ms(9_999));
    assert_eq!(world.exit, None);
    world.run(ms(10_000));
    assert_eq!(world.exit, Some(7));
    let seen = world.seen();
    assert!(
        seen[seen.len() - 3].starts_with("warn: the drain deadline passed"),
        "{seen:?}"
    );
    assert_eq!(seen[seen.len() - 2..], ["ReadyToShutDown", "Terminated"]);
}

#[test]
fn an_app_that_never_finishes_is_cut_off_once() {
    let mut world = World::new("");
    world.run(ms(0)).stop(Cause::Power, 0).run(ms(9_999));
    let mut reports = 0;
    for _ in 0..100 {
        world.machine.released(false); // as the driver says before every step
        match world.machine.next(DRAIN) {
            Action::Report(_) => reports += 1,
            Action::Exit(status) => {
                assert_eq!((reports, status), (1, 0));
                return;
            }
            _ => {}
        }
    }
    panic!("no end after {reports} reports");
}

#[test]
fn a_stop_is_honoured_in_every_state() {
    for until in [0, 1, 7_000, 700_000] {
        let mut world = World::new("8080");
        world.run(ms(until)).stop(Cause::Power, 0).released = true;
        assert_eq!(world.run(ms(until)).exit, Some(0));
        assert_eq!(world.seen().iter().filter(|it| *it == "In_Maintenance").count(), 1);
    }
    let mut world = World::new("8080");
    world.stop(Cause::App, 3).released = true;
    assert_eq!(world.run(ms(0)).exit, Some(3));
    assert_eq!(world.seen()[0], "Created");
}

#[test]
fn a_second_signal_ends_the_drain_and_other_requests_change_nothing() {
    let mut world = World::new("");
    world
        .run(ms(0))
        .stop(Cause::Signal, 0)
        .run(ms(100))
        .stop(Cause::Power, 9)
        .run(ms(200));
    assert_eq!(world.exit, None);
    assert_eq!(world.stop(Cause::Signal, 0).run(ms(300)).exit, Some(0));
}

#[test]
fn the_apps_own_status_replaces_the_one_asked_for_from_outside() {
    let mut world = World::new("");
    world
        .run(ms(0))
        .stop(Cause::Power, 0)
        .run(ms(100))
        .stop(Cause::App, 4)
        .released = true;
    assert_eq!(world.run(ms(100)).exit, Some(4));
}

/// A control plane that says what the test tells it to, and writes down what it is told.
#[derive(Default)]
struct Script {
    commands: VecDeque<Command>,
    told: Vec<State>,
    /// Has told states that did not reach anyone.
    unheard: bool,
}

impl ControlPlane for Script {
    fn name(&self) -> &'static str {
        "script"
    }

    fn entered(&mut self, state: State, _now: Duration) {
        self.told.push(state);
    }

    fn command(&mut self, _now: Duration) -> Option<Command> {
        self.commands.pop_front()
    }

    fn is_heard(&self) -> bool {
        !self.unheard
    }
}

#[test]
fn a_member_is_not_terminated_before_its_control_plane_has_heard_of_the_end() {
    let mut plane = Script::default();
    plane
        .commands
        .extend([Command::Initialize, Command::Stop, Command::Stop]);
    plane.unheard = true;
    // Chosen at run time, as a driver does.
    let plane: &mut dyn ControlPlane = &mut plane;
    let mut world = World::with(plane, "");
    world.released = true;
    assert_eq!(world.run(ms(4_999)).seen().last().unwrap(), "ReadyToShutDown");
    let seen = world.run(ms(5_000)).seen();
    assert_eq!(
        seen,
        [
            "Terminated",
            "warn: the control plane did not hear of the last states within 5 s"
        ]
    );
    assert_eq!(world.exit, Some(0));

    let mut world = World::with(Script::default(), "");
    world
        .machine
        .plane()
        .commands
        .extend([Command::Initialize, Command::Stop]);
    world.machine.plane().unheard = true;
    world.released = true;
    world.run(ms(1_000)).seen();
    world.machine.plane().unheard = false;
    assert_eq!(world.run(ms(1_000)).seen(), ["Terminated"]);
}

#[test]
fn a_control_plane_decides_when_a_member_starts_and_stops_and_is_told_of_every_state() {
    let mut world = World::with(Script::default(), "");
    assert_eq!(world.run(ms(100)).seen(), ["Created"]);
    world.machine.plane().commands.push_back(Command::Initialize);
    assert_eq!(world.run(ms(200)).seen(), ["Initialized", "Starting", "Active"]);
    world
        .machine
        .plane()
        .commands
        .extend([Command::Initialize, Command::Stop]);
    world.released = true;
    assert_eq!(world.run(ms(300)).exit, Some(0));
    assert_eq!(
        world.seen()[0],
        "info: stop asked for by the control plane; the app has 10000 ms to finish"
    );
    assert_eq!(world.machine.plane().told, State::ALL);
}

#[test]
fn a_member_is_not_active_before_its_artifact_is_in_place() {
    for ports in ["80", ""] {
        let mut world = World::new(ports);
        world.open_ports = std::vec![80];
        world.machine.await_artifact(true);
        world.run(Duration::from_secs(601));
        assert_eq!(world.seen[..3], ["Created", "Initialized", "Starting"]);
        let [warned, timed_out] = &world.seen[3..] else {
            panic!("{:?}", world.seen)
        };
        assert!(
            warned.starts_with("warn: not ready after") && warned.ends_with(": the artifact is not in place"),
            "{warned}"
        );
        assert!(
            timed_out.starts_with("error: ") && timed_out.contains(": the artifact is not in place; "),
            "{timed_out}"
        );
        world.machine.await_artifact(false);
        world.run(Duration::from_secs(603));
        assert_eq!(world.seen[5..], ["Active"]);
    }
}

#[test]
fn all_that_is_missing_is_named() {
    let missing = Missing {
        network: NetworkState::Configuring,
        ports: Ports::parse("80|81").unwrap(),
        artifact: true,
    };
    let text = missing.to_string();
    assert!(
        text.ends_with("; no connection accepted on port 80, 81; the artifact is not in place"),
        "{text}"
    );
    assert!(!missing.is_nothing());
}
