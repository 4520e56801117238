//! The guest interface under `CARTRIDGE_DIR`. Where there is none (plain `cargo run`), there is nothing to check.

use crate::report::{Check, Outcome};
use crate::{ensure, ensure_eq, tried};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

pub const CHECKS: &[Check] = &[
    ("defaults name the cartridge", defaults),
    ("statistics", statistics),
    ("the log has what was printed", log),
    ("the network tells its state", network),
    ("a thread may raise its priority", priority),
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
fn read_only() -> Outcome {
    let Some(guest) = guest() else { return Ok(()) };
    let number = |path: PathBuf| fs::write(path, "x").err().and_then(|error| error.raw_os_error());
    ensure_eq!(number(guest.join("stats")), Some(13));
    ensure_eq!(number(guest.join("new")), Some(30));
    ensure_eq!(number("/data/lines.txt".into()), Some(30));
    ensure_eq!(number("/new".into()), Some(30));
    Ok(())
}
