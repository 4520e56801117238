//! Who can ask for a stop from outside: the platform's power button, and signals where there are signals.

use crate::shared::Base;
use crate::{log, runner};
use cartridge_agent_core::machine::Cause;
use std::io::{self, ErrorKind, Read};

/// The file says `stop`.
const WORD_LIMIT: usize = 16;

/// Watches every source there is.
pub fn watch(base: &'static Base) {
    watch_power(base);
    #[cfg(unix)]
    crate::unix::watch_signals(base);
}

/// The file `power` is opened and read by a thread that sleeps in it until the platform asks for a stop.
fn watch_power(base: &'static Base) {
    if base.files.exist() {
        runner::spawn("agent-power", base, move || match wait_for_word(base) {
            Ok(0) => {} // The platform has no such file, or no power button.
            Ok(_) => base.request_stop(Cause::Power, 0, None),
            Err(error) => log::failure(format_args!("the power button is not watched"), &error),
        });
    }
}

/// Reads once: the word is whole, and what comes after it is not waited for.
fn wait_for_word(base: &Base) -> io::Result<usize> {
    let mut word = [0; WORD_LIMIT];
    loop {
        let Some(power) = base.files.open("power") else {
            return Ok(0);
        };
        match power?.read(&mut word) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
