//! Power-off, reset, exit status, and requests to stop.

mod button;
mod off;

use crate::arch::fault;
use crate::console::raw;
use crate::thread_types::Channel;
use crate::{critical, memory, thread};

pub use button::{announce_stop, listen_for_stop, stop_requested};

/// Exit status after [`abort`], as a shell gives it for SIGABRT.
pub const ABORTED: i32 = 134;
/// Exit status when memory is exhausted, as a shell gives it for SIGKILL.
pub const OUT_OF_MEMORY: i32 = 137;

/// Woken when [`stop_requested`] becomes true.
pub const STOP: Channel = Channel(2);

/// Ends the machine. Prints `cartridge: exit status N` on the console first: the launcher passes N on.
pub fn exit(status: i32) -> ! {
    core::mem::forget(critical::enter());
    raw!("cartridge: exit status {status}\n");
    off::switch_off()
}

/// The program gave up (a panic, a failed assertion, exhausted memory): says where, and ends the machine.
pub fn abort() -> ! {
    core::mem::forget(critical::enter());
    if let Some(bytes) = memory::exhausted() {
        raw!(
            "out of memory: thread {} asked for {bytes} bytes, {}\n",
            thread::current_id(),
            memory::Room
        );
        exit(OUT_OF_MEMORY);
    }
    raw!("fault: abort in thread {}\n", thread::current_id());
    let here = 0u64;
    fault::print_return_addresses(&raw const here as u64);
    exit(ABORTED)
}
