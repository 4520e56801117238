//! The management endpoint, from the outside: real connections, kind and unkind.

use crate::support::{Member, TOKEN, alone, ask, connect, free_port, get, status};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A member with the endpoint on; the endpoint's port.
fn managed(payload: &str) -> (Member, u16) {
    let port = free_port();
    let mut member = Member::start(
        &format!("MANAGEMENT_PORT={port},MANAGEMENT_TOKEN={TOKEN},{payload}"),
        |_| {},
    );
    member.wait_for("listening");
    (member, port)
}

#[test]
fn without_a_token_in_the_payload_the_endpoint_is_off_and_the_log_says_so() {
    let port = free_port();
    let mut member = Member::start(&format!("MANAGEMENT_PORT={port}"), |_| {});
    assert_eq!(member.wait_for("MANAGEMENT_TOKEN").1["level"], "error");
    member.wait_for("listening");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn only_the_bearer_of_the_token_sees_pages() {
    let (_member, port) = managed("");
    assert_eq!(get(port, "/healthz").0, 200);
    for token in ["", "wrong", "a-token-of-24-character", "a-token-of-24-charactersX"] {
        let (status, answer) = ask(port, "GET", "/healthz", token, "");
        assert_eq!(status, 401);
        assert!(answer.contains("WWW-Authenticate: Bearer\r\n") && !answer.contains(TOKEN));
    }
    assert_eq!(ask(port, "POST", "/stop", "wrong", "").0, 401);
}

#[test]
fn readiness_follows_the_ports_also_when_active() {
    let app = free_port();
    let (mut member, port) = managed(&format!("PORTS={app},LISTEN={app},THEN=close"));
    member.wait_for_state("Active");
    let (status, answer) = get(port, "/readyz");
    assert!(
        status == 200 && answer.ends_with("\r\n\r\n{\"state\":\"Active\"}"),
        "{answer}"
    );
    let deadline = Instant::now() + crate::support::DEADLINE;
    while get(port, "/readyz").0 == 200 {
        assert!(Instant::now() < deadline, "still ready although the port was closed");
    }
    let (status, answer) = get(port, "/readyz");
    assert!(
        status == 503 && answer.contains(&format!("no connection accepted on port {app}")),
        "{answer}"
    );
}

#[test]
fn a_member_that_is_not_active_is_not_ready_and_says_why() {
    let app = free_port();
    let (_member, port) = managed(&format!("PORTS={app}"));
    let (status, answer) = get(port, "/readyz");
    assert!(
        status == 503 && answer.contains("\"state\":\"Starting\"") && answer.contains(&app.to_string()),
        "{answer}"
    );
    assert_eq!(get(port, "/healthz").0, 200);
}

#[test]
fn metrics_show_the_platforms_figures_and_the_agents() {
    let (member, port) = managed("CARTRIDGE_NAME=figures");
    std::fs::write(
        member.dir.join("stats"),
        "memory_free_bytes 4096\nuptime_ns 1500000000\n",
    )
    .unwrap();
    get(port, "/healthz");
    let (_, answer) = get(port, "/metrics");
    assert!(
        answer.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{answer}"
    );
    for line in [
        "cartridge_info{name=\"figures\",version=\"0\"} 1",
        "cartridge_lifecycle_state{state=\"Active\"} 1",
        "cartridge_management_requests_total 2",
        "cartridge_memory_free_bytes 4096",
        "cartridge_uptime_seconds 1.500000000",
    ] {
        assert!(answer.lines().any(|it| it == line), "no {line} in {answer}");
    }
}

#[test]
fn logs_are_the_platforms_or_else_the_agents_own() {
    let (member, port) = managed("");
    let (_, answer) = get(port, "/logs");
    assert!(
        answer.contains("\"state\":\"Active\"") && answer.contains("listening on 0 ports"),
        "{answer}"
    );
    assert!(!answer.contains(TOKEN));
    std::fs::write(member.dir.join("log"), "kernel says\n").unwrap();
    assert!(get(port, "/logs").1.ends_with("\r\n\r\nkernel says\n"));
    let (start, end) = (vec![b'a'; 1000], vec![b'z'; 1 << 20]);
    std::fs::write(member.dir.join("log"), [start, end].concat()).unwrap();
    let (_, answer) = get(port, "/logs");
    assert!(
        answer.ends_with(&format!("\r\n\r\n{}", "z".repeat(1 << 20))),
        "the end, and no more"
    );
}

#[test]
fn stop_ends_the_member_with_the_status_asked_for() {
    let (mut member, port) = managed("THEN=ignore");
    assert_eq!(ask(port, "GET", "/stop", TOKEN, "").0, 405);
    assert_eq!(ask(port, "POST", "/stop", TOKEN, "STATUS=x").0, 400);
    assert_eq!(ask(port, "POST", "/stop", TOKEN, "STATUS=9,DRAIN_SECONDS=0").0, 202);
    assert_eq!(member.wait().code(), Some(9));
}

#[test]
fn a_stop_is_honoured_although_its_client_does_not_stay_for_the_answer() {
    let (mut member, port) = managed("THEN=ignore");
    let mut stream = connect(port);
    write!(
        stream,
        "POST /stop HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nExpect: 100-continue\r\nContent-Length: 24\r\n\r\n"
    )
    .unwrap();
    // "100 Continue" is there and stays unread, so that closing resets the connection.
    assert!(stream.peek(&mut [0; 1]).unwrap() > 0);
    stream.write_all(b"STATUS=9,DRAIN_SECONDS=0").unwrap();
    drop(stream);
    assert_eq!(member.wait().code(), Some(9));
}

#[test]
fn what_cannot_be_answered_gets_its_status() {
    let (_member, port) = managed("");
    assert_eq!(get(port, "/nowhere").0, 404);
    assert_eq!(ask(port, "DELETE", "/healthz", TOKEN, "").0, 405);
    let long = "x".repeat(10_000);
    for (request, expected) in [
        ("rubbish\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\n\r\n", 400),
        (&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 431),
        (
            &format!("POST /stop HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n{long}"),
            413,
        ),
        (
            "POST /stop HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            411,
        ),
    ] {
        let mut stream = connect(port);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(status(&answer), expected, "{request:.60}");
        assert!(answer.contains("\r\nConnection: close\r\n"));
    }
}

#[test]
fn a_client_that_is_refused_while_it_sends_can_finish_and_read_the_refusal() {
    let (_member, port) = managed("");
    let mut stream = connect(port);
    stream
        .write_all(b"POST /stop HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(status(&answer), 413);
    for _ in 0..20 {
        stream
            .write_all(&[b'x'; 1000])
            .expect("the refused request can still be sent");
    }
}

#[test]
fn one_connection_serves_many_requests_however_they_are_cut() {
    let (_member, port) = managed("");
    let request = format!("HEAD /healthz HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    let last = request.replace("Host: a", "Host: a\r\nConnection: close");
    let bytes = request.repeat(20) + &last;
    for piece in [1, 7, 1000, bytes.len()] {
        let mut stream = connect(port);
        stream.set_nodelay(true).unwrap();
        for part in bytes.as_bytes().chunks(piece) {
            stream.write_all(part).unwrap();
        }
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        assert_eq!(
            answers.matches("HTTP/1.1 200 OK\r\n").count(),
            21,
            "in pieces of {piece}"
        );
        assert!(!answers.contains('{'), "the answer to HEAD has no body");
    }
}

#[test]
fn a_request_that_does_not_end_is_answered_408() {
    let (_member, port) = managed("");
    let mut stream = connect(port);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost:").unwrap();
    let began = Instant::now();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(status(&answer), 408);
    assert!(began.elapsed() < Duration::from_secs(8));
}

#[test]
fn slow_and_silent_clients_do_not_keep_others_out() {
    let _alone = alone();
    let (_member, port) = managed("");
    let mut slow: Vec<TcpStream> = (0..50).map(|_| connect(port)).collect();
    for stream in slow.iter_mut().step_by(2) {
        // The endpoint may already have closed it in favour of a later one.
        let _ = stream.write_all(b"GET /hea");
    }
    for _ in 0..20 {
        let began = Instant::now();
        assert_eq!(get(port, "/healthz").0, 200);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    drop(slow);
    assert_eq!(get(port, "/healthz").0, 200);
}

#[test]
fn the_agent_answers_while_the_app_computes_on_every_thread() {
    let _alone = alone();
    let (mut member, port) = managed("THEN=compute,DRAIN_SECONDS=0");
    for _ in 0..20 {
        let began = Instant::now();
        assert_eq!(get(port, "/healthz").0, 200);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    assert_eq!(ask(port, "POST", "/stop", TOKEN, "").0, 202);
    assert_eq!(member.wait().code(), Some(0));
}

#[test]
fn a_port_that_is_taken_leaves_the_endpoint_off_and_the_log_says_so() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut member = Member::start(&format!("MANAGEMENT_PORT={port},MANAGEMENT_TOKEN={TOKEN}"), |_| {});
    let (_, line) = member.wait_for("no management endpoint");
    assert_eq!(line["level"], "error", "{line}");
    assert!(line["msg"].as_str().unwrap().contains(&port.to_string()), "{line}");
    member.signal("TERM");
    assert_eq!(member.wait().code(), Some(0));
    // The member lived on without it.
    assert!(
        member.states().iter().any(|state| state == "Active"),
        "{:?}",
        member.log
    );
}
