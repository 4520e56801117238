//! Whether KVM really works here.
//!
//! /dev/kvm may exist and yet stop at the first SSE instruction in 64-bit mode, as some nested virtualisation does. So KVM is
//! trusted only after a tiny guest of ours ran to its end in 64-bit mode under it, within a limit. The answer is kept for
//! this boot of the host, this QEMU and this /dev/kvm.

use std::fs;
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

/// Ok when a 64-bit guest ran under KVM; else why KVM is not used.
pub fn usable() -> Result<(), String> {
    if let Err(error) = fs::File::options().read(true).write(true).open(DEVICE) {
        return Err(format!("cannot open {DEVICE}: {error}"));
    }
    let key = cache_key();
    let cached = cache_file().and_then(|file| fs::read_to_string(file).ok());
    if let (Some(key), Some((old_key, verdict))) = (&key, cached.as_deref().and_then(|text| text.split_once('\n')))
        && key == old_key
    {
        return if verdict == "works" {
            Ok(())
        } else {
            Err(verdict.to_owned())
        };
    }
    let verdict = probe("kvm", PROBE_LIMIT);
    if let (Some(key), Some(file)) = (key, cache_file()) {
        let text = verdict.as_ref().map_or_else(String::as_str, |()| "works");
        // A cache that cannot be written costs the next start a probe, no more.
        let _ = file
            .parent()
            .map(fs::create_dir_all)
            .transpose()
            .and_then(|_| fs::write(file, format!("{key}\n{text}")));
    }
    verdict
}

/// Boots the probe guest under `accel` and waits for it to end itself.
fn probe(accel: &str, limit: Duration) -> Result<(), String> {
    let folder =
        tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder for the probe: {error}"))?;
    let image = folder.path().join("probe.elf");
    fs::write(&image, probe_guest::image()).map_err(|error| format!("cannot write the probe: {error}"))?;
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
    let arguments: Vec<_> = arguments.map(Into::into).collect();

    let started = Instant::now();
    let mut child = guard::spawn(QEMU, &arguments, [Stdio::null(), Stdio::piped(), Stdio::piped()])
        .map_err(|error| error.to_string())?;
    let console = Console::new(started);
    if let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) {
        let (lines, said) = (console.clone(), console.clone());
        std::thread::spawn(move || lines.follow(output, None));
        std::thread::spawn(move || said.follow_qemu(errors));
    }
    let ended = console.wait_closed_regardless(started + limit);
    let killed = if ended { Ok(()) } else { child.kill() };
    let status = killed
        .and_then(|()| child.wait())
        .map_err(|error| format!("cannot end the probe: {error}"))?;
    match (ended, status.code()) {
        (true, Some(probe_guest::EXIT_STATUS)) => Ok(()),
        (true, _) => Err(format!(
            "the probe guest under {accel} ended wrongly ({status}) {}",
            console.said().trim()
        )),
        (false, _) => {
            let said = console.said();
            let said = said.lines().next().map_or_else(String::new, |line| format!(": {line}"));
            Err(format!(
                "a 64-bit probe guest under {accel} did not end within {} ms{said}",
                limit.as_millis()
            ))
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
        assert!(
            probe("tcg", Duration::from_millis(1))
                .unwrap_err()
                .contains("did not end")
        );
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn the_second_answer_is_the_first_and_comes_at_once() {
        let first = usable();
        let started = Instant::now();
        assert_eq!(usable(), first);
        assert!(started.elapsed() < Duration::from_secs(1));
    }
}
