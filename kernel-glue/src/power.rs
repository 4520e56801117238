//! Power-off, reset, exit status, and requests to stop.

use crate::thread_types::Channel;

/// Ends the machine. Prints `cartridge: exit status N` on the console first: the launcher passes N on.
pub fn exit(_status: i32) -> ! {
    unimplemented!()
}

/// True once the platform asked for a stop (ACPI power button).
pub fn stop_requested() -> bool {
    unimplemented!()
}

/// Woken when [`stop_requested`] becomes true.
pub const STOP: Channel = Channel(2);
