//! What the kernel finds in a machine: configuration space, clocks, sources of entropy, memory.

use std::io::Write;
use std::time::{Duration, Instant};

use cartridge_tests::guest::{self, GUEST_DEADLINE, launch, serves, start, start_ready, wait_for};
use cartridge_tests::image::image;
use qemu::{Guest, Launch, Machine, NetworkCard};
use tempfile::NamedTempFile;

fn extra(launch: &mut Launch, words: &[&str]) {
    launch.extra.extend(words.iter().map(|word| (*word).to_owned()));
}

fn warns_of_nothing(guest: &Guest) {
    let console = guest.console();
    assert!(!console.contains("\"level\":\"warn\""), "{console}");
}

#[test]
fn a_microvm_with_pci_express_serves() {
    // It has no ports of PCI: whatever is found is found in memory.
    for card in [NetworkCard::Modern, NetworkCard::Transitional] {
        let mut launch = launch(&image("apps/hello"));
        (launch.pcie, launch.card) = (true, Some(card));
        let guest = start_ready(&launch);
        serves(&guest);
        warns_of_nothing(&guest);
    }
}

#[test]
fn q35_is_probed_in_memory_and_not_by_ports() {
    let trace = NamedTempFile::new().expect("a temporary file");
    let mut launch = launch(&image("apps/hello"));
    launch.machine = Machine::Q35;
    let file = format!("file={}", trace.path().display());
    let events = ["memory_region_ops_read", "memory_region_ops_write"];
    for event in events {
        extra(&mut launch, &["-trace", &format!("enable={event}")]);
    }
    extra(&mut launch, &["-trace", &file]);
    let guest = start_ready(&launch);
    guest.kill().unwrap_or_else(|error| panic!("{error}"));
    let trace = std::fs::read_to_string(trace.path()).expect("QEMU writes its trace");
    // Firmware is done when the kernel silences the first channel of the interval timer: control word 0x10.
    let silenced = |line: &str| line.contains("'pit'") && line.contains("ops_write") && line.contains("value 0x10 ");
    let kernel: Vec<&str> = trace.lines().skip_while(|line| !silenced(line)).collect();
    let count = |name: &str| kernel.iter().filter(|line| line.contains(name)).count();
    let (memory, ports) = (count("'pcie-mmcfg-mmio'"), count("'pci-conf-data'"));
    assert!(
        memory > 32 && ports == 0,
        "{memory} accesses in memory, {ports} by ports"
    );
}

/// The seconds since midnight in a line's `"ts"`.
fn guest_time(line: &str) -> f64 {
    let time = line
        .split_once('T')
        .and_then(|(_, rest)| rest.split_once('Z'))
        .expect("a time")
        .0;
    time.split(':')
        .fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().expect("a number"))
}

#[test]
fn without_an_interval_timer_the_clock_keeps_time_by_acpis() {
    let mut launch = launch(&image("apps/hello"));
    launch.machine = Machine::Q35;
    extra(&mut launch, &["-machine", "pit=off"]);
    let guest = start(&launch);
    let first = wait_for(&guest, "\"state\":\"Active\"", guest::READY_LIMIT);
    let began = Instant::now();
    std::thread::sleep(Duration::from_secs(4));
    guest.powerdown().unwrap_or_else(|error| panic!("{error}"));
    let last = wait_for(&guest, "stop asked for by the platform", guest::READY_LIMIT);
    let (host, cartridge) = (began.elapsed().as_secs_f64(), guest_time(&last) - guest_time(&first));
    // The host may be late to read a line by some of its time slices.
    assert!(
        (host - cartridge).abs() < 0.2,
        "{cartridge} s in the guest were {host} s"
    );
    warns_of_nothing(&guest);
}

#[test]
fn a_slow_entropy_device_holds_nobody_up() {
    let mut launch = launch(&image("apps/hello"));
    (launch.entropy, launch.count_instructions) = (false, true);
    // One byte in ten minutes; the CPU has its own source.
    extra(&mut launch, &["-device", "virtio-rng-device,max-bytes=1,period=600000"]);
    let guest = start_ready(&launch);
    let counts = guest.instructions().unwrap_or_else(|error| panic!("{error}"));
    assert!(counts.total < 500_000, "{} instructions", counts.total);
    serves(&guest);
}

#[test]
fn an_entropy_device_alone_is_waited_for() {
    for device in ["virtio-rng-device", "virtio-rng-device,max-bytes=16,period=200"] {
        let mut launch = launch(&image("apps/hello"));
        launch.cpu = "max,-rdrand,-rdseed".to_owned();
        (launch.entropy, launch.count_instructions) = (false, true);
        extra(&mut launch, &["-device", device]);
        let guest = start_ready(&launch);
        // Asleep: 0.2 s of spinning would be millions.
        let counts = guest.instructions().unwrap_or_else(|error| panic!("{error}"));
        assert!(counts.total < 1_500_000, "{device}: {} instructions", counts.total);
        serves(&guest);
        warns_of_nothing(&guest);
    }
}

#[test]
fn a_payload_that_is_too_large_is_reported() {
    let mut file = NamedTempFile::new().expect("a temporary file");
    let mebibyte = vec![b'x'; 1 << 20];
    for _ in 0..65 {
        file.write_all(&mebibyte).expect("room for a temporary file");
    }
    let mut launch = launch(&image("apps/hello"));
    (launch.memory_mib, launch.payload) = (256, Some(file.path().to_owned()));
    let guest = start(&launch);
    wait_for(&guest, "the payload cannot be read", guest::READY_LIMIT);
    serves(&guest);
}

#[test]
fn one_block_of_memory_may_be_larger_than_the_page_tables_kept_ready() {
    let mut launch = Launch::new(image("tests/cartridges/conformance"));
    launch.kernel_arguments = "-- reserve 10".to_owned();
    (launch.memory_mib, launch.deadline) = (16 << 10, Some(GUEST_DEADLINE));
    let guest = start(&launch);
    let exit = guest.wait(guest::READY_LIMIT).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(exit.status, Some(0), "{}", guest.console());
}
