//! Where log lines go: the console of the virtual machine, or standard output of the process.
//!
//! The agent never takes the lock of [`std::io::stdout`] if it can help it: an app may hold that lock for as long as it
//! likes, and must not silence the agent. Each line is written in one piece, so lines do not mix.

use crate::files::Files;
use cartridge_agent_core::log::{LINE_LIMIT, Level, Line, MESSAGE_LIMIT};
use cartridge_agent_core::text::Text;
use cartridge_agent_core::time::Timestamp;
use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// How much of the log the agent keeps itself where the platform keeps none.
const RING_LIMIT: usize = 64 * 1024;

static OUTPUT: OnceLock<Output> = OnceLock::new();
static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);
/// Lines written, by level.
static WRITTEN: [AtomicU32; Level::ALL.len()] = [const { AtomicU32::new(0) }; Level::ALL.len()];

struct Output {
    /// The console file or a copy of standard output; standard output itself when neither can be had.
    file: Option<File>,
    /// The end of the log, for /logs, where the platform has no `log` file.
    ring: Option<Mutex<VecDeque<u8>>>,
}

/// Writes an app's line; [`crate::log!`] is the shorter way. Lines above LOG_LEVEL are dropped.
pub fn log_line(level: Level, message: fmt::Arguments<'_>) {
    write(level, "app", message, &[]);
}

/// Writes one of the agent's own lines.
pub(crate) fn agent(level: Level, message: fmt::Arguments<'_>, fields: &[(&str, &str)]) {
    write(level, "agent", message, fields);
}

/// Chooses where lines go. Lines before this go to standard output.
pub(crate) fn open(files: &Files) {
    let console = files.open_to_write("log").and_then(Result::ok);
    let ring = console.is_none().then(Mutex::default);
    let copy_of_stdout = || std::io::stdout().as_fd().try_clone_to_owned().ok().map(File::from);
    let _ = OUTPUT.set(Output {
        file: console.or_else(copy_of_stdout),
        ring,
    });
}

pub(crate) fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// How many lines of each level were written, in the order of [`Level::ALL`].
pub(crate) fn written() -> [u32; Level::ALL.len()] {
    std::array::from_fn(|level| WRITTEN[level].load(Ordering::Relaxed))
}

/// The end of the log if the agent keeps it, oldest first.
pub(crate) fn kept() -> Option<Vec<u8>> {
    let ring = OUTPUT
        .get()?
        .ring
        .as_ref()?
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    Some(ring.iter().copied().collect())
}

fn write(level: Level, from: &str, message: fmt::Arguments<'_>, fields: &[(&str, &str)]) {
    if level as u8 > LEVEL.load(Ordering::Relaxed) {
        return;
    }
    WRITTEN[level as usize].fetch_add(1, Ordering::Relaxed);
    let mut text = Text::<MESSAGE_LIMIT>::new();
    let _ = text.write_fmt(message);
    let mut buffer = [0; LINE_LIMIT];
    let line = Line {
        time: now(),
        level,
        from,
        message: text.as_str(),
        fields,
    };
    let bytes = line.render(&mut buffer);
    if let Some(ring) = OUTPUT.get().and_then(|output| output.ring.as_ref()) {
        keep(&mut ring.lock().unwrap_or_else(PoisonError::into_inner), bytes);
    }
    // A console that takes nothing more leaves nowhere to say so.
    let _ = match OUTPUT.get().and_then(|output| output.file.as_ref()) {
        Some(mut file) => file.write_all(bytes),
        None => std::io::stdout().write_all(bytes),
    };
}

/// Appends a line, and drops whole lines from the front to stay within the limit.
fn keep(ring: &mut VecDeque<u8>, line: &[u8]) {
    while ring.len() + line.len() > RING_LIMIT {
        let first_line = ring
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(ring.len(), |end| end + 1);
        ring.drain(..first_line);
    }
    ring.extend(line);
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(
        since
            .as_secs()
            .saturating_mul(1000)
            .saturating_add(u64::from(since.subsec_millis())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_keeps_the_newest_whole_lines() {
        let mut ring = VecDeque::new();
        for number in 0..10_000 {
            keep(&mut ring, format!("line {number}\n").as_bytes());
        }
        let text = String::from_utf8(ring.into()).unwrap();
        assert!(text.len() <= RING_LIMIT && text.len() > RING_LIMIT - 100);
        assert!(text.starts_with("line ") && text.ends_with("line 9999\n"));
    }
}
