//! An app as a Linux process, started by `cartridge dev`: the control to the same app in a virtual machine.

use crate::image::{cartridge, workspace};
use crate::signal;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// For an ordered stop when a test is over; then it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// How often an end is looked for.
const LOOK: Duration = Duration::from_millis(10);

pub struct Process {
    child: Child,
    console: Arc<Console>,
    readers: Vec<JoinHandle<()>>,
    command: String,
}

#[derive(Default)]
struct Console {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Process {
    /// Runs `cartridge dev FOLDER`, with a payload if there is one.
    pub fn start(folder: &str, payload: Option<&Path>) -> Result<Process> {
        let mut command = Command::new(cartridge());
        command.args(["dev", folder]);
        if let Some(payload) = payload {
            command.arg("--payload").arg(payload);
        }
        command
            .current_dir(workspace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        let console = Arc::new(Console::default());
        let output = follow(&console, child.stdout.take().context("no standard output")?);
        let errors = follow(&console, child.stderr.take().context("no standard error")?);
        let (readers, command) = (vec![output, errors], format!("{command:?}"));
        Ok(Process {
            child,
            console,
            readers,
            command,
        })
    }

    /// Waits for a line with `text` in it, and gives the line.
    pub fn wait_for(&self, text: &str, limit: Duration) -> Result<String> {
        let end = Instant::now() + limit;
        let mut lines = self.lines();
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(text)) {
                return Ok(line.clone());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(lines);
                bail!("no line with {text:?} within {limit:?}\n{}", self.report());
            }
            lines = self
                .console
                .more
                .wait_timeout(lines, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Everything written so far.
    pub fn console(&self) -> Vec<String> {
        self.lines().clone()
    }

    /// The command to repeat it by hand, and the last lines.
    pub fn report(&self) -> String {
        let lines = self.lines();
        let tail = &lines[lines.len().saturating_sub(40)..];
        format!("command: {}\nconsole:\n{}", self.command, tail.join("\n"))
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        signal::send("TERM", self.child.id())
    }

    /// Waits for the end, and for the last line.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.readers.drain(..).for_each(|reader| drop(reader.join()));
                return Ok(status);
            }
            if Instant::now() > end {
                bail!("still there after {limit:?}\n{}", self.report());
            }
            thread::sleep(LOOK);
        }
    }

    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.console.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.ended() && (self.terminate().is_err() || self.wait(STOP_LIMIT).is_err()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn follow(console: &Arc<Console>, from: impl Read + Send + 'static) -> JoinHandle<()> {
    let console = Arc::clone(console);
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            console.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            console.more.notify_all();
        }
    })
}
