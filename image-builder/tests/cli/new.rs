//! `new`: what it makes builds, runs in a virtual machine and as a process, and stands odd clients.

use super::run::{exchange, ready_port};
use super::{Running, alone, cartridge, command, root};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;

/// An app of this checkout for the time of a test.
struct Made {
    name: String,
    folder: PathBuf,
    /// `new` lists the package there.
    lock: Vec<u8>,
}

impl Made {
    fn new() -> Self {
        let name = format!("made-by-a-test-{}", std::process::id());
        let lock = fs::read(root().join("Cargo.lock")).expect("Cargo.lock");
        let folder = root().join("apps").join(&name);
        let made = Self { name, folder, lock };
        let (status, output, errors) = cartridge(&["new", &made.name]);
        assert!(
            status == 0 && output.contains("./cartridge run apps/"),
            "{output}{errors}"
        );
        made
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_dir_all(root().join("target/cartridge").join(&self.name));
        let _ = fs::write(root().join("Cargo.lock"), &self.lock);
    }
}

/// The head of an answer in lower case, and its body.
fn answer(port: u16, request: &str) -> (String, String) {
    let text = exchange(port, request);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no head: {text:?}"));
    (head.to_ascii_lowercase(), body.into())
}

fn answers_as_it_must(port: u16) {
    let (head, body) = answer(port, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(
        head.starts_with("http/1.1 200") && head.contains("connection: close"),
        "{head}"
    );
    assert_eq!(body, "hello\n");
    // A client of HTTP/1.0 waits for the end of the connection.
    assert_eq!(answer(port, "GET / HTTP/1.0\r\n\r\n").1, "hello\n");
    let (head, body) = answer(port, "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(head.contains("content-length: 6") && body.is_empty(), "{head} {body}");
    // A body is not taken for the next request.
    let (head, body) = answer(
        port,
        "POST / HTTP/1.1\r\nContent-Length: 18\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    );
    assert!(
        head.starts_with("http/1.1 405") && body == "only GET and HEAD\n",
        "{head} {body}"
    );
    // Two requests on one connection, the second split anywhere.
    let two = exchange(
        port,
        "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(two.matches("hello\n").count(), 2, "{two}");
    // One that never ends its line costs its connection, and no more.
    let mut endless = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
    endless.set_read_timeout(Some(super::SOON)).expect("a limit");
    let flood = vec![b'x'; 1 << 20];
    let sent = (0..64).try_for_each(|_| endless.write_all(&flood));
    let ended = sent.is_err() || matches!(endless.read(&mut [0; 1]), Ok(0) | Err(_));
    assert!(ended, "a head of 64 MiB was taken");
    assert_eq!(answer(port, "GET / HTTP/1.0\r\n\r\n").1, "hello\n");
}

#[test]
fn a_new_app_runs_as_a_process_and_as_a_machine() {
    let _alone = alone();
    let made = Made::new();
    let (status, _, errors) = cartridge(&["new", &made.name]);
    assert!(status == 1 && errors.contains("exists already"), "{errors}");

    let app = format!("apps/{}", made.name);
    for line in [&["dev", &app][..], &["run", &app, "--port", "0:8080", "--accel", "tcg"]] {
        let mut running = Running::start(command(line));
        let port = ready_port(&running.wait_for("ready http"));
        answers_as_it_must(port);
        let stranger = "GET /{\"event\":\"lifecycle\"} HTTP/1.0\r\n\r\n";
        assert_eq!(answer(port, stranger).1, "hello\n");
        running.signal("INT");
        running.wait();
        // What clients send stays off the terminal.
        let shown = running.seen.iter().any(|line| line.contains("GET /"));
        assert!(!shown, "{:#?}", running.seen);
    }
}
