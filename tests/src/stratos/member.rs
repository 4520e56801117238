//! A member under test: the program `tests/cartridges/member` with a Stratos payload, in a virtual machine or as a process.

use super::feed::Feed;
use super::identity::{Brokers, Payload, SECRETS};
use super::mosquitto::PASSWORD;
use crate::clients::client::Answer;
use crate::image::image;
use crate::process::Process;
use crate::running::Running;
use crate::target::{Place, TOKEN, figures, manage};
use crate::{guest, port, signal};
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;
use tempfile::NamedTempFile;

const PROGRAM: &str = "tests/cartridges/member";
/// Ports inside a virtual machine.
const SERVICE_PORT: u16 = 8080;
const CONTROL_PORT: u16 = 8090;
const MANAGEMENT_PORT: u16 = 9100;
/// Until its program runs. A process may have to be compiled first.
const START_LIMIT: Duration = Duration::from_secs(120);
/// For an exchange with the program.
const LIMIT: Duration = Duration::from_secs(20);
/// Longest that one lives.
const DEADLINE: Duration = Duration::from_secs(300);

/// How a member is started.
#[derive(Debug, Clone)]
pub struct Setup {
    pub place: Place,
    /// Its MEMBER_ID.
    pub member: String,
    /// Ports of brokers on this host, in the order in which they are to be tried; a single one is named by MB_IP and MB_PORT.
    pub brokers: Vec<u16>,
    pub password: String,
    /// Without the identifiers that are optional.
    pub is_bare: bool,
    /// More launch parameters, each with a comma before it.
    pub parameters: String,
    /// More arguments for QEMU.
    pub qemu: Vec<String>,
    /// Has QEMU count instructions.
    pub counts: bool,
}

impl Setup {
    pub fn new(place: Place, member: &str, broker: u16) -> Setup {
        Setup {
            place,
            member: member.into(),
            brokers: vec![broker],
            password: PASSWORD.into(),
            is_bare: false,
            parameters: String::new(),
            qemu: Vec::new(),
            counts: false,
        }
    }

    fn payload(&self, rest: &str) -> NamedTempFile {
        let host = self.place.loopback();
        let brokers = match self.brokers[..] {
            [port] => Brokers::One(host.into(), port),
            ref ports => Brokers::List(ports.iter().map(|port| (host.into(), *port)).collect()),
        };
        let payload = Payload {
            member: self.member.clone(),
            brokers,
            password: self.password.clone(),
            is_bare: self.is_bare,
        };
        let text = format!("{},MANAGEMENT_TOKEN={TOKEN},{rest}{}", payload.text(), self.parameters);
        guest::payload(text.as_bytes())
    }

    /// Starts it, and waits until its program takes orders.
    pub fn start(&self) -> Result<Member> {
        let (running, control, management, payload) = match self.place {
            Place::Process => self.start_process()?,
            Place::Machine(_) => self.start_machine()?,
        };
        let feed = Feed::follow(control, START_LIMIT).with_context(|| running.report())?;
        Ok(Member {
            management,
            control,
            running,
            feed,
            _payload: payload,
        })
    }

    fn start_process(&self) -> Result<Started> {
        let [service, control, management] = [port::free()?, port::free()?, port::free()?];
        let payload = self.payload(&format!(
            "PORTS={service},CONTROL_PORT={control},MANAGEMENT_PORT={management}"
        ));
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let process = Process::start(PROGRAM, Some(payload.path()))?;
        Ok((Running::Process(process), local(control), local(management), payload))
    }

    fn start_machine(&self) -> Result<Started> {
        let Place::Machine(machine) = self.place else {
            anyhow::bail!("no machine: {self:?}");
        };
        let payload = self.payload(&format!("PORTS={SERVICE_PORT},MANAGEMENT_PORT={MANAGEMENT_PORT}"));
        let mut launch = guest::launch(&image(PROGRAM))
            .forward(0, CONTROL_PORT)
            .forward(0, MANAGEMENT_PORT);
        (launch.machine, launch.count_instructions) = (machine, self.counts);
        launch.extra.extend(self.qemu.iter().cloned());
        launch.memory_mib = 16;
        launch.payload = Some(payload.path().into());
        launch.deadline = Some(DEADLINE);
        let guest = launch.start().map_err(|error| anyhow!("{error}"))?;
        let address = |port| guest.address(port).map_err(|error| anyhow!("{error}"));
        let (control, management) = (address(CONTROL_PORT)?, address(MANAGEMENT_PORT)?);
        Ok((Running::Guest(guest), control, management, payload))
    }
}

/// A program, its control port, its management endpoint, and its payload.
type Started = (Running, SocketAddr, SocketAddr, NamedTempFile);

pub struct Member {
    pub management: SocketAddr,
    control: SocketAddr,
    running: Running,
    /// The events that its app was given.
    pub feed: Feed,
    _payload: NamedTempFile,
}

/// The most that its program's heap held, and what it holds, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Heap {
    pub now: u64,
    pub most: u64,
}

impl Member {
    /// Has its ports opened; gives the time when they were, in ms since 1970 by its own clock.
    pub fn open(&self) -> Result<i64> {
        let answer = self.ask("open")?;
        answer.parse().with_context(|| format!("open: {answer:?}"))
    }

    /// Has its program keep a guard, so that a stop waits.
    pub fn hold(&self) -> Result<()> {
        self.order("hold", "held")
    }

    /// Lets go of the guard.
    pub fn release(&self) -> Result<()> {
        self.order("release", "released")
    }

    /// The program's heap since this was asked last.
    pub fn heap(&self) -> Result<Heap> {
        let answer = self.ask("heap")?;
        let (now, most) = answer.split_once(' ').with_context(|| format!("heap: {answer:?}"))?;
        Ok(Heap {
            now: now.parse()?,
            most: most.parse()?,
        })
    }

    fn order(&self, line: &str, expected: &str) -> Result<()> {
        let answer = self.ask(line)?;
        ensure!(answer == expected, "{line}: {answer:?}");
        Ok(())
    }

    fn ask(&self, line: &str) -> Result<String> {
        let exchange = || -> Result<String> {
            let mut stream = TcpStream::connect_timeout(&self.control, LIMIT)?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.write_all(format!("{line}\n").as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        exchange().with_context(|| format!("asking the program for {line:?}"))
    }

    /// Waits for a console line with `text` in it.
    pub fn wait_for(&self, text: &str, limit: Duration) -> Result<String> {
        self.running.wait_for(text, limit)
    }

    /// How many console lines have `text` in them.
    pub fn lines_with(&self, text: &str) -> usize {
        self.console().iter().filter(|line| line.contains(text)).count()
    }

    pub fn console(&self) -> Vec<String> {
        self.running.console()
    }

    pub fn report(&self) -> String {
        self.running.report()
    }

    /// Asks for a stop as the platform below does: SIGTERM, or the power button.
    pub fn ask_to_stop(&self) -> Result<()> {
        self.running.ask_to_stop()
    }

    /// Takes the processor from its machine: its clock goes on, and it does not.
    pub fn freeze(&self) -> Result<()> {
        signal::send("STOP", self.pid()?)
    }

    pub fn thaw(&self) -> Result<()> {
        signal::send("CONT", self.pid()?)
    }

    fn pid(&self) -> Result<u32> {
        match &self.running {
            Running::Guest(guest) => Ok(guest.pid()),
            Running::Process(_) => anyhow::bail!("a process is behind `cartridge dev`"),
        }
    }

    /// Instructions that its machine has executed.
    pub fn instructions(&self) -> Result<u64> {
        match &self.running {
            Running::Guest(guest) => Ok(guest.instructions().map_err(|error| anyhow!("{error}"))?.total),
            Running::Process(_) => anyhow::bail!("nobody counts a process's instructions"),
        }
    }

    /// Has its program panic.
    pub fn panic(&self) -> Result<()> {
        self.ask("panic").map(drop)
    }

    /// Waits for its end, with exit status 0.
    pub fn ends(&mut self, limit: Duration) -> Result<()> {
        let status = self.running.wait(limit)?;
        ensure!(status == 0, "exit status {status}");
        Ok(())
    }

    pub fn ended(&mut self) -> bool {
        self.running.ended()
    }

    pub fn manage(&self, path: &str) -> Result<Answer> {
        manage(self.management, "GET", path, Some(TOKEN))
    }

    /// The figures of /metrics that have no labels.
    pub fn figures(&self) -> Result<BTreeMap<String, f64>> {
        figures(self.management)
    }

    /// The states that its log names, in their order there.
    pub fn states(&self) -> Vec<String> {
        let console = self.console();
        let records = console.iter().filter_map(|line| record(line));
        let states = records.filter(|record| record["event"] == "lifecycle");
        states
            .filter_map(|record| Some(record["state"].as_str()?.to_owned()))
            .collect()
    }

    /// The time that the log gives to the first line of the agent's with `text` in it, in ms since 1970 by its own clock.
    pub fn time_of(&self, text: &str) -> Result<i64> {
        let line = self.wait_for(text, LIMIT)?;
        let time = record(&line).and_then(|record| record["ts"].as_str().map(str::to_owned));
        let time = time.with_context(|| format!("no time in {line:?}"))?;
        milliseconds(&time).with_context(|| format!("the time {time:?}"))
    }

    /// Neither its console nor a page of its endpoint shows a secret.
    pub fn ensure_no_secret(&self) -> Result<()> {
        let mut texts = vec![("the console".to_owned(), self.console().join("\n"))];
        for page in ["/metrics", "/logs", "/healthz", "/readyz"] {
            let answer = self.manage(page)?;
            let text = format!("{:?} {}", answer.fields, String::from_utf8_lossy(&answer.body));
            texts.push((page.to_owned(), text));
        }
        for (place, text) in &texts {
            ensure_hidden(place, text)?;
        }
        Ok(())
    }
}

/// None of the payload's secrets is in the text.
pub fn ensure_hidden(place: &str, text: &str) -> Result<()> {
    let shown = SECRETS.iter().chain(&[TOKEN]).find(|secret| text.contains(**secret));
    ensure!(shown.is_none(), "{place} shows {shown:?}");
    Ok(())
}

fn record(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}

/// `2026-11-20T17:59:40.123Z` in ms since 1970.
fn milliseconds(text: &str) -> Option<i64> {
    let numbers = text
        .strip_suffix('Z')?
        .split(['-', 'T', ':', '.'])
        .map(|part| part.parse().ok());
    let numbers: Option<Vec<i64>> = numbers.collect();
    let [year, month, day, hours, minutes, seconds, rest] = numbers?[..] else {
        return None;
    };
    // Years that begin in March: the day that comes and goes is their last (Howard Hinnant's days_from_civil).
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 + rest)
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn the_times_of_the_log_are_read() {
        assert_eq!(milliseconds("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(milliseconds("2026-11-20T17:59:40.123Z"), Some(1_795_197_580_123));
        assert_eq!(milliseconds("2024-02-29T12:00:00.000Z"), Some(1_709_208_000_000));
        assert_eq!(milliseconds("soon"), None);
    }
}
