//! One attempt to fetch an artifact: from its URL to a folder with its files, in bounded memory.

use super::archive::{Folder, Limits, Problem, Unpacked, Unpacker};
use super::digest::{Digest, Digester};
use super::location::{self, Location};
use crate::fetch;
use cartridge_agent_core::http::client::{Exchange, Fault, Request, Url, is_redirect};
use std::path::Path;
use std::time::{Duration, Instant};

/// For the connection to one address.
const CONNECT: Duration = Duration::from_secs(10);
/// For a server to send nothing.
const SILENCE: Duration = Duration::from_secs(30);
/// For everything.
const WHOLE: Duration = Duration::from_secs(600);
/// Redirects followed: forges need one or two.
const REDIRECTS: usize = 5;

/// Why there is no new version.
#[derive(Debug)]
pub enum Failure {
    /// Trying again would not help.
    Final(String),
    /// It may be there later.
    Later(String),
    /// It is not wanted any more.
    Overtaken,
}

/// Fetches and unpacks into a new folder in `place`, as long as `is_wanted`.
pub fn download(
    location: &Location,
    limits: Limits,
    place: &Path,
    is_wanted: &dyn Fn() -> bool,
) -> Result<(Digest, Unpacked), Failure> {
    let unpacker = Unpacker::new(Folder::new(place, limits).map_err(refused)?);
    let mut taker = Taker {
        unpacker,
        digester: Digester::default(),
        problem: None,
        is_wanted,
    };
    get(location, limits, &mut taker)?;
    let digest = taker.digester.finish();
    if let Some(wanted) = location.digest
        && wanted != digest
    {
        return Err(Failure::Final(format!("its SHA-256 is {digest} and not {wanted}")));
    }
    Ok((digest, taker.unpacker.finish().map_err(refused)?))
}

/// Where the body of the answer goes.
struct Taker<'a> {
    unpacker: Unpacker,
    digester: Digester,
    problem: Option<Problem>,
    is_wanted: &'a dyn Fn() -> bool,
}

impl Taker<'_> {
    /// False when no more is wanted.
    fn take(&mut self, piece: &[u8]) -> bool {
        self.digester.take(piece);
        self.problem = self.unpacker.take(piece).err();
        self.problem.is_none() && (self.is_wanted)()
    }
}

fn get(location: &Location, limits: Limits, taker: &mut Taker<'_>) -> Result<(), Failure> {
    let end = Instant::now() + WHOLE;
    let limits = fetch::Limits {
        connect: CONNECT,
        silence: SILENCE,
        end,
        body: limits.bytes,
    };
    let home = parse(&location.url)?;
    let mut here = location.url.clone();
    for _ in 0..=REDIRECTS {
        let url = parse(&here)?;
        let is_home = url.host.eq_ignore_ascii_case(home.host) && url.port == home.port;
        let credentials = location.credentials.as_deref().filter(|_| is_home);
        let field = [("Authorization", ["Basic ", credentials.unwrap_or_default()])];
        let request = Request {
            method: "GET",
            url,
            fields: if credentials.is_some() { &field } else { &[] },
        };
        let exchange = match fetch::ask(&request, &limits, &mut |piece| taker.take(piece)) {
            Ok(exchange) => exchange,
            Err(fault) => return Err(failed(fault, limits.body, taker)),
        };
        match exchange.location() {
            Some(to) if is_redirect(exchange.status()) => {
                let to = location::redirected(&url, to).map_err(|why| Failure::Final(why.into()))?;
                here = to;
            }
            _ => return judge(&exchange, location.credentials.is_some()),
        }
    }
    Err(Failure::Final("it is redirected more than 5 times".into()))
}

fn parse(url: &str) -> Result<Url<'_>, Failure> {
    Url::parse(url).ok_or_else(|| Failure::Final("it is redirected to what is no URL".into()))
}

/// What the status of an answer means.
fn judge(exchange: &Exchange, has_credentials: bool) -> Result<(), Failure> {
    let status = exchange.status();
    let hint = match status {
        200 => return Ok(()),
        401 if has_credentials => ": user name or password are refused",
        401 => ": it needs a user name and a password",
        403 => ": it may not be read with these credentials",
        404 | 410 => ": it is not there (some forges say so of what may not be read)",
        _ => "",
    };
    let text = format!("the server answers {status}{hint}");
    Err(match status {
        408 | 429 | 500..=599 => Failure::Later(text),
        _ => Failure::Final(text),
    })
}

fn failed(fault: Fault, limit: u64, taker: &mut Taker<'_>) -> Failure {
    match (fault, taker.problem.take()) {
        (_, Some(problem)) => refused(problem),
        (Fault::NotWanted, None) => Failure::Overtaken,
        (Fault::BodyTooLarge, None) => Failure::Final(format!(
            "it is larger than {limit} bytes; artifact.limit.mib sets another limit"
        )),
        (fault, None) if fault.may_pass() => Failure::Later(fault.text().into()),
        (fault, None) => Failure::Final(fault.text().into()),
    }
}

fn refused(problem: Problem) -> Failure {
    match problem {
        // It may just be being written.
        Problem::Truncated => Failure::Later(problem.to_string()),
        _ => Failure::Final(problem.to_string()),
    }
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
