//! Power-off, reset, exit status, and requests to stop.

mod button;
mod off;

use crate::console::{self, raw};
use crate::critical;
use crate::thread_types::Channel;

pub use button::{announce_stop, listen_for_stop, stop_requested};

/// Exit status after an abort, as a shell gives it for SIGABRT.
pub const ABORTED: i32 = 134;
/// Exit status when memory is exhausted, as a shell gives it for SIGKILL.
pub const OUT_OF_MEMORY: i32 = 137;

/// Woken when [`stop_requested`] becomes true.
pub const STOP: Channel = Channel(2);

/// Ends the machine. Prints the line `cartridge: exit status N` on the console first: the launcher passes N on.
pub fn exit(status: i32) -> ! {
    core::mem::forget(critical::enter());
    console::begin_last_words();
    raw!("cartridge: exit status {status}\n");
    off::switch_off()
}
