//! A cartridge with nothing to do costs nothing, and one with too much to do still hears its agent.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cartridge_tests::guest::{GUEST_DEADLINE, launch, payload, serves, start_ready, wait_for};
use cartridge_tests::host::kept_waiting;
use cartridge_tests::image::image;
use cartridge_tests::request::request;
use qemu::{Guest, Machine};

/// Long enough for QEMU's CPU time, which comes in steps of 10 ms, to show 0.1 %.
const WINDOW: Duration = Duration::from_secs(10);
/// What a cartridge with nothing to do may execute, by the second. This does not depend on the host.
const IDLE_INSTRUCTIONS_MAX: f64 = 20_000.0;
/// QEMU's share of a host CPU then.
const IDLE_SHARE_MAX: f64 = 0.01;
/// The share is the cartridge's cost and, on top, what the host's other work does to QEMU's (cold caches, lost clock ticks,
/// steal time), which is never below zero. So the least of a few windows is nearest to the cartridge's own.
const WINDOWS: u32 = 3;

/// These tests measure time, so they do not run beside one another.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Over a window: guest instructions by the second, and QEMU's share of a host CPU.
fn idle_cost(guest: &Guest) -> (f64, f64) {
    let (instructions, time, started) = (
        guest.instructions().unwrap().total,
        guest.cpu_time().unwrap(),
        Instant::now(),
    );
    // The window is what is measured, not a wait for something to happen.
    thread::sleep(WINDOW);
    let seconds = started.elapsed().as_secs_f64();
    let time = guest.cpu_time().unwrap() - time;
    let instructions = guest.instructions().unwrap().total - instructions;
    (instructions as f64 / seconds, time.as_secs_f64() / seconds)
}

#[test]
fn an_idle_cartridge_executes_next_to_nothing_and_uses_less_than_one_percent_of_a_host_cpu() {
    let _alone = alone();
    let image = image("apps/hello");
    for machine in Machine::ALL {
        let mut launch = launch(&image);
        (launch.machine, launch.count_instructions) = (machine, true);
        let guest = start_ready(&launch);
        serves(&guest);
        let mut least = f64::INFINITY;
        for window in 1..=WINDOWS {
            let (instructions, share) = idle_cost(&guest);
            let percent = share * 100.0;
            println!("{machine}, window {window}: {instructions:.0} instructions/s, {percent:.2} % of a host CPU");
            assert!(
                instructions <= IDLE_INSTRUCTIONS_MAX,
                "{machine}: {instructions:.0} instructions/s; at most {IDLE_INSTRUCTIONS_MAX}"
            );
            least = least.min(share);
            if least < IDLE_SHARE_MAX {
                break;
            }
        }
        assert!(least < IDLE_SHARE_MAX, "{machine}: {:.2} % at least", least * 100.0);
    }
}

const MANAGEMENT_PORT: u16 = 9000;
const TOKEN: &str = "a-token-of-24-characters";
const HEALTH_LIMIT: Duration = Duration::from_millis(100);
const DRAIN: Duration = Duration::from_secs(2);
/// The app computes for 30 s; we look from a moment after its start, and at latest so long.
const BUSY_AT_LEAST: Duration = Duration::from_secs(25);
const BUSY_AT_MOST: Duration = Duration::from_secs(60);
/// Between two questions.
const SAMPLE_PAUSE: Duration = Duration::from_millis(100);

fn start_busy(machine: Machine, arguments: &str) -> (Guest, tempfile::NamedTempFile) {
    let drain = DRAIN.as_secs();
    let text = format!("MANAGEMENT_PORT={MANAGEMENT_PORT},MANAGEMENT_TOKEN={TOKEN},DRAIN_SECONDS={drain}");
    let file = payload(text.as_bytes());
    let mut launch = launch(&image("tests/cartridges/busy")).forward(0, MANAGEMENT_PORT);
    (launch.machine, launch.payload) = (machine, Some(file.path().to_owned()));
    launch.deadline = Some(GUEST_DEADLINE);
    launch.kernel_arguments = arguments.to_owned();
    let guest = start_ready(&launch);
    wait_for(&guest, "busy: computing", Duration::from_secs(10));
    (guest, file)
}

/// How long /healthz took to answer each time, without what the host took (the second figure), worst last.
struct Answers(Vec<(Duration, Duration)>);

impl Answers {
    fn new() -> Answers {
        Answers(Vec::new())
    }

    /// One more, after a pause; false when there was no answer.
    fn ask(&mut self, guest: &Guest) -> bool {
        let waited = kept_waiting(guest.pid());
        let address = guest.address(MANAGEMENT_PORT).unwrap();
        let Ok(answer) = request(address, "GET /healthz", Some(TOKEN), Duration::from_secs(10)) else {
            return false;
        };
        assert_eq!(answer.status, 200, "{}", answer.text);
        // While the host runs something else, neither the agent nor anyone can answer.
        let waited = kept_waiting(guest.pid()).saturating_sub(waited);
        self.0.push((answer.took.saturating_sub(waited), waited));
        thread::sleep(SAMPLE_PAUSE);
        true
    }

    fn check(mut self, what: &str) {
        self.0.sort();
        let (count, median, worst) = (self.0.len(), self.0[self.0.len() / 2].0, self.0[self.0.len() - 1].0);
        let waited = self.0.iter().map(|(_, waited)| *waited).max().unwrap_or_default();
        println!(
            "{what}: {count} answers, median {median:.1?}, slowest {worst:.1?}; the host's other work took up to {waited:.1?} more"
        );
        assert!(worst < HEALTH_LIMIT, "{what}: {worst:.1?}");
    }
}

/// Asks for /healthz from the start of the app's 30 s of computing to their end.
fn healthy_while_busy(machine: Machine) {
    let (guest, _payload) = start_busy(machine, "");
    let (begun, mut answers) = (Instant::now(), Answers::new());
    while answers.ask(&guest) && !guest.console().contains("busy: done") {
        assert!(begun.elapsed() < BUSY_AT_MOST, "the app computes for ever");
    }
    // The cartridge ends with its app, perhaps before an answer; but with nothing else.
    wait_for(&guest, "busy: done", Duration::from_secs(5));
    let busy = begun.elapsed();
    assert!(
        busy > BUSY_AT_LEAST && answers.0.len() >= 100,
        "{} answers in {busy:.1?} are not those of the app's 30 s",
        answers.0.len()
    );
    answers.check(&machine.to_string());
}

#[test]
fn a_busy_app_does_not_silence_its_agent() {
    let _alone = alone();
    healthy_while_busy(Machine::Microvm);
    healthy_while_busy(Machine::Q35);
}

/// Asks for a stop, and checks that the deadline ends the app, which does not look at it.
fn stops_at_the_deadline(guest: &Guest, ask: impl FnOnce(&Guest)) {
    let asked = Instant::now();
    ask(guest);
    let exit = guest.wait(DRAIN * 5).unwrap_or_else(|error| panic!("{error}"));
    let took = asked.elapsed();
    println!("stopped after {} ms: {}", took.as_millis(), exit.describe());
    assert!(exit.status.is_some(), "{}", exit.describe());
    assert!(
        took >= DRAIN && took < DRAIN + Duration::from_secs(1),
        "{} ms",
        took.as_millis()
    );
}

#[test]
fn a_busy_app_does_not_put_off_a_stop_past_its_deadline() {
    let _alone = alone();
    let (guest, _payload) = start_busy(Machine::Q35, "");
    stops_at_the_deadline(&guest, |guest| guest.powerdown().unwrap());
    let (guest, _payload) = start_busy(Machine::Microvm, "");
    stops_at_the_deadline(&guest, |guest| {
        let address = guest.address(MANAGEMENT_PORT).unwrap();
        let answer = request(address, "POST /stop", Some(TOKEN), Duration::from_secs(10)).expect("an answer");
        assert_eq!(answer.status, 202, "{}", answer.text);
    });
}

/// Lines of a megabyte, with and without threads that compute beside the one that prints.
#[test]
fn an_app_that_prints_much_neither_silences_its_agent_nor_puts_off_a_stop() {
    let _alone = alone();
    for arguments in ["-- print", "-- print-only"] {
        let (guest, _payload) = start_busy(Machine::Q35, arguments);
        let mut answers = Answers::new();
        for _ in 0..20 {
            assert!(answers.ask(&guest), "{arguments}: no answer");
        }
        answers.check(arguments);
        stops_at_the_deadline(&guest, |guest| guest.powerdown().unwrap());
    }
}
