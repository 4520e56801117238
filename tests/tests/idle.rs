//! A cartridge with nothing to do costs nothing, and one with too much to do still hears its agent.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cartridge_tests::guest::{GUEST_DEADLINE, launch, payload, serves, start_ready, wait_for};
use cartridge_tests::image::image;
use cartridge_tests::request::request;
use qemu::{Guest, Machine};

/// Long enough for QEMU's CPU time, which comes in steps of 10 ms, to show 0.1 %.
const WINDOW: Duration = Duration::from_secs(10);
const IDLE_SHARE_MAX: f64 = 0.01;

/// These tests measure time, so they do not run beside one another.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn idle_share(guest: &Guest) -> f64 {
    // The window is what is measured, not a wait for something to happen.
    let (before, started) = (guest.cpu_time().unwrap(), Instant::now());
    thread::sleep(WINDOW);
    (guest.cpu_time().unwrap() - before).as_secs_f64() / started.elapsed().as_secs_f64()
}

#[test]
fn an_idle_cartridge_uses_less_than_one_percent_of_a_host_cpu() {
    let _alone = alone();
    let image = image("apps/hello");
    for machine in Machine::ALL {
        let mut launch = launch(&image);
        launch.machine = machine;
        let guest = start_ready(&launch);
        serves(&guest);
        let share = idle_share(&guest);
        println!("{machine}: {:.2} % of a host CPU", share * 100.0);
        assert!(share < IDLE_SHARE_MAX, "{machine}: {:.2} %", share * 100.0);
    }
}

const MANAGEMENT_PORT: u16 = 9000;
const TOKEN: &str = "a-token-of-24-characters";
const HEALTH_LIMIT: Duration = Duration::from_millis(100);
const DRAIN: Duration = Duration::from_secs(2);

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

#[test]
fn a_busy_app_does_not_silence_its_agent() {
    let _alone = alone();
    let (guest, _payload) = start_busy(Machine::Microvm, "");
    answers_in_time(&guest, 50);
    assert!(
        !guest.console().contains("busy: done"),
        "the app was to compute all the while"
    );
}

fn answers_in_time(guest: &Guest, requests: usize) {
    let address = guest.address(MANAGEMENT_PORT).unwrap();
    let mut worst = Duration::ZERO;
    for _ in 0..requests {
        let answer = request(address, "GET /healthz", Some(TOKEN), Duration::from_secs(10)).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text);
        worst = worst.max(answer.took);
        thread::sleep(Duration::from_millis(100)); // spread over the app's 30 s
    }
    println!("slowest of {requests} answers: {} ms", worst.as_millis());
    assert!(worst < HEALTH_LIMIT, "{} ms", worst.as_millis());
}

#[test]
fn a_busy_app_does_not_put_off_a_stop_past_its_deadline() {
    let _alone = alone();
    let (guest, _payload) = start_busy(Machine::Q35, "");
    stops_in_time(&guest);
}

/// Lines of a megabyte, with and without threads that compute beside the one that prints.
#[test]
fn an_app_that_prints_much_neither_silences_its_agent_nor_puts_off_a_stop() {
    let _alone = alone();
    for arguments in ["-- print", "-- print-only"] {
        println!("{arguments}");
        let (guest, _payload) = start_busy(Machine::Q35, arguments);
        answers_in_time(&guest, 20);
        stops_in_time(&guest);
    }
}

fn stops_in_time(guest: &Guest) {
    let asked = Instant::now();
    guest.powerdown().unwrap();
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
