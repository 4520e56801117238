//! Artifacts of a process without a control plane.

use crate::support::{DEADLINE, MEMBER, Member};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

/// A tar of one file.
fn archive(dir: &Path) -> Vec<u8> {
    fs::write(dir.join("index.html"), "home").unwrap();
    let mut tar = Command::new("tar");
    let output = tar.args(["-cz", "index.html"]).current_dir(dir).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// A server that answers one request, when it is told to. Gives its address.
fn serve(body: Vec<u8>) -> (String, Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let (sender, go) = channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        go.recv_timeout(DEADLINE).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    });
    (place, sender)
}

#[test]
fn an_app_without_ports_is_active_and_told_when_its_artifact_is_in_place_and_nothing_of_it_stays() {
    let dir = std::env::temp_dir().join(format!("cartridge-agent-artifacts-{}", std::process::id()));
    let files = dir.join("files");
    fs::create_dir_all(&files).unwrap();
    let (place, go) = serve(archive(&dir));
    let payload = format!("THEN=events,REPO_URL=http://{place}/site.tgz,REPO_PASSWRD=x");
    fs::write(dir.join("payload"), payload).unwrap();
    let mut command = Command::new(MEMBER);
    let mut member = Member::launch(dir.clone(), command.env("CARTRIDGE_DIR", &dir).env("TMPDIR", &files));
    member.wait_for("did you mean REPO_PASSWORD?");
    member.wait_for_state("Starting");
    assert!(
        member.is_quiet_about("Active", Duration::from_millis(200)),
        "{:?}",
        member.log
    );
    go.send(()).unwrap();
    member.wait_for("site.tgz is in place as version 1: 1 files and folders, 4 bytes");
    member.wait_for_state("Active");
    if !member.log.iter().any(|line| line.contains("ArtifactReady")) {
        member.wait_for("event ArtifactReady(ArtifactVersion { number: 1, tenant: -1234 })");
    }
    assert_eq!(fs::read_dir(&files).unwrap().count(), 1);
    member.signal("TERM");
    assert_eq!(member.wait().code(), Some(0));
    assert_eq!(fs::read_dir(&files).unwrap().count(), 0, "files are left");
    fs::remove_dir_all(dir).unwrap();
}
