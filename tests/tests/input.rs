//! Bad input and missing devices: a clear line, the documented behaviour, never a hang or a panic.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use cartridge_tests::guest::{self, launch, payload, serves, start, start_ready, wait_for};
use cartridge_tests::image::image;
use qemu::{Machine, Network, NetworkCard};

fn boots_with(text: &[u8], expected: &str) {
    let file = payload(text);
    let mut launch = launch(&image("apps/hello"));
    launch.payload = Some(file.path().to_owned());
    let guest = start(&launch);
    let line = wait_for(&guest, expected, guest::READY_LIMIT);
    serves(&guest);
    assert!(!guest.console().contains("panicked"), "{}", guest.console());
    println!("{line}");
}

#[test]
fn a_payload_that_is_no_launch_params_text_is_reported_and_ignored() {
    boots_with(b"this is not launch params", "payload: item 1 has no '='");
}

#[test]
fn a_payload_of_random_bytes_is_reported_and_ignored() {
    let bytes: Vec<u8> = (0..4096u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    boots_with(&bytes, "payload: binary data: nothing of it is used");
}

#[test]
fn an_empty_payload_is_as_none() {
    boots_with(b"", "\"state\":\"Active\"");
}

#[test]
fn a_bad_value_is_named_with_what_was_expected_and_the_default() {
    for (text, expected) in [
        (
            "DRAIN_SECONDS=soon",
            "DRAIN_SECONDS=soon is not a number of seconds from 0 to 3600: using 10",
        ),
        (
            "MANAGEMENT_PORT=70000,MANAGEMENT_TOKEN=a-token-of-24-characters",
            "MANAGEMENT_PORT=70000 is not a port from 1 to 65535 that is not in PORTS: using no management endpoint",
        ),
        (
            "ADDRESS=10.0.2.15/99",
            "ADDRESS=10.0.2.15/99 is not an IPv4 address with prefix, as 10.0.2.15/24: using DHCP",
        ),
    ] {
        boots_with(text.as_bytes(), expected);
    }
}

#[test]
fn a_bad_token_is_reported_without_being_shown() {
    let file = payload(b"MANAGEMENT_PORT=9000,MANAGEMENT_TOKEN=too-short");
    let mut launch = launch(&image("apps/hello"));
    launch.payload = Some(file.path().to_owned());
    let guest = start_ready(&launch);
    wait_for(&guest, "MANAGEMENT_TOKEN", guest::READY_LIMIT);
    serves(&guest);
    assert!(!guest.console().contains("too-short"), "{}", guest.console());
}

#[test]
fn a_key_that_is_nearly_one_of_the_agents_is_named_with_the_one_that_was_meant() {
    boots_with(
        b"DRAIN_SECOND=5",
        "DRAIN_SECOND is left to the app; did you mean DRAIN_SECONDS?",
    );
}

#[test]
fn a_gateway_without_an_address_is_a_bad_value() {
    boots_with(b"GATEWAY=10.0.2.2", "GATEWAY=10.0.2.2 is not");
}

#[test]
fn other_unknown_keys_are_left_to_the_app_without_a_word() {
    let file = payload(b"WEATHER=fine,EMPTY=,EQUATION=a=b");
    let mut launch = launch(&image("apps/hello"));
    launch.payload = Some(file.path().to_owned());
    let guest = start_ready(&launch);
    serves(&guest);
    for level in ["error", "warn"] {
        let level = format!("\"level\":\"{level}\"");
        assert!(!guest.console().contains(&level), "{}", guest.console());
    }
}

#[test]
fn hello_keeps_answers_and_requests_apart() {
    let guest = start_ready(&launch(&image("apps/hello")));
    let address = guest.address(8080).unwrap_or_else(|error| panic!("{error}"));
    let answers = |requests: &str| {
        let mut client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client.write_all(requests.as_bytes()).unwrap();
        let mut all = String::new();
        client.read_to_string(&mut all).unwrap();
        all
    };
    let (head, body) = ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", "hello\n");
    let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let last = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let headed = get.replace("GET", "HEAD");
    assert_eq!(
        answers(&format!("{headed}{get}{last}")),
        format!("{head}{head}{body}{head}{body}")
    );
    let hidden = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{get}",
        get.len()
    );
    assert_eq!(answers(&hidden), format!("{head}{body}"), "a body is no request");
}

#[test]
fn a_cartridge_without_a_network_card_says_so_and_runs_on() {
    for machine in Machine::ALL {
        let mut launch = launch(&image("apps/hello"));
        (launch.machine, launch.card) = (machine, Some(NetworkCard::None));
        let guest = start(&launch);
        let line = wait_for(&guest, "no network device", guest::READY_LIMIT);
        println!("{machine}: {line}");
        stays_up(&guest);
    }
}

#[test]
fn a_network_without_an_answer_to_dhcp_is_reported() {
    let mut launch = launch(&image("apps/hello"));
    launch.network = Network::Silent;
    let guest = start(&launch);
    let line = wait_for(&guest, "no DHCP answer after 5 s", Duration::from_secs(60));
    println!("{line}");
    stays_up(&guest);
}

/// A launch of a machine that has neither virtio-rng nor a processor with random numbers.
fn without_entropy(folder: &str) -> qemu::Launch {
    let mut launch = launch(&image(folder));
    launch.entropy = false;
    launch.cpu = "max,-rdrand,-rdseed".to_owned();
    launch
}

#[test]
fn a_machine_without_entropy_is_reported_and_serves_a_program_that_needs_none() {
    let guest = start(&without_entropy("apps/hello"));
    let line = wait_for(&guest, "no source of random bytes", guest::READY_LIMIT);
    println!("{line}");
    serves(&guest);
    stays_up(&guest);
}

#[test]
fn a_machine_without_entropy_refuses_a_program_that_asks_for_random_bytes() {
    let guest = start(&without_entropy("tests/cartridges/secret"));
    let line = wait_for(
        &guest,
        r#""error","from":"kernel","msg":"this machine has no source"#,
        guest::READY_LIMIT,
    );
    println!("{line}");
    let exit = guest.wait(guest::READY_LIMIT).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(exit.status, Some(134), "std gives up: {}", exit.describe());
    assert!(!guest.console().contains("secret:"), "{}", guest.console());
}

/// The guest runs, answers QMP, and has neither panicked nor ended.
fn stays_up(guest: &qemu::Guest) {
    let state = guest
        .qmp()
        .and_then(|qmp| qmp.status(Duration::from_secs(5)))
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(state, qemu::RunState::Running);
    assert!(
        !guest.console().contains("panicked") && !guest.ended(),
        "{}",
        guest.console()
    );
}
