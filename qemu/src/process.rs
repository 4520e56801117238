//! What Linux knows about QEMU as a process: CPU time and memory.

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
    fn our_own_memory_is_known() {
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
        cpu_time(std::process::id()).unwrap();
    }
}
