//! The figures that hello with its agent must keep to, on a microvm with qboot. Guest instructions hardly depend on the
//! host's load (docs/QEMU.md), so these tests may run on a busy machine.

use std::time::Duration;

use cartridge_tests::guest::launch;
use cartridge_tests::image::image;
use qemu::measure::{BootOptions, BootReport, HttpOptions, boot, http};
use qemu::{Accel, Launch};

/// hello with all that its agent can be told to do: 96 KiB over what the agent was before it knew a control plane.
const IMAGE_BYTES_MAX: u64 = 247_537 + 96 * 1024;
/// hello with an agent that knows no control plane.
const STANDALONE_BYTES_MAX: u64 = 256 * 1024;
const MEMORY_MIB_MAX: u32 = 4;
const BOOT_INSTRUCTIONS_MAX: u64 = 500_000;
/// Instructions for a keep-alive request, by number of clients.
const REQUEST_INSTRUCTIONS_MAX: [(u32, f64); 2] = [(1, 12_000.0), (32, 10_000.0)];

fn hello() -> Launch {
    let mut launch = launch(&image("apps/hello"));
    launch.accel = Accel::Tcg;
    launch
}

fn boot_hello(ram_search_max_mib: u32) -> BootReport {
    let options = BootOptions {
        runs: 5,
        ram_search_max_mib,
        ..BootOptions::default()
    };
    let report = boot(&hello(), &options, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    println!("{report:#?}");
    report
}

fn image_has_at_most(folder: &str, max: u64) {
    let bytes = std::fs::metadata(image(folder)).expect("the image is there").len();
    println!("{folder}: {bytes} bytes");
    assert!(bytes <= max, "{folder}: {bytes} bytes; at most {max}");
}

#[test]
fn the_image_of_hello_is_small() {
    image_has_at_most("apps/hello", IMAGE_BYTES_MAX);
}

#[test]
fn the_image_of_hello_without_a_control_plane_is_smaller() {
    image_has_at_most("tests/cartridges/hello-standalone", STANDALONE_BYTES_MAX);
}

#[test]
fn hello_serves_in_little_memory() {
    let least = boot_hello(16).min_ram_mib.expect("it was looked for");
    assert!(least <= MEMORY_MIB_MAX, "{least} MiB; at most {MEMORY_MIB_MAX}");
}

#[test]
fn the_first_answer_of_hello_takes_few_instructions() {
    let count = boot_hello(0).instructions_to_first_200;
    assert!(
        count <= BOOT_INSTRUCTIONS_MAX,
        "{count}; at most {BOOT_INSTRUCTIONS_MAX}"
    );
}

#[test]
fn a_request_to_hello_takes_few_instructions() {
    let options = HttpOptions {
        clients: REQUEST_INSTRUCTIONS_MAX.map(|(clients, _)| clients).to_vec(),
        seconds: 3,
        limit: Duration::from_secs(30),
        ..HttpOptions::default()
    };
    let reports = http(&hello(), &options, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    println!("{reports:#?}");
    assert_eq!(reports.len(), REQUEST_INSTRUCTIONS_MAX.len());
    for (report, (clients, max)) in reports.iter().zip(REQUEST_INSTRUCTIONS_MAX) {
        assert!(report.clients == clients && report.requests_per_second > 0.0);
        let count = report.instructions_per_request;
        assert!(
            count <= max,
            "{clients} clients: {count} instructions a request; at most {max}"
        );
    }
}
