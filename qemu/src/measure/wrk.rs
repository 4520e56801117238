//! The load generator wrk, and what it prints.

use std::net::SocketAddr;

use xshell::{Shell, cmd};

use crate::error::{Error, Reason};
use crate::guard;
use crate::plugin::tool;

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub requests: u64,
    pub requests_per_second: f64,
    pub latency_p50_ms: f64,
    pub latency_p99_ms: f64,
    /// Connections that failed and answers that were not 2xx or 3xx.
    pub errors: u64,
}

/// `clients` keep-alive connections for `seconds`.
pub(super) fn run(address: SocketAddr, path: &str, clients: u32, seconds: u32) -> Result<Run, Error> {
    guard::require("wrk", "install it (Debian: apt-get install wrk)")?;
    let shell = Shell::new().map_err(tool("wrk"))?;
    let (clients, duration, url) = (
        clients.to_string(),
        format!("{seconds}s"),
        format!("http://{address}{path}"),
    );
    guard::require(guard::TIED[0], guard::SETPRIV_HINT)?;
    let bounded = guard::bounded(u64::from(seconds) + 30);
    let (first, bounded) = (&bounded[0], &bounded[1..]);
    let command = cmd!(
        shell,
        "{first} {bounded...} wrk -t1 -c {clients} -d {duration} --latency {url}"
    )
    .quiet();
    let output = command.ignore_stderr().read().map_err(tool("wrk"))?;
    parse(&output).ok_or_else(|| {
        Reason::Tool {
            program: "wrk".to_owned(),
            output,
        }
        .into()
    })
}

fn parse(output: &str) -> Option<Run> {
    let after = |word: &str| {
        output
            .lines()
            .find_map(|line| line.trim().strip_prefix(word))
            .map(str::trim)
    };
    let requests = output
        .lines()
        .find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok())?;
    // "connect 0, read 3, write 0, timeout 1"
    let socket_errors = after("Socket errors:").map_or(0, |text| {
        text.split(|byte: char| !byte.is_ascii_digit())
            .filter_map(|word| word.parse::<u64>().ok())
            .sum()
    });
    let bad_answers: u64 = after("Non-2xx or 3xx responses:")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    Some(Run {
        requests,
        requests_per_second: after("Requests/sec:")?.parse().ok()?,
        latency_p50_ms: time_ms(after("50%")?)?,
        latency_p99_ms: time_ms(after("99%")?)?,
        errors: socket_errors + bad_answers,
    })
}

/// wrk's times: `812.00us`, `1.20ms`, `2.01s`, `1.02m`.
fn time_ms(text: &str) -> Option<f64> {
    let units = [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)];
    units
        .iter()
        .find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
        .map(|value| (value * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_wrk_is_read() {
        let output = "Running 5s test @ http://127.0.0.1:1/\n  Latency Distribution\n     50%  812.00us\n     99%    1.50ms\n  \
                      45230 requests in 5.00s, 5.95MB read\n  Socket errors: connect 0, read 2, write 0, timeout 1\n\
                      Requests/sec:   9045.12\nTransfer/sec:      1.19MB\n";
        let run = parse(output).unwrap();
        assert_eq!((run.requests, run.errors), (45230, 3));
        assert_eq!((run.latency_p50_ms, run.latency_p99_ms), (0.812, 1.5));
        assert_eq!(parse("wrk: unable to connect"), None);
    }
}
