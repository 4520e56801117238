//! The guest interface under `CARTRIDGE_DIR`. Where there is none (plain `cargo run`), there is nothing to check.

use crate::report::{Check, Outcome};
use crate::{ensure, ensure_eq, tried};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub const CHECKS: &[Check] = &[
    ("defaults name the cartridge", defaults),
    ("statistics", statistics),
    ("the log has what was printed", log),
    ("the network tells its state", network),
    ("a thread may raise its priority", priority),
    ("an urgent thread wakes in time beside one that computes", urgent),
    ("what is read-only cannot be written", read_only),
];

fn guest() -> Option<PathBuf> {
    std::env::var_os("CARTRIDGE_DIR").map(PathBuf::from)
}

fn defaults() -> Outcome {
    let Some(guest) = guest() else { return Ok(()) };
    let text = tried!(fs::read_to_string(guest.join("defaults")));
    ensure!(text.contains("CARTRIDGE_NAME=conformance"), "the defaults are {text:?}");
    Ok(())
}

fn statistics() -> Outcome {
    let Some(guest) = guest() else { return Ok(()) };
    let text = tried!(fs::read_to_string(guest.join("stats")));
    let figure = |name: &str| -> Option<u64> {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    };
    let (total, free) = (figure("memory_total_bytes"), figure("memory_free_bytes"));
    ensure!(free > Some(0) && total > free, "{free:?} of {total:?} bytes are free");
    for name in ["threads", "uptime_ns", "program_heap_bytes"] {
        ensure!(figure(name) > Some(0), "{name} is {:?}", figure(name));
    }
    Ok(())
}

fn log() -> Outcome {
    let Some(guest) = guest() else { return Ok(()) };
    tried!(tried!(OpenOptions::new().write(true).open(guest.join("log"))).write_all(b"a mark in the log\n"));
    let text = String::from_utf8_lossy(&tried!(fs::read(guest.join("log")))).into_owned();
    ensure!(
        text.contains("a mark in the log"),
        "{} bytes of log without the mark",
        text.len()
    );
    Ok(())
}

fn network() -> Outcome {
    let Some(guest) = guest() else { return Ok(()) };
    let text = tried!(fs::read_to_string(guest.join("network")));
    ensure!(text.starts_with("state "), "the network says {text:?}");
    Ok(())
}

fn priority() -> Outcome {
    let Some(guest) = guest() else { return Ok(()) };
    for level in ["high\n", "normal\n"] {
        tried!(tried!(OpenOptions::new().write(true).open(guest.join("priority"))).write_all(level.as_bytes()));
    }
    let nonsense = tried!(OpenOptions::new().write(true).open(guest.join("priority"))).write(b"higher\n");
    ensure!(nonsense.is_err(), "a priority that does not exist was accepted");
    Ok(())
}

/// Error numbers: 13 permission denied, 30 read-only file system.
/// Half of its sleeps of 1 ms, at least, are not put off to the end of the other's turn.
fn urgent() -> Outcome {
    let Some(guest) = guest() else { return Ok(()) };
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    let computing = thread::spawn(move || {
        let mut turns = 0u64;
        while !seen.load(Ordering::Relaxed) {
            turns = std::hint::black_box(turns + 1);
        }
    });
    let sleeper = thread::spawn(move || -> Result<Duration, String> {
        tried!(fs::write(guest.join("priority"), "high"));
        let mut slept: Vec<Duration> = (0..51)
            .map(|_| {
                let start = Instant::now();
                thread::sleep(Duration::from_millis(1));
                start.elapsed()
            })
            .collect();
        slept.sort();
        Ok(slept[25])
    });
    let median = sleeper.join().map_err(|_| "it panicked")?;
    stop.store(true, Ordering::Relaxed);
    ensure!(computing.join().is_ok(), "the computing thread panicked");
    let median = median?;
    ensure!(median < Duration::from_millis(3), "1 ms took {median:?}");
    Ok(())
}

fn read_only() -> Outcome {
    let Some(guest) = guest() else { return Ok(()) };
    let number = |path: PathBuf| fs::write(path, "x").err().and_then(|error| error.raw_os_error());
    ensure_eq!(number(guest.join("stats")), Some(13));
    ensure_eq!(number(guest.join("new")), Some(30));
    ensure_eq!(number("/data/lines.txt".into()), Some(30));
    ensure_eq!(number("/new".into()), Some(30));
    Ok(())
}
