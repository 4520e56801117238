//! Load by the usual tools, which have habits of their own.

use super::Service;
use anyhow::{Context, Result, bail, ensure};
use std::process::Command;

pub fn wrk_1(service: &Service) -> Result<String> {
    wrk(service, 1)
}

pub fn wrk_64(service: &Service) -> Result<String> {
    wrk(service, 64)
}

fn wrk(service: &Service, connections: u32) -> Result<String> {
    let seconds = service.load_seconds;
    let url = format!("http://{}/", service.address);
    let threads = connections.min(2);
    let options = [
        format!("-t{threads}"),
        format!("-c{connections}"),
        format!("-d{seconds}s"),
        "--timeout".into(),
    ];
    let output = run(seconds + 30, "wrk", &[&options[..], &["20s".into(), url]].concat())?;
    ensure!(!output.contains("Non-2xx"), "answers that are not 200\n{output}");
    let unheard = unheard(&output)?;
    let allowed = if service.behind_qemu { connections / 4 } else { 0 };
    ensure!(
        unheard <= allowed,
        "{unheard} of {connections} connections were not heard\n{output}"
    );
    let rate: f64 = number(&output, "Requests/sec:")?;
    ensure!(rate > 0.0, "not one answer\n{output}");
    service.serves()?;
    let unheard = if unheard > 0 {
        format!(", {unheard} connections unheard in the host's queue")
    } else {
        String::new()
    };
    Ok(format!("{rate:.0} requests/s for {seconds} s{unheard}"))
}

/// How many connections got no answer within wrk's time-out. wrk opens them all at once, so the host's queue may overflow
/// and leave some half-open (see the module above); the machine itself leaves nobody unheard, as the suite `network` proves
/// without such a queue. No other socket error has such an excuse.
fn unheard(output: &str) -> Result<u32> {
    let Some(line) = output
        .lines()
        .find_map(|line| line.trim().strip_prefix("Socket errors: "))
    else {
        return Ok(0);
    };
    ensure!(
        line.starts_with("connect 0, read 0, write 0, "),
        "wrk reports {line}\n{output}"
    );
    number(&line.replace(", ", "\n"), "timeout")
}

/// Each request on a connection of its own, which the server closes (HTTP/1.0).
pub fn ab(service: &Service) -> Result<String> {
    let url = format!("http://{}/", service.address);
    let requests = 200 * service.load_seconds;
    let options = ["-q".into(), "-c8".into(), format!("-n{requests}"), "-s20".into(), url];
    let output = run(120, "ab", &options)?;
    let (complete, failed): (u64, u64) = (
        number(&output, "Complete requests:")?,
        number(&output, "Failed requests:")?,
    );
    ensure!(
        complete == requests && failed == 0,
        "{complete} of {requests} answered, {failed} failed\n{output}"
    );
    ensure!(!output.contains("Non-2xx"), "answers that are not 200\n{output}");
    service.serves()?;
    Ok(format!(
        "{requests} answered, {:.0} requests/s",
        number::<f64>(&output, "Requests per second:")?
    ))
}

/// Runs a program with a deadline and gives what it printed.
fn run(seconds: u64, program: &str, options: &[String]) -> Result<String> {
    let bounded = qemu::guard::bounded(seconds);
    let mut command = Command::new(&bounded[0]);
    command.args(&bounded[1..]).arg(program).args(options);
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    match output.status.code() {
        Some(0) => Ok(text),
        Some(127) => bail!("{program} is not installed; on Debian: apt-get install wrk apache2-utils"),
        Some(124) => bail!("{program} did not end within {seconds} s: {command:?}\n{text}"),
        _ => bail!("{program} failed: {command:?}\n{text}"),
    }
}

/// The number after `label` in a tool's report.
fn number<T: std::str::FromStr>(output: &str, label: &str) -> Result<T> {
    let line = output.lines().find_map(|line| line.trim().strip_prefix(label));
    let word = line.and_then(|rest| rest.split_whitespace().next());
    word.and_then(|word| word.parse().ok())
        .with_context(|| format!("no {label:?} in\n{output}"))
}
