//! What Linux knows about processes: QEMU's CPU time and memory, and, for those who look for what was left behind, who is alive
//! and whose child it is.

use std::fs;
use std::time::Duration;

use crate::error::Error;

/// Clock ticks a second in /proc, fixed by Linux's user-space interface (proc_pid_stat(5), USER_HZ).
const TICKS_PER_SECOND: u64 = 100;

/// User and system time of all threads so far.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration, Error> {
    let stat = read(pid, "stat")?;
    let ticks = parse_ticks(&stat).ok_or_else(|| Error::setting(format!("/proc/{pid}/stat is not as documented")))?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Resident memory in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64, Error> {
    let status = read(pid, "status")?;
    let kib = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .trim()
            .strip_suffix(" kB")?
            .parse::<u64>()
            .ok()
    });
    Ok(kib.ok_or_else(|| Error::setting(format!("/proc/{pid}/status has no VmRSS: the process is ending")))? * 1024)
}

/// True for a process that is there and does not merely wait to be reaped.
pub fn is_alive(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state != "Z")
}

/// The process whose child this one is.
pub fn parent_of(pid: u32) -> Option<u32> {
    Some(state_and_parent(pid)?.1)
}

/// A process whose parent this one is.
pub fn child_of(parent: u32) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid| parent_of(*pid) == Some(parent))
}

/// Fields 3 and 4 of /proc/PID/stat (proc_pid_stat(5)).
fn state_and_parent(pid: u32) -> Option<(String, u32)> {
    let stat = read(pid, "stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

fn read(pid: u32, file: &str) -> Result<String, Error> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).map_err(|source| Error::io(format!("read {path}"), source))
}

/// Fields 14 (utime) and 15 (stime); the name in field 2 may hold spaces and parentheses.
fn parse_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let utime: u64 = fields.next()?.parse().ok()?;
    let stime: u64 = fields.next()?.parse().ok()?;
    utime.checked_add(stime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_survive_an_odd_process_name() {
        assert_eq!(parse_ticks("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 30 12 0"), Some(42));
        assert_eq!(parse_ticks("7 (a"), None);
    }

    #[test]
    fn we_are_alive_and_a_child_of_our_parent() {
        let own = std::process::id();
        assert!(is_alive(own) && !is_alive(u32::MAX));
        assert!(parent_of(own) == Some(std::os::unix::process::parent_id()));
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id();
        assert!(is_alive(pid) && parent_of(pid) == Some(own) && child_of(own).is_some());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_alive(pid));
    }

    #[test]
    fn our_own_memory_is_known() {
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
        cpu_time(std::process::id()).unwrap();
    }
}
