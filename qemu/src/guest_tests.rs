//! The launcher against a real QEMU, with the probe guest: it runs a few instructions and then halts for ever, or, given
//! the debug-exit device, ends QEMU.

use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::{Accel, Guest, Launch, Machine, NetworkCard, Reason, RunState, probe_guest};

const LIMIT: Duration = Duration::from_secs(20);

fn image() -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), probe_guest::image()).unwrap();
    file
}

fn launch(image: &NamedTempFile) -> Launch {
    let mut launch = Launch::new(image.path());
    (launch.accel, launch.memory_mib) = (Accel::Tcg, 16);
    launch
}

fn is_gone(guest_pid: u32) -> bool {
    !Path::new("/proc").join(guest_pid.to_string()).exists()
}

fn start(launch: &Launch) -> Guest {
    launch.start().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_machine_and_card_starts_and_answers_qmp() {
    let image = image();
    let mmio = [NetworkCard::MmioModern, NetworkCard::MmioLegacy, NetworkCard::None];
    let pci = [NetworkCard::Modern, NetworkCard::Transitional, NetworkCard::None];
    for (machine, cards) in [(Machine::Microvm, mmio), (Machine::Q35, pci), (Machine::Pc, pci)] {
        for card in cards {
            let mut launch = launch(&image);
            (launch.machine, launch.card, launch.cpus) = (machine, Some(card), 2);
            let guest = start(&launch);
            assert_eq!(
                guest.qmp().unwrap().status(LIMIT).unwrap(),
                RunState::Running,
                "{machine} {card}"
            );
        }
    }
}

#[test]
fn a_guest_that_ends_qemu_is_reaped_with_its_status() {
    let image = image();
    let mut launch = launch(&image);
    launch.machine = Machine::Q35;
    launch.extra = vec!["-device".to_owned(), "isa-debug-exit,iobase=0xf4,iosize=1".to_owned()];
    let exit = start(&launch).wait(LIMIT).unwrap();
    assert_eq!((exit.status, exit.qemu.code()), (None, Some(probe_guest::EXIT_STATUS)));
}

#[test]
fn a_wait_has_a_limit_and_its_error_has_the_command() {
    let image = image();
    let guest = start(&launch(&image));
    let error = guest.wait(Duration::from_millis(50)).unwrap_err();
    assert!(error.is_deadline());
    assert!(error.to_string().contains("to repeat: qemu-system-x86_64"), "{error}");
}

#[test]
fn an_interrupted_wait_returns_and_the_guest_can_still_be_stopped() {
    let image = image();
    let guest = start(&launch(&image));
    let interrupter = guest.interrupter();
    thread::spawn(move || interrupter.interrupt());
    assert!(guest.wait(LIMIT).unwrap_err().is_interrupted());
    let exit = guest.stop(Duration::ZERO).unwrap();
    assert_eq!(exit.reason.as_deref(), Some("host-qmp-quit"));
    assert!(is_gone(guest.pid()));
}

#[test]
fn stop_kills_a_guest_that_ignores_its_power_button() {
    let image = image();
    let mut launch = launch(&image);
    launch.machine = Machine::Q35;
    let (guest, started) = (start(&launch), Instant::now());
    let exit = guest.stop(Duration::from_millis(100)).unwrap();
    assert!(exit.status.is_none() && is_gone(guest.pid()));
    assert!(started.elapsed() < LIMIT);
}

#[test]
fn a_dropped_guest_is_gone() {
    let image = image();
    let guest = start(&launch(&image));
    let pid = guest.pid();
    assert!(guest.resident_bytes().unwrap() > 1 << 20);
    drop(guest);
    assert!(is_gone(pid));
}

#[test]
fn a_guest_is_killed_at_its_deadline() {
    let image = image();
    let mut launch = launch(&image);
    launch.deadline = Some(Duration::from_millis(500));
    let exit = start(&launch).wait(LIMIT).unwrap();
    assert!(exit.qemu.code().is_none(), "{}", exit.describe());
}

#[test]
fn a_port_in_use_is_reported_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let image = image();
    let port = taken.local_addr().unwrap().port();
    let error = launch(&image).forward(port, 80).start().err().unwrap();
    assert!(matches!(error.reason, Reason::Ended { .. }), "{error}");
    assert!(error.said.contains("Could not set up host forwarding rule"), "{error}");
    let next = format!("next: port {port} of 127.0.0.1 is taken");
    assert!(
        error.to_string().contains(&next) && error.to_string().contains("--port HOST:80"),
        "{error}"
    );
}

#[test]
fn firmware_that_is_missing_names_its_package() {
    let image = image();
    let mut launch = launch(&image);
    launch.extra = vec!["-bios".to_owned(), "qboot-that-is-not-there.rom".to_owned()];
    let error = launch.start().err().unwrap().to_string();
    assert!(error.contains("qemu-system-data"), "{error}");
}

#[test]
fn a_port_that_is_not_forwarded_is_named() {
    let image = image();
    let guest = start(&launch(&image).forward(0, 80));
    assert_ne!(guest.address(80).unwrap().port(), 0);
    assert!(guest.address(81).unwrap_err().to_string().contains("--port HOST:81"));
}

#[test]
fn instructions_are_counted() {
    let image = image();
    let mut launch = launch(&image);
    launch.count_instructions = true;
    let guest = start(&launch);
    let until = Instant::now() + LIMIT;
    let counts = loop {
        let counts = guest.instructions().unwrap();
        if counts.total > counts.firmware || Instant::now() > until {
            break counts;
        }
        thread::yield_now();
    };
    assert!(counts.firmware > 0 && counts.total > counts.firmware, "{counts:?}");
}
