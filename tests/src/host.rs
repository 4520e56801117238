//! What the host did to a guest meanwhile.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long the threads of a process and the calling thread were ready to run and the host ran something else, so far: the
/// second number of Linux's schedstat, in ns. Nothing where Linux does not count it.
pub fn kept_waiting(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let waits = threads.map(|thread| wait_of(&thread.path().join("schedstat")));
    Duration::from_nanos(waits.sum::<u64>() + wait_of(Path::new("/proc/thread-self/schedstat")))
}

fn wait_of(path: &Path) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let wait = text.split_ascii_whitespace().nth(1);
    wait.and_then(|wait| wait.parse().ok()).unwrap_or(0)
}
