//! A receiver of health statistics: WSO2's databridge on a real Thrift server, peers/databridge.py, whose head tells its options.

use crate::image::workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// For Python to start, and to obey.
const LIMIT: Duration = Duration::from_secs(60);

/// A running server; it ends with its handle.
pub struct Databridge {
    child: Child,
    input: ChildStdin,
    port: u16,
    told: Arc<Told>,
}

/// The lines of the server.
#[derive(Default)]
struct Told {
    lines: Mutex<Vec<Value>>,
    more: Condvar,
}

impl Databridge {
    /// Starts a server on this port of 127.0.0.1, and waits until it listens.
    pub fn start(port: u16, options: &[&str]) -> Result<Self> {
        let python = workspace().join("target/python/bin/python");
        let mut command = Command::new(&python);
        command
            .arg(workspace().join("tests/peers/databridge.py"))
            .arg(port.to_string())
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("{}; `./cartridge test health` installs it", python.display()))?;
        let input = child.stdin.take().context("no standard input")?;
        let output = child.stdout.take().context("no standard output")?;
        let told = Arc::<Told>::default();
        let reader = Arc::clone(&told);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                reader.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                reader.more.notify_all();
            }
        });
        let server = Databridge {
            child,
            input,
            port,
            told,
        };
        server.wait_for("a listening server", LIMIT, |lines| {
            lines.iter().any(|line| line["listening"] == port)
        })?;
        Ok(server)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Gives a command, and waits until it is obeyed.
    pub fn command(&mut self, command: &str) -> Result<()> {
        let done = |lines: &[Value]| lines.iter().filter(|line| line["done"] == command).count();
        let before = done(&self.lines());
        writeln!(self.input, "{command}")?;
        self.wait_for(command, LIMIT, |lines| done(lines) > before)
    }

    /// Every call so far, the oldest first.
    pub fn calls(&self) -> Vec<Value> {
        self.lines()
            .iter()
            .filter(|line| line["call"].is_string())
            .cloned()
            .collect()
    }

    /// The calls of this method so far.
    pub fn calls_of(&self, method: &str) -> Vec<Value> {
        self.calls().into_iter().filter(|call| call["call"] == method).collect()
    }

    /// Every event that was taken so far: its attributes by name. One that does not fit its stream is an error.
    pub fn events(&self) -> Result<Vec<Value>> {
        let taken = |call: &Value| call["taken"] == true;
        let mut events = Vec::new();
        for call in self.calls_of("publish").into_iter().filter(taken) {
            if !call["fault"].is_null() {
                bail!("an event that does not fit its stream: {call}");
            }
            events.push(call["event"].clone());
        }
        Ok(events)
    }

    /// Waits until what the server has told is `enough`.
    pub fn wait_for(&self, what: &str, limit: Duration, enough: impl Fn(&[Value]) -> bool) -> Result<()> {
        let end = Instant::now() + limit;
        let mut lines = self.lines();
        while !enough(&lines) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("no {what} within {limit:?}; it told {lines:?}");
            }
            lines = self
                .told
                .more
                .wait_timeout(lines, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        Ok(())
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Value>> {
        self.told.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Databridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
