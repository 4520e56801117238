//! What the pages say.

use crate::shared::Shared;
use crate::{log, runner};
use cartridge_agent_core::http::{Content, Method, Request, Response, Status};
use cartridge_agent_core::lifecycle::State;
use cartridge_agent_core::machine::{Cause, Missing};
use cartridge_agent_core::management::{Page, StopOptions, route, state_body};
use cartridge_agent_core::metrics::{self, Figures};
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The `stats` file is short.
const STATS_LIMIT: usize = 16 * 1024;

/// At most this much of the log is served.
const LOG_LIMIT: u32 = 1024 * 1024;

/// How long /readyz looks at ports; those it has not come to by then count as missing.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

/// What is done after the answer was sent.
pub enum After {
    Nothing,
    Stop(StopOptions),
}

impl After {
    pub fn act(self, shared: &Shared) {
        if let After::Stop(options) = self {
            shared.request_stop(Cause::Management, options.status.into(), options.drain);
        }
    }
}

/// Writes the answer to `request` to `out`.
#[inline(never)]
pub fn answer(shared: &Shared, request: &Request<'_>, token: &str, out: &mut Vec<u8>) -> After {
    shared.answered.fetch_add(1, Ordering::Relaxed);
    let mut after = After::Nothing;
    let mut buffer = [0; 1024];
    let (mut status, mut content, mut missed) = (Status::Ok, Content::Json, None);
    let mut text = None;
    match route(request, token) {
        Err(refusal) => return respond(out, request, &refusal),
        Ok(Page::Health) => {}
        Ok(Page::Ready) => {
            missed = missing(shared);
            if missed.is_some() || shared.state() != State::Active {
                status = Status::ServiceUnavailable;
            }
        }
        Ok(Page::Metrics) => {
            content = Content::Metrics;
            text = Some(figures(shared));
        }
        Ok(Page::Logs) => {
            content = Content::Text;
            text = Some(match shared.files.read_end("log", LOG_LIMIT) {
                Some(Ok(log)) => log,
                None => log::kept().unwrap_or_default(),
                Some(Err(_)) => {
                    status = Status::ServiceUnavailable;
                    Vec::from(&b"the log cannot be read\n"[..])
                }
            });
        }
        Ok(Page::Stop(options)) => {
            status = Status::Accepted;
            after = After::Stop(options);
        }
    }
    let body = match &text {
        Some(text) => text,
        None => state_body(shared.state(), missed.as_ref(), &mut buffer),
    };
    let response = Response {
        status,
        content,
        body,
        field: "",
    };
    respond(out, request, &response);
    after
}

#[inline(never)]
fn respond(out: &mut Vec<u8>, request: &Request<'_>, response: &Response<'_>) -> After {
    let Ok(()) = response.write(out, request.method != Method::Head, request.keep_alive);
    After::Nothing
}

/// What the member lacks at this moment: in state Active too, a port can close again.
#[inline(never)]
fn missing(shared: &Shared) -> Option<Missing> {
    let until = Instant::now() + READY_TIMEOUT;
    let ports = shared.settings.ports;
    let watched = !ports.as_slice().is_empty();
    let missing = Missing {
        network: if watched {
            runner::network(shared)
        } else {
            cartridge_agent_core::network::NetworkState::Up
        },
        ports: ports.without(|index| Instant::now() < until && runner::accepts(ports.as_slice()[index])),
        #[cfg(feature = "artifacts")]
        artifact: crate::artifacts::is_awaited(),
        #[cfg(not(feature = "artifacts"))]
        artifact: false,
    };
    (!missing.is_nothing()).then_some(missing)
}

#[inline(never)]
fn figures(shared: &Shared) -> Vec<u8> {
    let stats = shared.files.read("stats", STATS_LIMIT).and_then(Result::ok);
    let stats = stats.unwrap_or_default();
    let figures = Figures {
        name: shared.settings.name,
        version: shared.settings.version,
        state: shared.state(),
        uptime: shared.now(),
        requests: shared.answered.load(Ordering::Relaxed),
        holds: shared.holds.load(Ordering::Relaxed),
        log_lines: log::written(),
    };
    let mut page = Bytes(Vec::new());
    // Writing to memory does not fail.
    let _ = metrics::write(&mut page, &figures, std::str::from_utf8(&stats).unwrap_or_default());
    page.0
}

/// Text as bytes.
struct Bytes(Vec<u8>);

impl fmt::Write for Bytes {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
