use super::super::archive::{gzip, tar_of};
use super::*;
use crate::test_server::serve;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    entries: 100,
};

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn redirect(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

fn archive() -> Vec<u8> {
    gzip(&tar_of(&[(b"r/index.html", b'0', b"home"), (b"r/a", b'0', b"x")]))
}

/// A folder of its own for one fetch, removed with it; it shows whether anything is left.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("download-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Fetches; gives the digest, what `index.html` holds, and an error after which nothing is left.
fn fetch(url: &str) -> Result<(Digest, Vec<u8>), Failure> {
    let location = Location::new(url, Some("me"), Some("pass")).unwrap_or_else(|why| panic!("{url}: {why}"));
    let place = Scratch::new();
    let result = download(&location, LIMITS, &place.0, &|| true);
    if result.is_err() {
        assert_eq!(std::fs::read_dir(&place.0).unwrap().count(), 0, "something is left");
    }
    result.map(|(digest, unpacked)| (digest, std::fs::read(unpacked.root.join("index.html")).unwrap()))
}

#[track_caller]
fn refused(url: &str, said: &str) {
    match fetch(url) {
        Err(Failure::Final(why)) => assert!(why.contains(said), "{why}"),
        other => panic!("{said}: {other:?}"),
    }
}

#[test]
fn an_archive_is_fetched_with_its_credentials_and_digest() {
    let (place, server) = serve("127.0.0.1", vec![ok(&archive())]);
    let (digest, index) = fetch(&format!("http://{place}/a.tgz?x=y")).unwrap();
    assert_eq!(index, b"home");
    let requests = server.join().unwrap();
    assert!(requests[0].starts_with("GET /a.tgz?x=y HTTP/1.1\r\n"));
    assert!(requests[0].contains("\r\nAuthorization: Basic bWU6cGFzcw==\r\n"));
    let (place, _server) = serve("127.0.0.1", vec![ok(&archive())]);
    assert!(fetch(&format!("http://{place}/a.tgz#sha256={digest}")).is_ok());
    let (place, _server) = serve("127.0.0.1", vec![ok(&archive())]);
    refused(
        &format!("http://{place}/a.tgz#sha256={}", "0".repeat(64)),
        "its SHA-256 is",
    );
}

#[test]
fn credentials_stay_with_their_host() {
    let (other, other_server) = serve("127.0.0.2", vec![ok(&archive())]);
    let (place, server) = serve(
        "127.0.0.1",
        vec![redirect("/elsewhere"), redirect(&format!("http://{other}/a"))],
    );
    assert!(fetch(&format!("http://{place}/a")).is_ok());
    let requests = server.join().unwrap();
    assert!(requests.iter().all(|request| request.contains("Authorization")));
    assert!(requests[1].starts_with("GET /elsewhere "));
    assert!(!other_server.join().unwrap()[0].contains("Authorization"));
}

#[test]
fn redirects_end_and_do_not_change_the_scheme() {
    let (place, server) = serve("127.0.0.1", vec![redirect("/again"); REDIRECTS + 1]);
    refused(&format!("http://{place}/"), "more than 5");
    assert_eq!(server.join().unwrap().len(), REDIRECTS + 1);
    let (place, _server) = serve("127.0.0.1", vec![redirect("https://127.0.0.1/a")]);
    refused(&format!("http://{place}/"), "not followed");
}

#[test]
fn what_is_no_good_archive_is_refused_for_good() {
    for (answer, said) in [
        (ok(b"<!DOCTYPE html><title>Sign in"), "login"),
        (ok(&gzip(&tar_of(&[(b"../a", b'0', b"x")]))), "leads out"),
        (
            ok(&gzip(&tar_of(&[(b"a", b'0', &vec![0; 2 << 20])]))),
            "larger than 1048576",
        ),
        (ok(&vec![0; 2 << 20]), "larger than 1048576"),
        (b"HTTP/1.1 401 No\r\n\r\n".to_vec(), "user name or password are refused"),
        (b"HTTP/1.1 404 No\r\n\r\n".to_vec(), "404"),
        (b"HTTP/1.1 204 No\r\n\r\n".to_vec(), "204"),
        (b"SSH-2.0-OpenSSH\r\n".to_vec(), "not HTTP"),
    ] {
        let (place, _server) = serve("127.0.0.1", vec![answer]);
        refused(&format!("http://{place}/a"), said);
    }
}

#[test]
fn what_may_pass_is_for_later() {
    let whole = ok(&archive());
    for answer in [
        b"HTTP/1.1 503 Busy\r\n\r\n".to_vec(),
        b"HTTP/1.1 429 Busy\r\n\r\n".to_vec(),
        whole[..whole.len() - 1].to_vec(),
        // All of a file that is not all there.
        ok(&archive()[..60]),
        Vec::new(),
    ] {
        let (place, _server) = serve("127.0.0.1", vec![answer]);
        assert!(matches!(fetch(&format!("http://{place}/a")), Err(Failure::Later(_))));
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(fetch(&format!("http://{closed}/a")), Err(Failure::Later(_))));
}

#[test]
fn what_is_not_wanted_any_more_is_given_up() {
    let (place, _server) = serve("127.0.0.1", vec![ok(&archive())]);
    let location = Location::new(&format!("http://{place}/a"), None, None).ok().unwrap();
    let result = download(&location, LIMITS, &std::env::temp_dir(), &|| false);
    assert!(matches!(result, Err(Failure::Overtaken)));
}
