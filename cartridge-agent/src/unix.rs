//! What only a Unix process has: signals, and standard output that can be copied.

use crate::shared::Base;
use crate::{log, runner};
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
