//! Signals to a process of our own, by its id.

use anyhow::{Result, ensure};
use std::process::Command;

/// Sends the signal with this name (as `STOP`) to the process, which the caller has not waited for yet. By the shell's own `kill`:
/// the program of that name is in a package that not every system has.
pub fn send(name: &str, pid: u32) -> Result<()> {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -{name} {pid}")])
        .status()?;
    ensure!(status.success(), "kill -{name} {pid}: {status}");
    Ok(())
}
