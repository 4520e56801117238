//! The pages of the management endpoint, and who may see them.

use crate::http::{Content, Method, Request, Response, Status};
use crate::lifecycle::State;
use crate::machine::Missing;
use crate::parameters::{Items, Parameters};
use crate::text::Message;
use core::time::Duration;
use serde::ser::{Serialize, SerializeMap, Serializer};
use subtle::ConstantTimeEq;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// GET /healthz: the agent is alive.
    Health,
    /// GET /readyz: the member is Active, and its ports accept connections now.
    Ready,
    /// GET /metrics: figures for Prometheus.
    Metrics,
    /// GET /logs: the end of the log.
    Logs,
    /// POST /stop: an ordered stop, with what the body says.
    Stop(StopOptions),
}

/// The body of POST /stop, each part optional, in the payload's format: `STATUS=0,DRAIN_SECONDS=5`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StopOptions {
    /// The exit status, 0 to 255.
    pub status: u8,
    /// How long the app may finish its work.
    pub drain: Option<Duration>,
}

/// The longest drain that may be asked for, in seconds; as DRAIN_SECONDS.
const DRAIN_LIMIT: u64 = 3600;

/// A refusal with nothing more to say than its status.
const fn refusal(status: Status, body: &'static [u8], field: &'static str) -> Response<'static> {
    Response {
        status,
        content: Content::Text,
        body,
        field,
    }
}

/// The page `request` asks for, if it has the token; nobody else learns which pages there are.
///
/// # Errors
/// The answer that refuses the request.
#[inline(never)]
pub fn route(request: &Request<'_>, token: &str) -> Result<Page, Response<'static>> {
    let admitted = request.token.is_some_and(|given| given.ct_eq(token.as_bytes()).into());
    if !admitted {
        let body = b"send the member's MANAGEMENT_TOKEN as Authorization: Bearer TOKEN\n";
        return Err(refusal(Status::Unauthorized, body, "WWW-Authenticate: Bearer\r\n"));
    }
    let page = match request.path {
        "/healthz" => Page::Health,
        "/readyz" => Page::Ready,
        "/metrics" => Page::Metrics,
        "/logs" => Page::Logs,
        "/stop" => {
            if request.method != Method::Post {
                return Err(refusal(Status::MethodNotAllowed, b"use POST\n", "Allow: POST\r\n"));
            }
            return stop_options(request.body).map(Page::Stop).ok_or(refusal(
                Status::BadRequest,
                b"the body is empty, or STATUS=0..255,DRAIN_SECONDS=0..3600, or one of them\n",
                "",
            ));
        }
        _ => {
            let body = b"pages: /healthz /readyz /metrics /logs, and POST /stop\n";
            return Err(refusal(Status::NotFound, body, ""));
        }
    };
    match request.method {
        Method::Get | Method::Head => Ok(page),
        _ => Err(refusal(
            Status::MethodNotAllowed,
            b"use GET or HEAD\n",
            "Allow: GET, HEAD\r\n",
        )),
    }
}

/// The body of /healthz and /readyz: `{"state":"Starting","reason":"..."}`, the reason only if something is missing.
#[inline(never)]
pub fn state_body<'b>(state: State, missing: Option<&Missing>, buffer: &'b mut [u8; 1024]) -> &'b [u8] {
    let reason = missing.map(Message::of);
    let body = StateBody {
        state: state.name(),
        reason: reason.as_ref().map(Message::as_str),
    };
    match serde_json_core::to_slice(&body, buffer) {
        Ok(length) => &buffer[..length],
        Err(_) => b"{}",
    }
}

struct StateBody<'a> {
    state: &'static str,
    reason: Option<&'a str>,
}

impl Serialize for StateBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("state", self.state)?;
        if let Some(reason) = self.reason {
            map.serialize_entry("reason", reason)?;
        }
        map.end()
    }
}

/// The options in `body`, launch-params text like the payload; `None` if something in it is not an option.
#[inline(never)]
fn stop_options(body: &[u8]) -> Option<StopOptions> {
    for item in Items::new(body) {
        item.ok().filter(|(key, _)| ["STATUS", "DRAIN_SECONDS"].contains(key))?;
    }
    let options = Parameters::new(b"", body);
    let status = options.number("STATUS").ok()?.unwrap_or(0);
    let drain = options.number("DRAIN_SECONDS").ok()?;
    Some(StopOptions {
        status: u8::try_from(status).ok()?,
        drain: drain.map(|seconds| Duration::from_secs(seconds.min(DRAIN_LIMIT))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::NetworkState;
    use crate::settings::Ports;

    const TOKEN: &str = "0123456789abcdef";

    fn ask(method: Method, path: &str, token: Option<&str>, body: &str) -> Result<Page, (Status, &'static str)> {
        let token = token.map(str::as_bytes);
        let request = Request {
            method,
            path,
            token,
            keep_alive: true,
            body: body.as_bytes(),
        };
        route(&request, TOKEN).map_err(|refusal| (refusal.status, refusal.field))
    }

    #[test]
    fn every_page_needs_the_whole_token() {
        for path in ["/healthz", "/readyz", "/metrics", "/logs", "/stop", "/elsewhere"] {
            for token in [
                None,
                Some(""),
                Some("0123456789abcde"),
                Some("0123456789abcdef0"),
                Some("0123456789abcdeF"),
            ] {
                let unauthorized = Err((Status::Unauthorized, "WWW-Authenticate: Bearer\r\n"));
                assert_eq!(ask(Method::Get, path, token, ""), unauthorized);
            }
        }
        assert_eq!(ask(Method::Get, "/healthz", Some(TOKEN), ""), Ok(Page::Health));
    }

    #[test]
    fn pages_and_methods() {
        let ask = |method, path| ask(method, path, Some(TOKEN), "");
        assert_eq!(ask(Method::Head, "/metrics"), Ok(Page::Metrics));
        assert_eq!(ask(Method::Get, "/logs"), Ok(Page::Logs));
        assert_eq!(ask(Method::Get, "/readyz"), Ok(Page::Ready));
        assert_eq!(
            ask(Method::Post, "/readyz"),
            Err((Status::MethodNotAllowed, "Allow: GET, HEAD\r\n"))
        );
        assert_eq!(
            ask(Method::Get, "/stop"),
            Err((Status::MethodNotAllowed, "Allow: POST\r\n"))
        );
        assert_eq!(ask(Method::Get, "/healthz/"), Err((Status::NotFound, "")));
    }

    #[test]
    fn bodies_say_what_is_missing() {
        let mut buffer = [0; 1024];
        assert_eq!(state_body(State::Active, None, &mut buffer), br#"{"state":"Active"}"#);
        let ports = Ports::parse("8080|9443").unwrap();
        let missing = Missing {
            network: NetworkState::Up,
            ports,
            artifact: false,
        };
        assert_eq!(
            std::str::from_utf8(state_body(State::Starting, Some(&missing), &mut buffer)).unwrap(),
            r#"{"state":"Starting","reason":"no connection accepted on port 8080, 9443"}"#
        );
        assert_eq!(
            state_body(
                State::Starting,
                Some(&Missing {
                    network: NetworkState::Absent,
                    ports,
                    artifact: true,
                }),
                &mut buffer
            )
            .last(),
            Some(&b'}')
        );
    }

    #[test]
    fn stop_takes_its_options_from_its_body() {
        let ask = |body| ask(Method::Post, "/stop", Some(TOKEN), body).map_err(|(status, _)| status);
        let stop = |status, seconds: Option<u64>| {
            Ok(Page::Stop(StopOptions {
                status,
                drain: seconds.map(Duration::from_secs),
            }))
        };
        assert_eq!(ask(""), stop(0, None));
        assert_eq!(ask(" \r\n"), stop(0, None));
        assert_eq!(ask("STATUS=3,DRAIN_SECONDS=0"), stop(3, Some(0)));
        assert_eq!(ask("DRAIN_SECONDS=9999\n"), stop(0, Some(3600)));
        for bad in [
            "{}",
            "STATUS=256",
            "STATUS=-1",
            "DRAIN_SECONDS=soon",
            "OTHER=1",
            "\u{0}",
        ] {
            assert_eq!(ask(bad), Err(Status::BadRequest), "{bad}");
        }
    }
}
