//! What only a Unix process has: signals, standard output that can be copied, and Linux's own figures.

use crate::shared::Base;
use crate::{log, runner};
use cartridge_agent_core::figures::Figures;
use cartridge_agent_core::machine::Cause;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fs::File;
use std::os::fd::AsFd;

/// SIGTERM and SIGINT ask for a stop; a second one ends the drain at once.
pub fn watch_signals(base: &'static Base) {
    match signal_hook::iterator::Signals::new([SIGTERM, SIGINT]) {
        Ok(mut signals) => {
            runner::spawn("agent-signals", base, move || {
                for _ in signals.forever() {
                    base.request_stop(Cause::Signal, 0, None);
                }
            });
        }
        Err(error) => log::failure(format_args!("signals are not watched"), &error),
    }
}

/// Standard output without the lock that the app may hold.
pub fn standard_output() -> Option<File> {
    std::io::stdout().as_fd().try_clone_to_owned().ok().map(File::from)
}

/// The figures of the machine, from Linux's /proc (proc(5)): as Stratos' own agents tell them. A process of `dev` stands for a
/// member with a machine of its own. What cannot be read is 0.
pub fn figures() -> Figures {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    Figures {
        processors: std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1)),
        ..parse(&read("/proc/meminfo"), &read("/proc/loadavg"))
    }
}

fn parse(memory: &str, load: &str) -> Figures {
    let bytes = |name: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.strip_prefix(':')?.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes.saturating_mul(1024))
    };
    let total = bytes("MemTotal").unwrap_or_default();
    let minute = load.split(' ').next().unwrap_or_default();
    Figures {
        memory_used_bytes: total.saturating_sub(bytes("MemAvailable").unwrap_or_default()),
        memory_total_bytes: total,
        // It has two digits behind the point.
        load_hundredths: minute.replace('.', "").parse().unwrap_or_default(),
        ..Figures::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_linux_are_read() {
        let memory = "MemTotal:       1000 kB\nMemFree:          10 kB\nMemAvailable:    250 kB\n";
        let figures = parse(memory, "1.25 0.50 0.10 1/100 4242\n");
        assert_eq!(
            (
                figures.memory_used_bytes,
                figures.memory_total_bytes,
                figures.load_hundredths
            ),
            (750 * 1024, 1000 * 1024, 125)
        );
        assert_eq!(parse("", ""), Figures::default());
    }
}
