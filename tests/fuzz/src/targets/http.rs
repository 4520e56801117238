//! HTTP: requests to the management endpoint, and answers to the client.

use crate::bounds::heap_at_most;
use crate::script::{Script, pieces};
use cartridge_agent_core::http::client::{Exchange, Fault, Request, Url, is_redirect, redirected};
use cartridge_agent_core::http::{BODY_LIMIT, HEAD_LIMIT, Response, Session, Status, Step};
use cartridge_agent_core::management::{Page, route};
use std::time::Duration;

const TOKEN: &str = "0123456789abcdef";

/// The first byte says how the rest is cut into pieces.
pub fn requests(input: &[u8]) {
    let mut script = Script::new(input);
    let how = script.byte();
    let bytes = script.rest();
    let cut = requests_in(pieces(bytes, how));
    assert_eq!(
        requests_in(core::iter::once(bytes)),
        cut,
        "in pieces it is something else"
    );
}

/// What a session makes of the bytes: for each request its method, path, token, body and the status of its answer; a refusal at
/// the end if there was one.
fn requests_in<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let mut session = Session::new(Duration::ZERO);
    let mut seen = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            if !answer_all(&mut session, &mut seen) {
                return seen;
            }
            let room = session.room();
            assert!(!room.is_empty(), "told to read without room");
            let (now, rest) = piece.split_at(piece.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            session.received(now.len(), Duration::ZERO);
            piece = rest;
        }
    }
    answer_all(&mut session, &mut seen);
    seen
}

/// False when the connection is to be closed.
fn answer_all(session: &mut Session, seen: &mut Vec<String>) -> bool {
    let mut told_to_go_on = 0;
    loop {
        match session.step() {
            Step::Read(until) => {
                assert!(until <= Duration::from_secs(30));
                return true;
            }
            Step::Continue => {
                told_to_go_on += 1;
                assert!(told_to_go_on == 1, "100 Continue without end");
            }
            Step::Refuse(status) => {
                seen.push(status.line().into());
                return false;
            }
            Step::Answer(request) => {
                assert!(request.path.len() <= HEAD_LIMIT && request.body.len() <= BODY_LIMIT);
                let status = status(&request);
                seen.push(format!(
                    "{:?} {} {:?} {:?} {} {}",
                    request.method,
                    request.path,
                    request.token,
                    request.body,
                    request.keep_alive,
                    status.line()
                ));
                session.answered(Duration::ZERO);
                told_to_go_on = 0;
            }
        }
    }
}

/// The status of the answer, which is written as it would be.
fn status(request: &cartridge_agent_core::http::Request<'_>) -> Status {
    heap_at_most(0, || {
        let page = route(request, TOKEN);
        if let Ok(page) = &page {
            assert_eq!(request.token, Some(TOKEN.as_bytes()), "a stranger is let in");
            if let Page::Stop(options) = page {
                assert!(options.drain.is_none_or(|drain| drain <= Duration::from_secs(3600)));
            }
            return Status::Ok;
        }
        let refusal: Response<'_> = page.expect_err("it is one");
        let mut buffer = [0; 512];
        let mut room = &mut buffer[..];
        refusal
            .write(&mut room, true, request.keep_alive)
            .unwrap_or_else(|_| panic!("an answer above 512 bytes"));
        refusal.status
    })
}

/// So many bytes of a body are taken.
const BODY: u64 = 2000;

/// Where the answers come from.
const ASKED: &str = "http://server.example:8080/start?x=1";

/// The first byte says how the rest is cut into pieces.
pub fn answers(input: &[u8]) {
    let mut script = Script::new(input);
    let how = script.byte();
    let bytes = script.rest();
    let mut body = Vec::new();
    let (result, exchange) = answer_in(pieces(bytes, how), &mut body);
    let mut whole_body = Vec::new();
    let (whole, _) = answer_in(core::iter::once(bytes), &mut whole_body);
    assert_eq!(result, whole, "in pieces it is something else");
    if result.is_ok() {
        assert_eq!(body, whole_body);
    }
    if is_redirect(exchange.status())
        && let Some(location) = exchange.location()
    {
        follow(location);
    }
    if let Ok(text) = core::str::from_utf8(bytes) {
        follow(text);
        heap_at_most(0, || Url::host_and_port(text));
    }
}

fn answer_in<'a>(pieces: impl Iterator<Item = &'a [u8]>, body: &mut Vec<u8>) -> (Result<(), Fault>, Exchange) {
    let mut exchange = Exchange::new(BODY);
    body.reserve(BODY as usize + 1);
    let result = heap_at_most(0, || {
        for piece in pieces {
            exchange.receive(piece, &mut |part| {
                assert!(body.len() + part.len() <= BODY as usize, "more of a body than is taken");
                body.extend_from_slice(part);
                true
            })?;
        }
        exchange.ended()
    });
    assert!(
        body.is_empty() || (200..300).contains(&exchange.status()),
        "a body that is not to be read"
    );
    (result, exchange)
}

/// A redirect stays on its host, and what it leads to can be written as one request line.
fn follow(location: &str) {
    let asked = Url::parse(ASKED).expect("it is good");
    let Ok(target) = heap_at_most(0, || redirected(location, &asked)) else {
        return;
    };
    assert!(target.is_empty() || target.starts_with('/') && !target.starts_with("//") || target.starts_with('?'));
    let request = Request {
        method: "GET",
        url: Url { target, ..asked },
        fields: &[("Authorization", ["Basic ", "dTpw"])],
    };
    let mut text = String::new();
    if request.write(&mut |part| text.push_str(part)).is_ok() {
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(lines.len(), 8, "a line was smuggled in: {text:?}");
        assert_eq!(lines[1], "Host: server.example:8080");
        assert_eq!(lines[0].split(' ').count(), 3);
    }
}
