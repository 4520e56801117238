//! Signals to a process of our own, by its id.

use anyhow::{Result, ensure};
use std::process::Command;

/// Sends the signal with this name (as `STOP`) to the process, which the caller has not waited for yet.
pub fn send(name: &str, pid: u32) -> Result<()> {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status()?;
    ensure!(status.success(), "kill -s {name} {pid}: {status}");
    Ok(())
}
