//! std behaves in a cartridge as it does on Linux: the same program, the same checks.

use anyhow::Result;
use std::collections::BTreeSet;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::Duration;

use cartridge_tests::guest::{GUEST_DEADLINE, start};
use cartridge_tests::image::{image, workspace};
use cartridge_tests::port;
use qemu::{Exit, Launch, Machine, NetworkCard};

const PROGRAM: &str = "tests/cartridges/conformance";
/// All checks take about ten seconds on an idle host.
const LIMIT: Duration = Duration::from_secs(240);

/// How a run of the program ended.
struct Run {
    console: String,
    exit: Exit,
    command: String,
}

fn run(arguments: &str, adjust: impl FnOnce(&mut Launch)) -> Run {
    let mut launch = Launch::new(image(PROGRAM));
    launch.kernel_arguments = arguments.to_owned();
    launch.deadline = Some(GUEST_DEADLINE);
    adjust(&mut launch);
    let guest = start(&launch);
    let exit = guest.wait(LIMIT).unwrap_or_else(|error| panic!("{error}"));
    Run {
        console: guest.console(),
        exit,
        command: guest.command().to_owned(),
    }
}

impl Run {
    fn says(&self, text: &str) -> &Run {
        assert!(
            self.console.contains(text),
            "no {text:?} in\n{}\n{}",
            self.console,
            self.command
        );
        self
    }

    fn ends_with(&self, status: i32) -> &Run {
        let described = self.exit.describe();
        assert_eq!(
            self.exit.status,
            Some(status),
            "{described}\n{}\n{}",
            self.console,
            self.command
        );
        self
    }
}

/// The names of the checks that passed, in what a run printed.
fn passed(output: &str) -> BTreeSet<&str> {
    output
        .lines()
        .filter_map(|line| line.trim_end().strip_prefix("ok "))
        .collect()
}

/// Answers every TCP connection and every datagram with what it got, until the test ends. Returns its port on loopback, the
/// same for both protocols.
fn echo_server() -> Result<u16> {
    let (port, listener, datagrams) = loop {
        let port = port::free()?;
        // Another program may have the port for one of the protocols; there are more.
        let both = (
            TcpListener::bind(("127.0.0.1", port)),
            UdpSocket::bind(("127.0.0.1", port)),
        );
        if let (Ok(listener), Ok(datagrams)) = both {
            break (port, listener, datagrams);
        }
    };
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || io::copy(&mut &stream, &mut &stream));
        }
    });
    thread::spawn(move || {
        let mut buffer = [0; 2_000];
        while let Ok((length, from)) = datagrams.recv_from(&mut buffer) {
            // A lost answer is the client's to ask for again.
            let _ = datagrams.send_to(&buffer[..length], from);
        }
    });
    Ok(port)
}

fn on_linux() -> String {
    let port = echo_server().expect("an echo server");
    let output = Command::new("cargo")
        .args(["run", "--quiet", "-p", "conformance"])
        .env("PEER", format!("127.0.0.1:{port}"))
        .current_dir(workspace())
        .output()
        .expect("cargo starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}:\n{said}\n{errors}", output.status);
    said
}

fn everything_passes_on(machine: Machine) -> Run {
    let port = echo_server().expect("an echo server");
    // QEMU's user-mode network shows the host's loopback as 10.0.2.2.
    let run = run(&format!("env=PEER=10.0.2.2:{port}"), |launch| launch.machine = machine);
    run.says(" ok, 0 failed").ends_with(0);
    run
}

#[test]
fn the_same_checks_pass_on_linux_and_in_a_microvm() {
    let linux = on_linux();
    let cartridge = everything_passes_on(Machine::Microvm);
    let (here, there) = (passed(&linux), passed(&cartridge.console));
    assert!(here.len() > 100, "only {} checks ran", here.len());
    assert_eq!(here, there, "the sets of checks differ");
}

#[test]
fn every_check_passes_on_q35() {
    everything_passes_on(Machine::Q35);
}

#[test]
fn every_check_passes_on_pc() {
    everything_passes_on(Machine::Pc);
}

#[test]
fn arguments_and_environment_come_from_the_command_line() {
    run("env=GREETING=good=day -- environment --flag x=1", |_| {})
        .says(r#"arguments ["conformance", "environment", "--flag", "x=1"]"#)
        .says(r#"GREETING Ok("good=day")"#)
        .ends_with(0);
}

#[test]
fn the_exit_status_is_passed_on() {
    run("-- exit 0", |_| {}).ends_with(0);
    run("-- exit 42", |_| {}).ends_with(42);
    run("-- unfinished 7", |_| {})
        .says("a line without an end\n")
        .ends_with(7);
}

#[test]
fn what_was_written_before_the_end_is_delivered() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    let receiver = thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        io::copy(&mut stream, &mut io::sink())
    });
    run(&format!("env=PEER=10.0.2.2:{port} -- farewell"), |_| {}).ends_with(0);
    let received = receiver.join().expect("the receiver does not panic");
    assert_eq!(received.expect("the connection ends in order"), 200_000);
}

#[test]
fn a_panic_tells_its_message_and_place_and_ends_with_134() {
    run("-- panic", |_| {})
        .says("index out of bounds")
        .says("src/ending.rs:")
        .ends_with(134);
    run("-- panic-thread", |_| {})
        .says("thread 'unlucky'")
        .says("on purpose")
        .ends_with(134);
    run("-- abort", |_| {}).ends_with(134);
}

#[test]
fn stack_overflow_and_exhausted_memory_are_reported_as_such() {
    run("-- overflow", |_| {}).says("stack overflow").ends_with(139);
    run("-- exhaust", |_| {}).says("memory").ends_with(137);
}

/// The processor model lacks RDRAND and RDSEED, and there is no virtio-rng.
fn without_entropy(launch: &mut Launch) {
    launch.cpu = "qemu64".to_owned();
    launch.entropy = false;
}

#[test]
fn without_entropy_a_program_runs_and_requests_for_random_bytes_are_refused() {
    run("-- only process/formatting", without_entropy)
        .says("1 ok, 0 failed")
        .ends_with(0);
    run("-- only memory/hash maps", without_entropy)
        .says(r#""level":"error""#)
        .says("no source of random bytes, requests for them are refused")
        .says("failed to generate random data")
        .ends_with(134);
}

#[test]
fn loopback_works_without_a_network_card() {
    let run = run("-- only tcp/", |launch| launch.card = Some(NetworkCard::None));
    run.says(" ok, 0 failed").ends_with(0);
    let checks = passed(&run.console).len();
    assert!(checks >= 10, "only {checks} checks ran");
}

/// In a machine of 5000 MiB, no more than 3.5 GiB of which lie below 4 GiB, 4700 can only be had from above as well.
#[test]
fn ram_above_4_gib_is_used() {
    for machine in Machine::ALL {
        let run = run("-- fill 4700", |launch| {
            (launch.machine, launch.memory_mib) = (machine, 5000)
        });
        run.says("fill: 4672 MiB hold, 73 of 73 blocks").ends_with(0);
        let highest = run.console.lines().find_map(|line| line.split("up to 0x").nth(1));
        let highest = highest.and_then(|address| u64::from_str_radix(address.trim_end(), 16).ok());
        println!("{machine}: up to {highest:x?}");
        assert!(highest > Some(1 << 32), "{machine}: {}", run.console);
    }
}
