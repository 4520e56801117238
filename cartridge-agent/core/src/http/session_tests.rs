use super::super::{Content, Method, Response};
use super::*;
use std::string::{String, ToString};
use std::vec::Vec;

/// What a session makes of `input` when it comes in pieces of `piece` bytes: one word for each request or refusal.
fn outcome(input: &[u8], piece: usize) -> Vec<String> {
    let mut session = Session::new(Duration::ZERO);
    let mut left = input;
    let mut seen = Vec::new();
    loop {
        match session.step() {
            Step::Read(_) if left.is_empty() => return seen,
            Step::Read(_) => {
                let room = session.room();
                let count = piece.min(left.len()).min(room.len());
                assert!(count > 0, "told to read without room");
                room[..count].copy_from_slice(&left[..count]);
                left = &left[count..];
                session.received(count, Duration::ZERO);
            }
            Step::Answer(request) => {
                let body = String::from_utf8_lossy(request.body).to_string();
                let keep = if request.keep_alive { "keep" } else { "close" };
                seen.push(std::format!("{:?} {} {body}{keep}", request.method, request.path));
                session.answered(Duration::ZERO);
            }
            Step::Continue => seen.push("continue".to_string()),
            Step::Refuse(status) => {
                seen.push(status.line()[..3].to_string());
                return seen;
            }
        }
    }
}

#[test]
fn requests_are_read_however_they_are_cut() {
    let input = b"\r\nGET /healthz?x=1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /stop HTTP/1.1\r\nhost: a\r\nContent-Length: 3\r\n\r\nabc\
        HEAD http://a/readyz HTTP/1.1\r\nHost:a\r\nConnection: x, Close\r\n\r\nGET / HTTP/1.0\r\n\r\nPUT * HTTP/1.0\nConnection: keep-alive\n\n\
        GET http://a?b/c HTTP/1.0\n\n";
    for piece in 1..=input.len() {
        assert_eq!(
            outcome(input, piece),
            [
                "Get /healthz keep",
                "Post /stop abckeep",
                "Head /readyz close",
                "Get / close",
                "Other * keep",
                "Get / close"
            ],
            "in pieces of {piece}"
        );
    }
}

#[test]
fn doubtful_requests_are_refused() {
    let long = std::format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(HEAD_LIMIT));
    let many = std::format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(40));
    for (input, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("rubbish\r\n\r\n", "400"),
        ("\x16\x03\x01\x02\x00\n\n", "400"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\u{0}\r\n\r\n", "400"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "400"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "400",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n", "413"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            "413",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "411",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            "400",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
            "400",
        ),
        (&long, "431"),
        (&many, "431"),
        (&"x".repeat(HEAD_LIMIT + BODY_LIMIT), "431"),
    ] {
        for piece in [1, 7, input.len()] {
            assert_eq!(outcome(input.as_bytes(), piece), [status], "{input:.80}");
        }
    }
}

#[test]
fn a_client_that_waits_for_continue_is_told_once() {
    let head = b"POST /stop HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(outcome(head, 1), ["continue", "Post /stop {}keep"]);
    assert_eq!(outcome(head, head.len()), ["Post /stop {}keep"]);
}

#[test]
fn tokens_are_read_from_the_bearer_scheme_only() {
    for (field, token) in [
        ("Authorization: Bearer abc", Some(&b"abc"[..])),
        ("authorization: bEARER abc ", Some(b"abc")),
        ("Authorization: Basic abc", None),
        ("Authorization: Bearer", None),
        ("X: y", None),
    ] {
        let input = std::format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
        let mut session = Session::new(Duration::ZERO);
        session.room()[..input.len()].copy_from_slice(input.as_bytes());
        session.received(input.len(), Duration::ZERO);
        let Step::Answer(request) = session.step() else {
            panic!("no request")
        };
        assert_eq!((request.token, request.method), (token, Method::Get), "{field}");
    }
}

#[test]
fn a_slow_client_cannot_move_its_deadline() {
    let mut session = Session::new(Duration::ZERO);
    assert!(matches!(session.step(), Step::Read(until) if until == HEAD_TIMEOUT));
    for second in 1..5 {
        session.room()[0] = b'G';
        session.received(1, Duration::from_secs(second));
        assert!(matches!(session.step(), Step::Read(until) if until == Duration::from_secs(1) + HEAD_TIMEOUT));
    }
    assert_eq!(session.timed_out(), Some(Status::RequestTimeout));
    assert_eq!(Session::new(Duration::ZERO).timed_out(), None);
}

#[test]
fn a_head_that_is_too_large_is_refused_as_such_however_it_is_cut() {
    let bad = std::format!("GET / HTTP/1.1\r\nno colon\r\n{}\r\n\r\n", "x".repeat(HEAD_LIMIT));
    for piece in [1, 1000, bad.len()] {
        assert_eq!(outcome(bad.as_bytes(), piece), ["431"], "in pieces of {piece}");
    }
    let whole = std::format!("GET /{} HTTP/1.0\r\n\r\n", "x".repeat(HEAD_LIMIT - 18));
    assert_eq!(whole.len(), HEAD_LIMIT);
    for piece in [1, 1000, whole.len()] {
        assert!(
            outcome(whole.as_bytes(), piece)[0].starts_with("Get "),
            "in pieces of {piece}"
        );
    }
}

#[test]
fn a_connection_may_idle_between_requests() {
    let mut session = Session::new(Duration::ZERO);
    let input = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    session.room()[..input.len()].copy_from_slice(input);
    session.received(input.len(), Duration::ZERO);
    assert!(matches!(session.step(), Step::Answer(_)));
    session.answered(Duration::from_secs(1));
    assert!(matches!(session.step(), Step::Read(until) if until == Duration::from_secs(1) + IDLE_TIMEOUT));
    assert_eq!(session.timed_out(), None);
}

#[test]
fn any_bytes_are_read_without_panic() {
    const PARTS: [&str; 16] = [
        "GET ",
        "POST ",
        "/",
        " HTTP/1.1",
        " HTTP/1.0",
        "\r\n",
        "\n",
        "Host: a",
        "Content-Length: ",
        "5",
        "\0",
        "\u{20ac}",
        "Connection: close",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
        "Authorization: Bearer x",
    ];
    let mut random = 88_172_645_463_325_252_u64;
    for _ in 0..20_000 {
        let mut input = String::new();
        for _ in 0..24 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            input.push_str(PARTS[(random >> 40) as usize % PARTS.len()]);
        }
        let whole = outcome(input.as_bytes(), input.len());
        let cut = outcome(input.as_bytes(), 1 + (random >> 50) as usize % 9);
        let without_continue = |seen: Vec<String>| seen.into_iter().filter(|it| it != "continue").collect::<Vec<_>>();
        assert_eq!(without_continue(whole), without_continue(cut), "{input:?}");
    }
}

#[test]
fn answers_have_their_length_and_head_answers_no_body() {
    let response = Response {
        status: Status::NotFound,
        content: Content::Text,
        body: b"no such page\n",
        field: "",
    };
    let mut out = [0u8; 512];
    let mut left = &mut out[..];
    response.write(&mut left, true, true).unwrap();
    let length = 512 - left.len();
    assert_eq!(
        std::str::from_utf8(&out[..length]).unwrap(),
        "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n\
         Cache-Control: no-store\r\n\r\nno such page\n"
    );
    let mut left = &mut out[..];
    response.write(&mut left, false, false).unwrap();
    let length = 512 - left.len();
    assert!(out[..length].ends_with(b"Content-Length: 13\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"));
}
