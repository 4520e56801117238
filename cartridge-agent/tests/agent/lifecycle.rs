//! The life of a member, from the outside: a process, its log, its ports, its exit status.

use crate::support::{MEMBER, Member, alone, free_port};
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

const ALL: [&str; 7] = [
    "Created",
    "Initialized",
    "Starting",
    "Active",
    "In_Maintenance",
    "ReadyToShutDown",
    "Terminated",
];

#[test]
fn a_member_without_any_platform_starts_and_stops() {
    let mut member = Member::launch(Default::default(), Command::new(MEMBER).env_remove("CARTRIDGE_DIR"));
    member.wait_for_state("Active");
    member.signal("TERM");
    assert_eq!(member.wait().code(), Some(0));
    assert_eq!(member.states(), ALL);
}

#[test]
fn a_member_is_active_promptly_after_its_ports_open_and_not_before() {
    let _alone = alone();
    let (first, second) = (free_port(), free_port());
    let payload = format!("PORTS={first}|{second},LISTEN={first}|{second},LISTEN_AFTER=500");
    let mut member = Member::start(&payload, |_| {});
    let starting = member.wait_for_state("Starting");
    let (listening, _) = member.wait_for("listening on 2 ports");
    let active = member.wait_for_state("Active");
    assert!(listening - starting >= Duration::from_millis(400));
    assert!(
        active - listening < Duration::from_millis(200),
        "{:?}",
        active - listening
    );
    assert_eq!(member.states(), ALL[..4]);
}

#[test]
fn a_port_that_never_opens_is_named_when_the_check_times_out() {
    let (open, closed) = (free_port(), free_port());
    let mut member = Member::start(
        &format!("PORTS={open}|{closed},LISTEN={open},port.check.timeout=300"),
        |_| {},
    );
    let (_, line) = member.wait_for("port.check.timeout");
    assert_eq!(line["level"], "error");
    let message = line["msg"].as_str().unwrap();
    assert!(
        message.contains(&format!("no connection accepted on port {closed};")),
        "{message}"
    );
    assert_eq!(member.states(), ALL[..3]);
}

#[test]
fn a_stop_waits_for_work_in_flight() {
    let mut member = Member::start("THEN=hold,HOLD=700", |_| {});
    member.wait_for_state("Active");
    member.signal("INT");
    let stopping = member.wait_for_state("In_Maintenance");
    let (done, _) = member.wait_for("work done");
    assert!(done - stopping >= Duration::from_millis(600));
    assert_eq!(member.wait().code(), Some(0));
    assert!(stopping.elapsed() < Duration::from_secs(5));
    assert_eq!(member.states(), ALL);
}

#[test]
fn an_app_that_computes_on_every_thread_is_cut_off_at_the_drain_deadline() {
    let _alone = alone();
    let mut member = Member::start("THEN=compute,DRAIN_SECONDS=1", |_| {});
    member.wait_for("listening");
    member.signal("TERM");
    let stopping = member.wait_for_state("In_Maintenance");
    member.wait_for("the drain deadline passed");
    assert_eq!(member.wait().code(), Some(0));
    let took = stopping.elapsed();
    assert!(
        took >= Duration::from_millis(950) && took < Duration::from_secs(2),
        "{took:?}"
    );
    assert_eq!(member.states(), ALL);
}

#[test]
fn a_stop_does_not_wait_for_an_app_that_has_detached() {
    let mut member = Member::start("THEN=detach,DRAIN_SECONDS=60", |_| {});
    member.wait_for_state("Active");
    assert!(member.is_quiet_about("In_Maintenance", Duration::from_millis(200)));
    member.signal("TERM");
    assert_eq!(member.wait().code(), Some(0));
    assert_eq!(member.states(), ALL);
}

#[test]
fn a_second_signal_ends_the_drain() {
    let mut member = Member::start("THEN=ignore,DRAIN_SECONDS=60", |_| {});
    member.wait_for_state("Active");
    member.signal("TERM");
    member.wait_for_state("In_Maintenance");
    member.signal("TERM");
    assert_eq!(member.wait().code(), Some(0));
    assert_eq!(member.states(), ALL);
}

#[test]
fn every_way_to_end_has_its_status_and_goes_through_every_state_once() {
    for (end, status) in [
        ("return", 0),
        ("fail", 1),
        ("panic", 101),
        ("stop", 7),
        ("drop", 0),
        ("crash", 101),
    ] {
        let mut member = Member::start(&format!("THEN={end}"), |_| {});
        assert_eq!(member.wait().code(), Some(status), "{end}");
        assert_eq!(member.states(), ALL, "{end}");
    }
}

#[test]
fn the_platforms_power_file_asks_for_a_stop() {
    let pipe = |dir: &std::path::Path| {
        assert!(
            Command::new("mkfifo")
                .arg(dir.join("power"))
                .status()
                .unwrap()
                .success()
        );
    };
    let mut member = Member::start("", pipe);
    member.wait_for_state("Active");
    std::fs::OpenOptions::new()
        .write(true)
        .open(member.dir.join("power"))
        .unwrap()
        .write_all(b"stop\n")
        .unwrap();
    member.wait_for("power button");
    assert_eq!(member.wait().code(), Some(0));
    assert_eq!(member.states(), ALL);
}

#[test]
fn a_member_with_ports_waits_for_its_network_and_configures_it() {
    let port = free_port();
    let network = |dir: &std::path::Path| std::fs::write(dir.join("network"), "state configuring\n").unwrap();
    let payload = format!("PORTS={port},LISTEN={port},ADDRESS=10.0.2.15/24,GATEWAY=10.0.2.2");
    let mut member = Member::start(&payload, network);
    member.wait_for("listening");
    assert!(member.is_quiet_about("\"Active\"", Duration::from_millis(300)));
    let file = member.dir.join("network");
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "static 10.0.2.15/24 gateway 10.0.2.2\n"
    );
    std::fs::write(file, "state up\naddress 10.0.2.15/24\n").unwrap();
    member.wait_for_state("Active");
}

#[test]
fn a_bad_payload_is_reported_and_the_member_goes_on() {
    let payload = "PORTS=80x,nonsense-after-a-comma,=1,LOG_LEVEL=loud,A=\u{1b}[31m,TOKEN=hush-hush,DRAIN_SECONDS=soon,\
        MANAGEMENT_PORT=9,MANAGEMENT_TOKEN=hush";
    let mut member = Member::start(payload, |dir| {
        std::fs::write(dir.join("defaults"), "CARTRIDGE_NAME=odd").unwrap()
    });
    member.wait_for_state("Active");
    member.wait_for("listening on 0 ports as odd");
    let log = member.log.join("\n");
    for part in [
        "PORTS=80x",
        "LOG_LEVEL=loud",
        "DRAIN_SECONDS=soon",
        "MANAGEMENT_TOKEN=(hidden)",
        "item 2",
        "item 3",
        "item 5",
    ] {
        assert!(log.contains(part), "no {part} in {log}");
    }
    assert!(!log.contains("hush") && !log.contains("nonsense"), "{log}");
}

#[test]
fn a_payload_that_is_no_text_is_reported_and_the_member_goes_on() {
    let bytes: Vec<u8> = (0..100_000u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for size in [1000, 100_000] {
        let mut member = Member::start("", |dir| std::fs::write(dir.join("payload"), &bytes[..size]).unwrap());
        member.wait_for("\"level\":\"error\"");
        member.wait_for_state("Active");
        assert!(member.log.len() < 15);
    }
}

#[test]
fn an_app_that_keeps_standard_output_locked_does_not_silence_the_agent() {
    let mut member = Member::start("THEN=lock,DRAIN_SECONDS=0", |_| {});
    member.wait_for("listening");
    let asked = Instant::now();
    member.signal("TERM");
    member.wait_for_state("Terminated");
    assert_eq!(member.wait().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(2));
}
