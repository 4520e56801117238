//! Whether KVM really works here.
//!
//! /dev/kvm may exist and yet stop at the first SSE instruction in 64-bit mode, as some nested virtualisation does. So KVM is
//! trusted only after a tiny guest of ours ran to its end in 64-bit mode under it, within a limit. The answer is kept for
//! this boot of the host, this QEMU and this /dev/kvm; that time ran out is kept for ten minutes only.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::console::Console;
use crate::guard;
use crate::launch::QEMU;
use crate::probe_guest;

const DEVICE: &str = "/dev/kvm";
/// A KVM that works needs some 100 ms for the probe, QEMU's own start included.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// How long a probe that only ran out of time is believed: the host may just have been busy.
const TIMEOUT_BELIEVED: Duration = Duration::from_secs(600);

/// Why a probe did not end as it must.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    why: String,
    lasts: Lasts,
}

/// How long a failure is worth remembering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasts {
    /// KVM itself refused or went wrong: until the host boots anew.
    Boot,
    /// Time ran out: for [`TIMEOUT_BELIEVED`].
    AWhile,
    /// It says nothing about KVM.
    Not,
}

impl Failure {
    fn passing(why: String) -> Failure {
        Failure { why, lasts: Lasts::Not }
    }
}

/// Ok when a 64-bit guest ran under KVM; else why KVM is not used.
pub fn usable() -> Result<(), String> {
    if let Err(error) = fs::File::options().read(true).write(true).open(DEVICE) {
        return Err(format!("cannot open {DEVICE}: {error}"));
    }
    let (key, file) = (cache_key(), cache_file());
    if let (Some(key), Some(file)) = (&key, &file)
        && let Some(verdict) = remembered(file, key)
    {
        return verdict;
    }
    let verdict = probe("kvm", PROBE_LIMIT);
    if let (Some(key), Some(file)) = (key, file) {
        // A cache that cannot be written costs the next start a probe, no more.
        let _ = remember(&file, &key, &verdict);
    }
    verdict.map_err(|failure| failure.why)
}

/// The words of the cache's second line; the third says why.
const WORKS: &str = "works";
const FAILS: &str = "fails";
const SLOW: &str = "slow";

/// What `file` says about `key`, unless it is out of date.
fn remembered(file: &Path, key: &str) -> Option<Result<(), String>> {
    let text = fs::read_to_string(file).ok()?;
    let (of, verdict) = text.split_once('\n')?;
    let (word, why) = verdict.split_once('\n')?;
    // A clock that was set back makes a verdict old, too.
    let recent = || fs::metadata(file).ok()?.modified().ok()?.elapsed().ok();
    match word {
        _ if of != key => None,
        WORKS => Some(Ok(())),
        FAILS => Some(Err(why.to_owned())),
        SLOW if recent().is_some_and(|age| age < TIMEOUT_BELIEVED) => Some(Err(why.to_owned())),
        _ => None,
    }
}

fn remember(file: &Path, key: &str, verdict: &Result<(), Failure>) -> io::Result<()> {
    let (word, why) = match verdict {
        Ok(()) => (WORKS, ""),
        Err(Failure {
            why,
            lasts: Lasts::Boot,
        }) => (FAILS, why.as_str()),
        Err(Failure {
            why,
            lasts: Lasts::AWhile,
        }) => (SLOW, why.as_str()),
        Err(Failure { lasts: Lasts::Not, .. }) => return Ok(()),
    };
    file.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(file, format!("{key}\n{word}\n{why}"))
}

/// Boots the probe guest under `accel` and waits for it to end itself.
fn probe(accel: &str, limit: Duration) -> Result<(), Failure> {
    let cannot = |what: &'static str| move |error| Failure::passing(format!("cannot {what}: {error}"));
    let folder = tempfile::tempdir().map_err(cannot("make a temporary folder for the probe"))?;
    let image = folder.path().join("probe.elf");
    fs::write(&image, probe_guest::image()).map_err(cannot("write the probe"))?;
    let image = image.to_string_lossy();
    let exit = format!("isa-debug-exit,iobase={:#x},iosize=1", probe_guest::EXIT_PORT);
    let arguments = [
        "-machine",
        "q35",
        "-accel",
        accel,
        "-cpu",
        "max",
        "-m",
        "16M",
        "-nodefaults",
        "-display",
        "none",
    ];
    let arguments = arguments
        .into_iter()
        .chain(["-no-reboot", "-device", &exit, "-kernel", &image]);

    let started = Instant::now();
    let mut child = guard::command(QEMU)
        .and_then(|mut qemu| {
            qemu.args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            guard::spawn(qemu, QEMU)
        })
        .map_err(|error| Failure::passing(error.to_string()))?;
    let console = Console::new(started);
    if let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) {
        let (lines, said) = (console.clone(), console.clone());
        std::thread::spawn(move || lines.follow(output, None));
        std::thread::spawn(move || said.follow_qemu(errors));
    }
    let ended = console.wait_closed_regardless(started + limit);
    let killed = if ended { Ok(()) } else { child.kill() };
    let status = killed.and_then(|()| child.wait()).map_err(cannot("end the probe"))?;
    match (ended, status.code()) {
        (true, Some(probe_guest::EXIT_STATUS)) => Ok(()),
        (true, _) => Err(Failure {
            why: format!(
                "the probe guest under {accel} ended wrongly ({status}) {}",
                console.said().trim()
            ),
            lasts: Lasts::Boot,
        }),
        (false, _) => {
            let said = console.said();
            let said = said.lines().next().map_or_else(String::new, |line| format!(": {line}"));
            let limit = limit.as_millis();
            Err(Failure {
                why: format!("a 64-bit probe guest under {accel} did not end within {limit} ms{said}"),
                // Words of QEMU's own tell of a fault; without them, the host may have been busy.
                lasts: if said.is_empty() { Lasts::AWhile } else { Lasts::Boot },
            })
        }
    }
}

/// This boot of the host, this QEMU, this device.
fn cache_key() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let path = std::env::var_os("PATH")?;
    let qemu = std::env::split_paths(&path).find_map(|folder| fs::metadata(folder.join(QEMU)).ok())?;
    let device = fs::metadata(DEVICE).ok()?;
    let (user, inode) = (fs::metadata("/proc/self").ok()?.uid(), device.ino());
    Some(format!(
        "{} {} {} {inode} {user}",
        boot.trim(),
        qemu.mtime(),
        qemu.size()
    ))
}

/// By the XDG Base Directory Specification: $XDG_CACHE_HOME, else ~/.cache.
fn cache_file() -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let folder = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(Path::new(&folder).join("cartridge/kvm-probe"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_guest_runs_to_its_end_under_emulation() {
        assert_eq!(probe("tcg", Duration::from_secs(30)), Ok(()));
    }

    #[test]
    fn a_probe_that_does_not_end_is_killed_at_its_limit() {
        let started = Instant::now();
        let failure = probe("tcg", Duration::from_millis(1)).unwrap_err();
        assert!(failure.why.contains("did not end"), "{failure:?}");
        assert_eq!(failure.lasts, Lasts::AWhile);
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn verdicts_are_kept_for_their_time_and_for_their_host_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cartridge/kvm-probe");
        let failure = |lasts| {
            Err(Failure {
                why: "because".to_owned(),
                lasts,
            })
        };
        let kept = |verdict| {
            let _ = fs::remove_file(&file);
            remember(&file, "host", &verdict).unwrap();
            remembered(&file, "host")
        };
        assert_eq!(kept(failure(Lasts::Not)), None);
        assert_eq!(kept(Ok(())), Some(Ok(())));
        assert_eq!(kept(failure(Lasts::Boot)), Some(Err("because".to_owned())));
        assert_eq!(remembered(&file, "another host"), None);
        assert_eq!(kept(failure(Lasts::AWhile)), Some(Err("because".to_owned())));
        // Ten minutes later, only that time ran out is tried anew.
        let old = std::time::SystemTime::now() - TIMEOUT_BELIEVED;
        let make_old = || {
            fs::File::options()
                .write(true)
                .open(&file)
                .unwrap()
                .set_modified(old)
                .unwrap()
        };
        make_old();
        assert_eq!(remembered(&file, "host"), None);
        kept(failure(Lasts::Boot));
        make_old();
        assert_eq!(remembered(&file, "host"), Some(Err("because".to_owned())));
    }
}
