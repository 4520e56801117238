//! A program under test while it runs: a Linux process or a guest, behind one face.

use crate::process::Process;
use anyhow::{Context, Result, anyhow};
use qemu::Guest;
use std::time::Duration;

/// Lines of the console that a report shows.
const TAIL: usize = 40;

pub enum Running {
    Process(Process),
    Guest(Guest),
}

impl Running {
    /// Waits for a console line with `text` in it, and gives the line.
    pub fn wait_for(&self, text: &str, limit: Duration) -> Result<String> {
        match self {
            Running::Process(process) => process.wait_for(text, limit),
            Running::Guest(guest) => {
                let line = guest.wait_for(text, limit, |line| line.contains(text));
                line.map(|line| line.text).map_err(|error| anyhow!("{error}"))
            }
        }
    }

    /// Everything on the console so far.
    pub fn console(&self) -> Vec<String> {
        match self {
            Running::Process(process) => process.console(),
            Running::Guest(guest) => guest.lines().into_iter().map(|line| line.text).collect(),
        }
    }

    /// The command that started it and the console's last lines.
    pub fn report(&self) -> String {
        match self {
            Running::Process(process) => process.report(),
            Running::Guest(guest) => {
                let lines = self.console();
                let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
                format!("command: {}\nconsole:\n{tail}", guest.command())
            }
        }
    }

    /// Asks for a stop as the platform does: SIGTERM, or the power button.
    pub fn ask_to_stop(&self) -> Result<()> {
        match self {
            Running::Process(process) => process.terminate(),
            Running::Guest(guest) => guest.powerdown().map_err(|error| anyhow!("{error}")),
        }
    }

    /// Waits for the end and gives the exit status.
    pub fn wait(&mut self, limit: Duration) -> Result<i32> {
        match self {
            Running::Process(process) => process.wait(limit)?.code().context("ended by a signal"),
            Running::Guest(guest) => {
                let exit = guest.wait(limit).map_err(|error| anyhow!("{error}"))?;
                exit.status
                    .with_context(|| format!("no exit status: {}", exit.describe()))
            }
        }
    }

    pub fn ended(&mut self) -> bool {
        match self {
            Running::Process(process) => process.ended(),
            Running::Guest(guest) => guest.ended(),
        }
    }
}
