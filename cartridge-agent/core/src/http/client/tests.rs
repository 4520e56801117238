use super::*;
use std::format;
use std::string::String;
use std::vec::Vec;

const LIMIT: u64 = 1000;

/// Status and body of the answer `text`, given in pieces of `step` bytes, and whether the connection had to end for it.
fn read_in_steps(text: &[u8], step: usize) -> Result<(u16, Vec<u8>, bool), Fault> {
    let mut exchange = Exchange::new(LIMIT);
    let mut body = Vec::new();
    for piece in text.chunks(step) {
        exchange.receive(piece, &mut |piece| {
            body.extend_from_slice(piece);
            true
        })?;
    }
    let complete = exchange.is_complete();
    exchange.ended()?;
    Ok((exchange.status(), body, complete))
}

/// As [`read_in_steps`], the same however the answer is cut.
fn read(text: impl AsRef<[u8]>) -> Result<(u16, Vec<u8>, bool), Fault> {
    let text = text.as_ref();
    let whole = read_in_steps(text, text.len().max(1));
    for step in [1, 2, 3, 7] {
        assert_eq!(read_in_steps(text, step), whole, "{}", String::from_utf8_lossy(text));
    }
    whole
}

fn body(text: impl AsRef<[u8]>) -> Result<String, Fault> {
    read(text).map(|(_, body, _)| String::from_utf8(body).unwrap())
}

#[test]
fn bodies_of_every_framing_arrive_whole() {
    let sized = "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(read(sized), Ok((200, b"hello".to_vec(), true)));
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3;a=\"b\"\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n";
    assert_eq!(read(chunked), Ok((200, b"hello".to_vec(), true)));
    let to_the_end = "HTTP/1.0 200\n\nhello\n0\r\n\r\n";
    assert_eq!(read(to_the_end), Ok((200, b"hello\n0\r\n\r\n".to_vec(), false)));
    assert_eq!(
        read("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        Ok((200, Vec::new(), true))
    );
    assert_eq!(read("HTTP/1.1 204 No Content\r\n\r\n"), Ok((204, Vec::new(), true)));
    let interim = format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 3\r\n\r\n{sized}");
    assert_eq!(read(interim), Ok((200, b"hello".to_vec(), true)));
}

#[test]
fn the_body_of_an_answer_that_is_no_success_is_not_read() {
    for status in [301, 401, 404, 500] {
        let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 10000000\r\n\r\npage");
        assert_eq!(read(text), Ok((status, Vec::new(), true)));
    }
}

#[test]
fn what_is_not_the_answer_any_more_is_dropped() {
    assert_eq!(
        body("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\nmore"),
        Ok("ok".into())
    );
}

#[test]
fn an_answer_that_is_cut_off_anywhere_is_told_from_a_whole_one() {
    for text in [
        "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    ] {
        for end in 0..text.len() {
            assert_eq!(body(&text[..end]), Err(Fault::CutOff), "{:?}", &text[..end]);
        }
    }
}

#[test]
fn what_is_not_http_or_doubtful_is_refused() {
    for text in [
        "\r\n",
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 20\r\n\r\n",
        "HTTP/1.1 099 X\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
    ] {
        assert_eq!(body(text), Err(Fault::Malformed), "{text:?}");
    }
}

#[test]
fn heads_lines_and_bodies_are_bounded() {
    let long = "x".repeat(2 * LINE_LIMIT);
    let ok = "\r\nContent-Length: 2\r\n\r\nok";
    // One long field that does not count is no reason to refuse.
    assert_eq!(
        body(format!("HTTP/1.1 200 OK\r\nContent-Security-Policy: {long}{ok}")),
        Ok("ok".into())
    );
    assert_eq!(body(format!("HTTP/1.1 200 {long}{ok}")), Err(Fault::Malformed));
    assert_eq!(
        body(format!("HTTP/1.1 302 X\r\nLocation: /{long}{ok}")),
        Err(Fault::HeadTooLarge)
    );
    assert_eq!(
        body(format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(FIELDS_LIMIT))),
        Err(Fault::HeadTooLarge)
    );
    assert_eq!(
        body("HTTP/1.1 103 X\r\n\r\n".repeat(FIELDS_LIMIT)),
        Err(Fault::HeadTooLarge)
    );
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(
        body(format!("{chunked}0\r\n{}", "a: b\r\n".repeat(FIELDS_LIMIT))),
        Err(Fault::HeadTooLarge)
    );
    assert_eq!(
        body(format!("{chunked}1;{long}\r\nx\r\n0\r\n\r\n")),
        Err(Fault::Malformed)
    );
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n".into(),
        format!("{chunked}a00000\r\n"),
        format!("{chunked}fffffffffffffff\r\n"),
        format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(LIMIT as usize + 1)),
        format!("{chunked}{}", "1\r\nx\r\n".repeat(LIMIT as usize + 1)),
    ] {
        assert_eq!(body(text), Err(Fault::BodyTooLarge));
    }
    assert!(body(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(LIMIT as usize))).is_ok());
}

#[test]
fn a_caller_that_wants_no_more_ends_the_exchange() {
    let mut exchange = Exchange::new(LIMIT);
    let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(exchange.receive(text, &mut |_| false), Err(Fault::NotWanted));
}

#[test]
fn no_bytes_make_a_reader_panic() {
    let mut state = 1u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let texts: [&[u8]; 2] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nLocation: /x\r\n\r\nhello",
        b"HTTP/1.1 302 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nT: x\r\n\r\n",
    ];
    for round in 0..20_000 {
        let mut text = texts[round % 2].to_vec();
        for _ in 0..next() % 4 {
            let at = next() as usize % text.len();
            text[at] = next() as u8;
        }
        let _ = read_in_steps(&text, 1 + next() as usize % 40);
    }
}

#[test]
fn urls_are_taken_apart() {
    let url = |text| Url::parse(text).map(|url| (url.host, url.port, url.target, url.user));
    assert_eq!(url("http://h"), Some(("h", 80, "", None)));
    assert_eq!(
        url("HTTP://h:8080/a/b?c=http://x@y#d"),
        Some(("h", 8080, "/a/b?c=http://x@y", None))
    );
    assert_eq!(
        url("http://u:p@ss@[fd00::1]:81?q"),
        Some(("fd00::1", 81, "?q", Some("u:p@ss")))
    );
    for text in [
        "",
        "h",
        "https://h/",
        "http://",
        "http://:80/",
        "http://h:0/",
        "http://h:65536/",
        "http://h:x/",
        "http://[::1",
        "http://[::1]x/",
    ] {
        assert!(Url::parse(text).is_none(), "{text}");
    }
    assert_eq!(Url::host_and_port("169.254.169.254"), Some(("169.254.169.254", 80)));
    assert_eq!(Url::host_and_port("fd00:ec2::254"), Some(("fd00:ec2::254", 80)));
}

#[test]
fn redirects_stay_on_their_host() {
    let url = Url::parse("http://h:81/a").unwrap();
    for (location, target) in [
        ("/b?c#d", "/b?c"),
        ("http://H:81/b", "/b"),
        ("http://h:81", ""),
        ("?x", "?x"),
    ] {
        assert_eq!(redirected(location, &url), Ok(target), "{location}");
    }
    for location in [
        "http://h/b",
        "http://x:81/b",
        "https://h:81/b",
        "//x/b",
        "b",
        "ftp://h:81/",
        "http://h:81x/",
    ] {
        assert_eq!(redirected(location, &url), Err(Fault::RedirectedAway), "{location}");
    }
    let mut exchange = Exchange::new(LIMIT);
    exchange
        .receive(b"HTTP/1.1 302 Found\r\nLocation:  /there \r\n\r\n", &mut |_| true)
        .unwrap();
    assert!(is_redirect(exchange.status()) && exchange.is_complete());
    assert_eq!(exchange.location(), Some("/there"));
}

fn written(url: &str, method: &'static str, fields: &[(&'static str, [&str; 2])]) -> Result<String, Fault> {
    let url = Url::parse(url).unwrap();
    let mut text = String::new();
    Request { method, url, fields }.write(&mut |part| text.push_str(part))?;
    Ok(text)
}

#[test]
fn requests_are_written_as_servers_want_them() {
    assert_eq!(
        written("http://u:p@h", "GET", &[("Authorization", ["Basic ", "dTpw"])]).unwrap(),
        "GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: cartridge-agent\r\nAccept: */*\r\nConnection: close\r\nAuthorization: Basic dTpw\r\n\r\n"
    );
    assert_eq!(
        written("http://[fd00::1]:81?q", "PUT", &[]).unwrap(),
        "PUT /?q HTTP/1.1\r\nHost: [fd00::1]:81\r\nUser-Agent: cartridge-agent\r\nAccept: */*\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn nothing_is_smuggled_into_a_request() {
    for url in [
        "http://h/a b",
        "http://h/\r\nX: y",
        "http://h\r\n/",
        "http://h/\u{e9}",
        "http://h\0/",
    ] {
        assert_eq!(written(url, "GET", &[]), Err(Fault::BadRequest), "{url:?}");
    }
    assert_eq!(
        written("http://h/", "GET", &[("X", ["a", "b\r\nY: z"])]),
        Err(Fault::BadRequest)
    );
}
