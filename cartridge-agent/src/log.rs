//! Where log lines go: the console of the virtual machine, or standard output of the process.
//!
//! The agent never takes the lock of [`std::io::stdout`] if it can help it: an app may hold that lock for as long as it
//! likes, and must not silence the agent. Each line is written in one piece, so lines do not mix.

use crate::files::Files;
#[cfg(unix)]
use crate::shared::lock;
use cartridge_agent_core::log::{LINE_LIMIT, Level, Line};
use cartridge_agent_core::text::Message;
use cartridge_agent_core::time::Timestamp;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Write as _};
#[cfg(unix)]
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{MutexGuard, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// How much of the log the agent keeps itself where the platform keeps none.
const RING_LIMIT: usize = 64 * 1024;

static OUTPUT: OnceLock<Output> = OnceLock::new();
static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);
/// Lines written, by level.
static WRITTEN: [AtomicU32; Level::ALL.len()] = [const { AtomicU32::new(0) }; Level::ALL.len()];

struct Output {
    /// The console file, or a copy of standard output.
    file: Option<File>,
    /// The end of the log, for /logs, where the platform has no `log` file.
    #[cfg(unix)]
    ring: Option<Mutex<Vec<u8>>>,
}

/// Writes an app's line; [`crate::log!`] is the shorter way. Lines above LOG_LEVEL are dropped.
pub fn log_line(level: Level, message: fmt::Arguments<'_>) {
    write(level, "app", message, &[]);
}

/// Writes one of the agent's own lines.
pub(crate) fn agent(level: Level, message: fmt::Arguments<'_>, fields: &[(&str, &str)]) {
    write(level, "agent", message, fields);
}

/// Logs that something failed and why. In the machine "why" is a number: std's texts for them take 4 KB of the image, and the
/// kernel has said what is wrong with a device or a line in words of its own.
#[inline(never)]
pub(crate) fn failure(what: fmt::Arguments<'_>, error: &io::Error) {
    #[cfg(not(unix))]
    let error = format_args!("error {}", error.raw_os_error().unwrap_or_default());
    agent(Level::Error, format_args!("{what}: {error}"), &[]);
}

/// Chooses where lines go. Lines before this are lost.
pub(crate) fn open(files: &Files) {
    let console = files.open_to_write("log").and_then(Result::ok);
    #[cfg(unix)]
    let ring = console.is_none().then(Mutex::default);
    #[cfg(unix)]
    let console = console.or_else(crate::unix::standard_output);
    let _ = OUTPUT.set(Output {
        file: console,
        #[cfg(unix)]
        ring,
    });
}

pub(crate) fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

#[cfg(feature = "log")]
pub(crate) fn level() -> Level {
    Level::ALL[usize::from(LEVEL.load(Ordering::Relaxed)).min(Level::ALL.len() - 1)]
}

/// How many lines of each level were written, in the order of [`Level::ALL`].
pub(crate) fn written() -> [u32; Level::ALL.len()] {
    std::array::from_fn(|level| WRITTEN[level].load(Ordering::Relaxed))
}

/// The end of the log if the agent keeps it, oldest first.
pub(crate) fn kept() -> Option<Vec<u8>> {
    ring().map(|ring| ring.clone())
}

/// The lines kept. The cartridge's kernel keeps them itself: elsewhere than on Unix there is no such code.
fn ring() -> Option<MutexGuard<'static, Vec<u8>>> {
    #[cfg(unix)]
    return Some(lock(OUTPUT.get()?.ring.as_ref()?));
    #[cfg(not(unix))]
    None
}

fn write(level: Level, from: &str, message: fmt::Arguments<'_>, fields: &[(&str, &str)]) {
    if level as u8 > LEVEL.load(Ordering::Relaxed) {
        return;
    }
    WRITTEN[level as usize].fetch_add(1, Ordering::Relaxed);
    let mut text = Message::new();
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
    if let Some(mut ring) = ring() {
        keep(&mut ring, bytes);
    }
    if let Some(mut file) = OUTPUT.get().and_then(|output| output.file.as_ref()) {
        // A console that takes nothing more leaves nowhere to say so.
        let _ = file.write_all(bytes);
    }
}

/// Appends a line; when the limit is reached, the older half goes, cut at a line end.
fn keep(ring: &mut Vec<u8>, line: &[u8]) {
    if ring.len() + line.len() > RING_LIMIT {
        let half = ring.len() / 2;
        let line_end = ring[half..].iter().position(|byte| *byte == b'\n');
        ring.drain(..line_end.map_or(ring.len(), |end| half + end + 1));
    }
    ring.extend_from_slice(line);
}

/// The wall clock; 1970 where there is none.
pub(crate) fn now() -> Timestamp {
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
        let mut ring = Vec::new();
        for number in 0..10_000 {
            keep(&mut ring, format!("line {number}\n").as_bytes());
        }
        let text = String::from_utf8(ring).unwrap();
        assert!(text.len() <= RING_LIMIT && text.len() > RING_LIMIT / 2 - 100);
        assert!(text.starts_with("line ") && text.ends_with("line 9999\n"));
    }
}
