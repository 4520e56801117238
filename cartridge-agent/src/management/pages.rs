//! What the pages say.

use crate::shared::Shared;
use crate::{log, runner};
use cartridge_agent_core::http::{Content, Method, Request, Response, Status};
use cartridge_agent_core::lifecycle::State;
use cartridge_agent_core::machine::{Cause, Missing};
use cartridge_agent_core::management::{Page, StopOptions, route, state_body};
use cartridge_agent_core::metrics::{self, Figures};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The `stats` file is short.
const STATS_LIMIT: usize = 16 * 1024;

/// At most this much of the log is served.
const LOG_LIMIT: usize = 1024 * 1024;

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
pub fn answer(shared: &Shared, request: &Request<'_>, token: &str, out: &mut Vec<u8>) -> After {
    shared.answered.fetch_add(1, Ordering::Relaxed);
    let mut after = After::Nothing;
    let mut buffer = [0; 1024];
    let text;
    let response = match route(request, token) {
        Err(refusal) => refusal,
        Ok(Page::Health) => json(Status::Ok, state_body(shared.state(), None, &mut buffer)),
        Ok(Page::Ready) => {
            let missing = missing(shared);
            let ready = missing.is_none() && shared.state() == State::Active;
            let status = if ready { Status::Ok } else { Status::ServiceUnavailable };
            json(status, state_body(shared.state(), missing.as_ref(), &mut buffer))
        }
        Ok(Page::Metrics) => {
            text = figures(shared).into_bytes();
            Response {
                status: Status::Ok,
                content: Content::Metrics,
                body: &text,
                field: "",
            }
        }
        Ok(Page::Logs) => match shared.files.read("log", LOG_LIMIT) {
            Some(Err(error)) => {
                text = format!("the log cannot be read: {error}\n").into_bytes();
                Response {
                    status: Status::ServiceUnavailable,
                    content: Content::Text,
                    body: &text,
                    field: "",
                }
            }
            Some(Ok(log)) => {
                text = log;
                Response {
                    status: Status::Ok,
                    content: Content::Text,
                    body: &text,
                    field: "",
                }
            }
            None => {
                text = log::kept().unwrap_or_default();
                Response {
                    status: Status::Ok,
                    content: Content::Text,
                    body: &text,
                    field: "",
                }
            }
        },
        Ok(Page::Stop(options)) => {
            after = After::Stop(options);
            json(Status::Accepted, state_body(shared.state(), None, &mut buffer))
        }
    };
    let Ok(()) = response.write(out, request.method != Method::Head, request.keep_alive);
    after
}

fn json(status: Status, body: &[u8]) -> Response<'_> {
    Response {
        status,
        content: Content::Json,
        body,
        field: "",
    }
}

/// What the member lacks at this moment: in state Active too, a port can close again.
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
    };
    (!missing.is_nothing()).then_some(missing)
}

fn figures(shared: &Shared) -> String {
    let stats = match shared.files.read("stats", STATS_LIMIT) {
        Some(Ok(stats)) => String::from_utf8(stats).unwrap_or_default(),
        _ => String::new(),
    };
    let figures = Figures {
        name: shared.settings.name,
        version: shared.settings.version,
        state: shared.state(),
        uptime: shared.now(),
        requests: shared.answered.load(Ordering::Relaxed),
        holds: shared.holds.load(Ordering::Relaxed),
        log_lines: log::written(),
    };
    let mut page = String::new();
    // Writing to a String does not fail.
    let _ = metrics::write(&mut page, &figures, &stats);
    page
}
