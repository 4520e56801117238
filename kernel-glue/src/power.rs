//! Power-off, reset, exit status, and requests to stop.

use crate::arch::{cpu, fault, port};
use crate::console::raw;
use crate::thread_types::Channel;
use crate::{memory, thread};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Exit status after [`abort`], as a shell gives it for SIGABRT.
pub const ABORTED: i32 = 134;
/// Exit status when memory is exhausted, as a shell gives it for SIGKILL.
pub const OUT_OF_MEMORY: i32 = 137;

/// Ends the machine. Prints `cartridge: exit status N` on the console first: the launcher passes N on.
pub fn exit(status: i32) -> ! {
    core::mem::forget(crate::critical::enter());
    raw!("cartridge: exit status {status}\n");
    reset();
}

/// The program gave up (a panic, a failed assertion, exhausted memory): says where, and ends the machine.
pub fn abort() -> ! {
    core::mem::forget(crate::critical::enter());
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

fn reset() -> ! {
    // SAFETY: the machine ends here; a null descriptor table turns the breakpoint into a triple fault, which resets any PC.
    unsafe {
        core::arch::asm!("cli");
        port::write8(0x64, 0xfe);
        let none = [0u16; 5];
        core::arch::asm!("lidt [{}]", "int3", in(reg) none.as_ptr());
    }
    cpu::halt()
}

static STOP_REQUESTED: AtomicBool = AtomicBool::new(false);

/// True once the platform asked for a stop (ACPI power button).
pub fn stop_requested() -> bool {
    STOP_REQUESTED.load(Relaxed)
}

/// Woken when [`stop_requested`] becomes true.
pub const STOP: Channel = Channel(2);
