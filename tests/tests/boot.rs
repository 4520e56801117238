//! Every machine boots a cartridge, every time, and nothing is left behind.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use cartridge_tests::guest::{self, launch, payload, serves, start, start_ready, wait_for};
use cartridge_tests::image::{cartridge, image, workspace};
use cartridge_tests::{port, signal};
use qemu::process::{child_of, is_alive};
use qemu::{Firmware, Launch, Machine, NetworkCard};

/// For an ordered stop of a guest with nothing in flight.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Until ready. A process may have to be compiled first.
const START_LIMIT: Duration = Duration::from_secs(120);

/// The cards a machine has a place for.
fn cards(machine: Machine) -> [NetworkCard; 2] {
    match machine {
        Machine::Microvm => [NetworkCard::MmioModern, NetworkCard::MmioLegacy],
        Machine::Q35 | Machine::Pc => [NetworkCard::Modern, NetworkCard::Transitional],
    }
}

fn sweep(machine: Machine) {
    let image = image("apps/hello");
    let least = if machine == Machine::Microvm { 4 } else { 8 };
    let mut failures = String::new();
    for card in cards(machine) {
        for memory_mib in [least, 64, 5000] {
            for cpus in [1, 2] {
                let mut launch = launch(&image);
                (launch.machine, launch.card) = (machine, Some(card));
                (launch.memory_mib, launch.cpus) = (memory_mib, cpus);
                if let Err(error) = boots_and_serves(&launch) {
                    writeln!(failures, "{machine}, {card}, {memory_mib} MiB, {cpus} CPUs: {error}").unwrap();
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

fn boots_and_serves(launch: &Launch) -> Result<(), qemu::Error> {
    let guest = launch.start()?;
    qemu::measure::Ready::agent().wait(&guest, guest::READY_LIMIT)?;
    qemu::measure::first_200(&guest, 8080, "/", guest::READY_LIMIT)?;
    guest.kill().map(drop)
}

#[test]
fn microvm_serves_with_each_card_memory_and_cpu_count() {
    sweep(Machine::Microvm);
}

#[test]
fn q35_serves_with_each_card_memory_and_cpu_count() {
    sweep(Machine::Q35);
}

#[test]
fn pc_serves_with_each_card_memory_and_cpu_count() {
    sweep(Machine::Pc);
}

#[test]
fn each_machine_serves_under_seabios_and_qboot() {
    let image = image("apps/hello");
    for (machine, firmware) in [(Machine::Microvm, Firmware::SeaBios), (Machine::Q35, Firmware::Qboot)] {
        let mut launch = launch(&image);
        (launch.machine, launch.firmware) = (machine, Some(firmware));
        boots_and_serves(&launch).unwrap_or_else(|error| panic!("{machine}, {firmware}: {error}"));
    }
}

#[test]
fn a_pci_card_without_msix_serves_by_intx() {
    let image = image("apps/hello");
    for machine in [Machine::Q35, Machine::Pc] {
        for card in cards(machine) {
            let mut launch = launch(&image);
            (launch.machine, launch.card, launch.msix) = (machine, Some(card), false);
            boots_and_serves(&launch).unwrap_or_else(|error| panic!("{machine}, {card}: {error}"));
        }
    }
}

#[test]
fn a_hundred_boots_in_a_row_serve() {
    let image = image("apps/hello");
    for number in 1..=100 {
        boots_and_serves(&launch(&image)).unwrap_or_else(|error| panic!("boot {number}: {error}"));
    }
}

#[test]
fn the_power_button_stops_the_cartridge_in_order() {
    let image = image("apps/hello");
    for machine in [Machine::Q35, Machine::Pc] {
        let mut launch = launch(&image);
        launch.machine = machine;
        let guest = start_ready(&launch);
        serves(&guest);
        guest.powerdown().unwrap_or_else(|error| panic!("{error}"));
        wait_for(&guest, "\"state\":\"Terminated\"", STOP_LIMIT);
        let exit = guest.wait(STOP_LIMIT).unwrap_or_else(|error| panic!("{error}"));
        assert!(exit.success(), "{machine}: {}\n{}", exit.describe(), guest.console());
        assert_eq!(exit.reason.as_deref(), Some("guest-shutdown"), "{machine}");
    }
}

#[test]
fn a_payload_reaches_the_agent_on_every_machine() {
    let image = image("apps/hello");
    let file = payload(b"LOG_LEVEL=noisy");
    for machine in Machine::ALL {
        let mut launch = launch(&image);
        (launch.machine, launch.payload) = (machine, Some(file.path().to_owned()));
        let guest = start(&launch);
        wait_for(&guest, "noisy", guest::READY_LIMIT);
        serves(&guest);
    }
}

/// `cartridge run` or `cartridge dev`, and the process id of its QEMU or its app.
struct Run {
    cartridge: Child,
    inner: u32,
}

impl Run {
    fn hello(options: &[&str]) -> Run {
        let image = image("apps/hello");
        let mut words = vec!["run", "--port", "0:8080"];
        words.extend(options);
        Run::start(&words, &image)
    }

    /// Starts the command and waits for its ready line.
    fn start(words: &[&str], app: &Path) -> Run {
        let mut command = Command::new(cartridge());
        command.args(words).arg(app).current_dir(workspace());
        let mut cartridge = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cartridge starts");
        let lines = both_outputs(&mut cartridge);
        let until = Instant::now() + START_LIMIT;
        let mut seen = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = lines
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("no ready line: {seen:#?}"));
            if line.starts_with("ready http://") {
                break;
            }
            seen.push(line);
        }
        let inner = child_of(cartridge.id()).expect("what is ready has a process");
        // Its further output is not looked at, and must not stop it.
        thread::spawn(move || lines.into_iter().for_each(drop));
        Run { cartridge, inner }
    }

    fn signal(&self, name: &str) {
        signal::send(name, self.cartridge.id()).unwrap();
    }

    /// Waits for both to be gone.
    fn ends(mut self, limit: Duration) -> std::process::ExitStatus {
        let until = Instant::now() + limit;
        let status = poll(until, || self.cartridge.try_wait().expect("our child")).expect("cartridge ends");
        poll(until, || (!is_alive(self.inner)).then_some(()))
            .unwrap_or_else(|| panic!("process {} is left behind", self.inner));
        status
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.cartridge.kill();
        let _ = self.cartridge.wait();
    }
}

fn both_outputs(child: &mut Child) -> Receiver<String> {
    let (sender, lines) = channel();
    let (output, errors) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let copy = sender.clone();
    thread::spawn(move || {
        BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| copy.send(line))
    });
    thread::spawn(move || {
        BufReader::new(errors)
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| sender.send(line))
    });
    lines
}

fn poll<T>(until: Instant, mut check: impl FnMut() -> Option<T>) -> Option<T> {
    while Instant::now() < until {
        if let Some(value) = check() {
            return Some(value);
        }
        thread::sleep(Duration::from_millis(5));
    }
    None
}

#[test]
fn ctrl_c_leaves_no_process_behind() {
    for machine in ["microvm", "q35"] {
        let run = Run::hello(&["--machine", machine]);
        run.signal("INT");
        let status = run.ends(STOP_LIMIT);
        // A machine with a power button stops in order, and says how its app ended; the other one is cut off.
        let expected = if machine == "q35" { 0 } else { 130 };
        assert_eq!(status.code(), Some(expected), "{machine}");
    }
}

#[test]
fn ctrl_c_leaves_no_process_of_dev_behind() {
    let port = port::free().expect("a free port");
    let file = payload(format!("PORTS={port}").as_bytes());
    let file = file.path().to_str().expect("a plain path");
    let run = Run::start(&["dev", "--payload", file], Path::new("apps/site"));
    run.signal("INT");
    assert_eq!(run.ends(STOP_LIMIT).code(), Some(0), "it stops in order");
}

#[test]
fn the_end_of_its_time_leaves_no_process_behind() {
    let status = Run::hello(&["--timeout", "3"]).ends(STOP_LIMIT);
    assert_eq!(status.code(), Some(124), "as timeout(1) says it");
}

#[test]
fn a_killed_launcher_leaves_no_process_behind() {
    let run = Run::hello(&[]);
    run.signal("KILL");
    run.ends(Duration::from_secs(5));
}
