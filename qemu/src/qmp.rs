//! A small QMP client: the few commands a launcher needs, each with a deadline.
//!
//! QMP is JSON objects, one a line, over a stream: a greeting, then answers (`return` or `error`) and events.
//! Source: QEMU's documentation, "QEMU Machine Protocol Specification".

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Error, Reason};

/// The state of the virtual machine as QEMU's `query-status` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunState {
    Running,
    Paused,
    Shutdown,
    /// Any other state, by QEMU's name for it.
    Other(String),
}

/// The connection to one QEMU. Commands are answered one at a time.
pub struct Qmp {
    connection: Mutex<Connection>,
    reader: JoinHandle<()>,
    shutdown_reason: Arc<Mutex<Option<String>>>,
}

struct Connection {
    stream: UnixStream,
    answers: Receiver<Value>,
    /// Of the last command: an answer names the command it is for, so one that came too late is never taken for another's.
    id: u64,
}

impl Qmp {
    /// Takes over the stream and negotiates. QEMU answers once the machine is built.
    pub(crate) fn connect(stream: UnixStream, limit: Duration) -> Result<Qmp, Error> {
        let reading = stream
            .try_clone()
            .map_err(|source| Error::io("set up the QMP stream", source))?;
        let (sender, answers) = channel();
        let shutdown_reason = Arc::new(Mutex::new(None));
        let reason = shutdown_reason.clone();
        let reader = thread::spawn(move || follow(reading, &sender, &reason));
        let qmp = Qmp {
            connection: Mutex::new(Connection { stream, answers, id: 0 }),
            reader,
            shutdown_reason,
        };
        qmp.execute("qmp_capabilities", json!({}), limit)?;
        Ok(qmp)
    }

    /// Presses the ACPI power button.
    pub fn powerdown(&self, limit: Duration) -> Result<(), Error> {
        self.execute("system_powerdown", json!({}), limit).map(drop)
    }

    /// Ends QEMU at once, without the guest's consent.
    pub fn quit(&self, limit: Duration) -> Result<(), Error> {
        self.execute("quit", json!({}), limit).map(drop)
    }

    pub fn status(&self, limit: Duration) -> Result<RunState, Error> {
        let answer = self.execute("query-status", json!({}), limit)?;
        Ok(match answer["status"].as_str().unwrap_or_default() {
            "running" => RunState::Running,
            "paused" => RunState::Paused,
            "shutdown" => RunState::Shutdown,
            other => RunState::Other(other.to_owned()),
        })
    }

    /// A command of QEMU's human monitor; the answer is text for people, and changes between versions.
    pub(crate) fn human(&self, command_line: &str, limit: Duration) -> Result<String, Error> {
        let answer = self.execute("human-monitor-command", json!({ "command-line": command_line }), limit)?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }

    /// Any QMP command; gives the `return` value.
    pub fn execute(&self, command: &str, arguments: Value, limit: Duration) -> Result<Value, Error> {
        let mut connection = self.connection.lock().unwrap_or_else(|poison| poison.into_inner());
        connection.id += 1;
        let request = json!({ "execute": command, "arguments": arguments, "id": connection.id });
        let broken = |source| Error::io(format!("send the QMP command {command}"), source);
        connection.stream.set_write_timeout(Some(limit)).map_err(broken)?;
        connection
            .stream
            .write_all(format!("{request}\n").as_bytes())
            .map_err(broken)?;
        match connection.answer(limit) {
            Ok(mut answer) if answer.get("return").is_some() => Ok(answer["return"].take()),
            Ok(answer) => {
                let text = answer["error"]["desc"].as_str().unwrap_or("no reason given").to_owned();
                Err(Reason::Qmp {
                    command: command.to_owned(),
                    answer: text,
                }
                .into())
            }
            Err(RecvTimeoutError::Timeout) => Err(Reason::Deadline {
                waiting_for: format!("answer to the QMP command {command}"),
                after: limit,
            }
            .into()),
            Err(RecvTimeoutError::Disconnected) => {
                let waiting_for = format!("the answer to the QMP command {command}");
                Err(Reason::Ended {
                    waiting_for,
                    how: "QMP closed".to_owned(),
                }
                .into())
            }
        }
    }

    /// As [`Qmp::shutdown_reason`], after QEMU ended: waits until the last of what it sent was read.
    pub(crate) fn last_reason(&self) -> Option<String> {
        let until = Instant::now() + Duration::from_secs(1);
        while !self.reader.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        self.shutdown_reason()
    }

    /// Why the machine stopped, once it has: `guest-shutdown`, `guest-reset`, `host-qmp-quit`, ...
    pub fn shutdown_reason(&self) -> Option<String> {
        self.shutdown_reason
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
            .clone()
    }
}

impl Connection {
    /// The answer to the last command. What answers an earlier one, which ran out of time, is dropped.
    fn answer(&self, limit: Duration) -> Result<Value, RecvTimeoutError> {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let answer = self.answers.recv_timeout(left)?;
            if answer["id"] == self.id {
                return Ok(answer);
            }
        }
    }
}

/// Sorts what QEMU sends: answers to the waiter, the one event we keep to its place, the rest to nowhere.
fn follow(stream: UnixStream, answers: &Sender<Value>, shutdown_reason: &Mutex<Option<String>>) {
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        if message.get("return").is_some() || message.get("error").is_some() {
            if answers.send(message).is_err() {
                return;
            }
        } else if message["event"] == "SHUTDOWN" {
            let reason = message["data"]["reason"].as_str().unwrap_or("unknown").to_owned();
            *shutdown_reason.lock().unwrap_or_else(|poison| poison.into_inner()) = Some(reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    /// A peer that answers each line it reads with the next of `script`; `ID` stands for that line's id.
    fn scripted(script: &'static [&'static str]) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            let mut writer = theirs.try_clone().unwrap();
            writer.write_all(b"{\"QMP\": {}}\r\n").unwrap();
            let mut requests = BufReader::new(theirs).lines();
            for answer in script {
                let request: Value = requests
                    .next()
                    .and_then(|line| serde_json::from_str(&line.ok()?).ok())
                    .unwrap_or_default();
                let answer = answer.replace("ID", &request["id"].to_string());
                writer.write_all(answer.as_bytes()).unwrap();
            }
        });
        ours
    }

    #[test]
    fn answers_errors_and_events_are_told_apart() {
        let script = &[
            "{\"return\": {}, \"id\": ID}\n",
            "not json\n{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"guest-reset\"}}\n{\"return\": {\"status\": \"running\"}, \"id\": ID}\n",
            "{\"error\": {\"desc\": \"no such thing\"}, \"id\": ID}\n",
        ];
        let qmp = Qmp::connect(scripted(script), LIMIT).unwrap();
        assert_eq!(qmp.status(LIMIT).unwrap(), RunState::Running);
        assert_eq!(qmp.shutdown_reason().as_deref(), Some("guest-reset"));
        assert!(qmp.powerdown(LIMIT).unwrap_err().to_string().contains("no such thing"));
        assert!(qmp.quit(LIMIT).is_err());
    }

    #[test]
    fn an_answer_that_comes_too_late_is_not_taken_for_the_next_ones() {
        let script = &[
            "{\"return\": {}, \"id\": ID}\n",
            "", // too late: it comes with the next
            "{\"return\": {\"status\": \"paused\"}, \"id\": 2}\n{\"return\": {\"status\": \"running\"}, \"id\": ID}\n",
        ];
        let qmp = Qmp::connect(scripted(script), LIMIT).unwrap();
        assert!(qmp.status(Duration::from_millis(20)).unwrap_err().is_deadline());
        assert_eq!(qmp.status(LIMIT).unwrap(), RunState::Running);
    }

    #[test]
    fn a_silent_qemu_costs_no_more_than_the_limit() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        assert!(
            Qmp::connect(ours, Duration::from_millis(20))
                .err()
                .unwrap()
                .is_deadline()
        );
    }
}
