//! Who can ask for a stop from outside: the platform's power button, and signals where there are signals.

use crate::shared::Shared;
use crate::{log, runner};
use cartridge_agent_core::log::Level;
use cartridge_agent_core::machine::Cause;

/// The file says `stop` and ends.
const WORD_LIMIT: usize = 16;

/// Watches every source there is.
pub fn watch(shared: &'static Shared) {
    watch_power(shared);
    #[cfg(unix)]
    crate::unix::watch_signals(shared);
}

/// The file `power` is opened and read by a thread that sleeps in it until the platform asks for a stop.
fn watch_power(shared: &'static Shared) {
    if shared.files.exists("power") {
        runner::spawn("agent-power", shared, move || {
            match shared.files.read("power", WORD_LIMIT) {
                Some(Ok(word)) if !word.is_empty() => shared.request_stop(Cause::Power, 0, None),
                Some(Err(error)) => log::agent(
                    Level::Error,
                    format_args!("the power button is not watched: {error}"),
                    &[],
                ),
                // The platform has no power button.
                _ => {}
            }
        });
    }
}
