//! Who can ask for a stop from outside: the platform's power button, and signals where there are signals.

use crate::shared::Shared;
use crate::{log, runner};
use cartridge_agent_core::log::Level;
use cartridge_agent_core::machine::Cause;
use std::io::Read;

/// Watches every source there is.
pub fn watch(shared: &'static Shared) {
    watch_power(shared);
    #[cfg(unix)]
    watch_signals(shared);
}

/// The file `power` is read by a thread that sleeps in it until the platform asks for a stop.
fn watch_power(shared: &'static Shared) {
    let Some(opened) = shared.files.open("power") else {
        return;
    };
    let mut file = match opened {
        Ok(file) => file,
        Err(error) => {
            let message = format_args!("the power button is not watched: {error}");
            return log::agent(Level::Error, message, &[]);
        }
    };
    runner::spawn("agent-power", shared, move || {
        let mut word = [0; 16];
        match file.read(&mut word) {
            Ok(length) if length > 0 => shared.request_stop(Cause::Power, 0, None),
            // The platform has no power button.
            Ok(_) => {}
            Err(error) => log::agent(
                Level::Error,
                format_args!("the power button is no longer watched: {error}"),
                &[],
            ),
        }
    });
}

/// SIGTERM and SIGINT; a second one ends the drain at once.
#[cfg(unix)]
fn watch_signals(shared: &'static Shared) {
    use signal_hook::consts::{SIGINT, SIGTERM};
    match signal_hook::iterator::Signals::new([SIGTERM, SIGINT]) {
        Ok(mut signals) => {
            runner::spawn("agent-signals", shared, move || {
                for _ in signals.forever() {
                    shared.request_stop(Cause::Signal, 0, None);
                }
            });
        }
        Err(error) => log::agent(Level::Error, format_args!("signals are not watched: {error}"), &[]),
    }
}
