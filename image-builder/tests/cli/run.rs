//! `run` and `dev`: their options, the ready line, what ends them.

use super::{Running, alone, cartridge, command, eventually};
use qemu::process::{child_of, is_alive, parent_of};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Stdio;

const TCG: [&str; 2] = ["--accel", "tcg"];

pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

pub fn payload(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), text).expect("written");
    file
}

/// The answer to one request on a connection that is closed after it.
pub fn exchange(port: u16, request: &str) -> String {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
    client.set_read_timeout(Some(super::SOON)).expect("a limit");
    client.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer, and then the end");
    answer
}

pub const REQUEST: &str = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

/// The port in `ready http://127.0.0.1:PORT after N ms`.
pub fn ready_port(line: &str) -> u16 {
    let port = line
        .strip_prefix("ready http://127.0.0.1:")
        .and_then(|rest| rest.split(' ').next());
    port.and_then(|port| port.parse().ok())
        .unwrap_or_else(|| panic!("{line}"))
}

#[test]
fn until_ready_stops_a_guest_that_is_ready() {
    let _alone = alone();
    let port = free_port();
    let forward = format!("{port}:8080");
    let line = [
        "run",
        "apps/hello",
        "--until-ready",
        "--memory",
        "8",
        "--port",
        &forward,
    ];
    let (status, output, errors) = cartridge(&[&line[..], &TCG].concat());
    assert_eq!(status, 0, "{output}{errors}");
    let ready = output
        .lines()
        .find(|line| line.starts_with("ready "))
        .unwrap_or_else(|| panic!("{output}"));
    assert_eq!(ready_port(ready), port);
}

#[test]
fn until_ready_and_timeout_work_in_dev_as_well() {
    let _alone = alone();
    let (status, output, errors) = cartridge(&["dev", "apps/hello", "--until-ready"]);
    assert!(
        status == 0 && output.contains("\nready http://127.0.0.1:8080 after "),
        "{status} {output}{errors}"
    );
    let (status, output, errors) = cartridge(&["dev", "apps/hello", "--timeout", "1.5"]);
    assert!(
        status == 124 && errors.contains("time is up"),
        "{status} {output}{errors}"
    );
}

#[test]
fn a_guest_that_is_not_ready_in_time_gives_124_and_a_hint() {
    let _alone = alone();
    // Nobody listens on that port, so it never becomes Active.
    let file = payload("PORTS=9000");
    let path = file.path().to_string_lossy().into_owned();
    let line = [
        "run",
        "apps/hello",
        "--until-ready",
        "--timeout",
        "2",
        "--payload",
        &path,
    ];
    let (status, output, errors) = cartridge(&[&line[..], &TCG].concat());
    assert_eq!(status, 124, "{output}{errors}");
    assert!(
        errors.contains("time is up, and the guest is not ready") && errors.contains("next: "),
        "{errors}"
    );
}

#[test]
fn too_little_memory_is_what_was_asked_for() {
    let _alone = alone();
    let line = ["run", "apps/hello", "--until-ready", "--timeout", "5", "--memory", "1"];
    let (status, output, errors) = cartridge(&[&line[..], &TCG].concat());
    assert!(status != 0 && !output.contains("ready http"), "{output}{errors}");
}

/// The payload's PORTS count before the manifest's, in the ready line as for the agent.
#[test]
fn the_ready_line_names_the_port_of_the_payload() {
    let _alone = alone();
    let port = free_port();
    let file = payload(&format!("PORTS='{port}'\nDRAIN_SECONDS=1\n"));
    let path = file.path().to_string_lossy().into_owned();
    let mut dev = Running::start(command(&["dev", "apps/site", "--payload", &path]));
    assert_eq!(ready_port(&dev.wait_for("ready http")), port);
    assert!(exchange(port, REQUEST).starts_with("HTTP/1.1 200"));
    dev.signal("INT");
    assert_eq!(dev.wait(), 0, "{:#?}", dev.seen);

    let mut run = command(&["run", "apps/site", "--payload", &path]);
    run.args(TCG);
    let mut run = Running::start(run);
    let ready = ready_port(&run.wait_for("ready http"));
    assert!(exchange(ready, REQUEST).starts_with("HTTP/1.1 200"));
    run.signal("INT");
    run.wait();
}

/// `./cartridge run apps/hello | grep -m1 ready`, and the same in `dev`.
#[test]
fn a_closed_output_ends_what_runs() {
    let _alone = alone();
    for words in [&["run", "apps/site", "--accel", "tcg"][..], &["dev", "apps/site"]] {
        let token = "0123456789abcdef";
        let (port, management) = (free_port(), free_port());
        let file = payload(&format!(
            "PORTS={port},MANAGEMENT_PORT={management},MANAGEMENT_TOKEN={token}"
        ));
        let mut line = command(words);
        line.arg("--payload").arg(file.path());
        if words[0] == "run" {
            line.args([
                "--port",
                &format!("{port}:{port}"),
                "--port",
                &format!("{management}:{management}"),
            ]);
        }
        let mut child = line
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cartridge starts");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut text = String::new();
        while !text.contains("\nready http") && output.read_line(&mut text).expect("a line") > 0 {}
        assert!(text.contains("\nready http"), "{words:?}: {text}");
        drop(output);
        // A stop is written to the console: nobody reads it.
        let stop = format!(
            "POST /stop HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, management)).expect("a connection");
        client.write_all(stop.as_bytes()).expect("sent");
        // The end may come before the answer.
        let _ = client
            .set_read_timeout(Some(super::SOON))
            .and_then(|()| client.read_to_end(&mut Vec::new()));
        let mut running = Running {
            child,
            lines: std::sync::mpsc::channel().1,
            seen: Vec::new(),
        };
        let status = running.wait();
        let mut errors = String::new();
        let _ = running
            .child
            .stderr
            .take()
            .map(|mut from| from.read_to_string(&mut errors));
        assert!([0, 141].contains(&status), "{words:?}: {status}: {errors}");
        assert!(
            errors.contains("nobody reads the output") && !errors.contains("panicked"),
            "{words:?}: {errors}"
        );
    }
}

/// The folder with the payload goes, too, when Ctrl-C comes twice.
#[test]
fn a_second_ctrl_c_leaves_no_payload_behind() {
    let _alone = alone();
    let place = tempfile::tempdir().expect("a folder");
    let left = || fs::read_dir(place.path()).expect("a folder").count();
    let file = payload(&format!("PORTS={},DRAIN_SECONDS=600", free_port()));
    let mut dev = command(&["dev", "tests/cartridges/busy", "--payload"]);
    dev.arg(file.path()).env("TMPDIR", place.path());
    let mut dev = Running::start(dev);
    dev.wait_for("\"Starting\"");
    assert_eq!(left(), 1);
    let app = child_of(dev.child.id()).expect("the app runs");
    dev.signal("INT");
    dev.wait_for("Ctrl-C again kills it");
    dev.signal("INT");
    assert_eq!(dev.wait(), 130, "{:#?}", dev.seen);
    assert_eq!(left(), 0, "its folder is left behind");
    eventually("the app is left behind", || !is_alive(app));
}

/// Nobody removes anything then: it must not have been copied.
#[test]
fn a_killed_dev_leaves_no_payload_behind() {
    let _alone = alone();
    let place = tempfile::tempdir().expect("a folder");
    let file = payload("PORTS=1");
    let mut dev = command(&["dev", "tests/cartridges/busy", "--payload"]);
    dev.arg(file.path()).env("TMPDIR", place.path());
    let mut dev = Running::start(dev);
    dev.wait_for("\"Starting\"");
    dev.signal("KILL");
    dev.wait();
    let left = fs::read_dir(place.path()).expect("a folder").flatten();
    let payloads: Vec<_> = left.map(|folder| folder.path().join("payload")).collect();
    assert!(payloads.iter().all(|payload| payload.is_symlink()), "{payloads:?}");
    assert_eq!(payloads.len(), 1);
}

/// `./cartridge test` ends its test programs and what they started, however it ends itself.
#[test]
fn a_test_run_that_is_ended_leaves_no_process_behind() {
    let _alone = alone();
    for signal in ["INT", "KILL"] {
        // A test that waits for ever, and says which process it started.
        let endless = ["--ignored", "--nocapture", "guard::tests::launcher_to_be_killed"];
        let mut run = Running::start(command(&[&["test", "qemu", "--"], &endless[..]].concat()));
        let line = run.wait_for("started ");
        let started = line.rsplit(' ').next().and_then(|number| number.parse().ok());
        let started: u32 = started.unwrap_or_else(|| panic!("{line}"));
        let test = parent_of(started).expect("the test program runs");
        run.signal(signal);
        if signal == "INT" {
            run.wait_for("interrupted");
            assert!(
                run.wait_for(" passed, ").ends_with(" failed"),
                "the counts are still told"
            );
            assert_eq!(run.wait(), 130);
        } else {
            run.wait();
        }
        eventually("the test program is left behind", || !is_alive(test));
        eventually("what it started is left behind", || !is_alive(started));
    }
}

/// The load generator of a `bench` is not its child, and not in its process group.
#[test]
fn a_bench_that_is_killed_leaves_no_load_behind() {
    let _alone = alone();
    let (status, _, errors) = cartridge(&["build", "apps/hello"]);
    assert_eq!(status, 0, "{errors}");
    let mut bench = Running::start(command(&["bench", "http", "apps/hello", "--seconds", "30"]));
    let own = bench.child.id();
    let load = || {
        let processes = fs::read_dir("/proc").expect("Linux").flatten();
        let loads = processes.filter(|entry| fs::read(entry.path().join("comm")).is_ok_and(|name| name == b"wrk\n"));
        let mut pids = loads.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.find(|pid| parent_of(*pid).and_then(parent_of) == Some(own))
    };
    eventually("it makes no load", || load().is_some());
    let load = load().expect("it runs for a while");
    bench.signal("KILL");
    bench.wait();
    eventually("its load is left behind", || !is_alive(load));
}
