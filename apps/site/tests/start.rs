//! The program as a whole, started as `cargo run -p site` starts it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Ends the program whatever becomes of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn started_by_cargo_from_any_folder_it_serves_its_own_files() {
    let elsewhere = std::env::temp_dir().join(format!("site-start-{}", std::process::id()));
    std::fs::create_dir_all(&elsewhere).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    std::fs::write(
        elsewhere.join("payload"),
        format!("PORTS={port},port.check.timeout=10000"),
    )
    .unwrap();
    let mut site = Command::new(env!("CARGO_BIN_EXE_site"))
        .current_dir(&elsewhere)
        .env("CARGO_MANIFEST_DIR", env!("CARGO_MANIFEST_DIR"))
        .env("CARTRIDGE_DIR", &elsewhere)
        .stdout(Stdio::piped())
        .spawn()
        .map(Running)
        .unwrap();
    // One of the two comes within 10 s.
    let said = |line: &String| line.contains("\"Active\"") || line.contains("port.check.timeout");
    let mut log = BufReader::new(site.0.stdout.take().unwrap()).lines();
    let line = log.by_ref().map_while(Result::ok).find(said);
    assert!(
        line.as_ref().is_some_and(|line| line.contains("\"Active\"")),
        "{line:?}"
    );
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("<html"),
        "{answer:.200}"
    );
    std::fs::remove_dir_all(elsewhere).unwrap();
}
