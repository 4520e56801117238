//! Interrupt vectors, MSI and I/O APIC routing. Handlers run with interrupts off and touch atomics and device registers only.

use crate::arch::interrupts::{FIRST_DEVICE_VECTOR, SPURIOUS_VECTOR};
use crate::arch::{apic, ioapic};
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

pub struct Vector(pub u8);

const COUNT: usize = (SPURIOUS_VECTOR - FIRST_DEVICE_VECTOR) as usize;
/// Handlers by vector, as the addresses of `fn()`; null where none is.
static HANDLERS: [AtomicPtr<()>; COUNT] = [const { AtomicPtr::new(core::ptr::null_mut()) }; COUNT];

/// Claims a free vector for `handler`; `None` when all are taken.
pub fn claim(handler: fn()) -> Option<Vector> {
    let free = HANDLERS.iter().position(|slot| slot.load(Relaxed).is_null())?;
    HANDLERS[free].store(handler as *mut (), Relaxed);
    Some(Vector(FIRST_DEVICE_VECTOR + free as u8))
}

/// Address and data of a message-signalled interrupt that raises `vector` on the boot CPU
/// (Intel SDM volume 3, section 11.11: fixed delivery, edge-triggered, physical destination).
pub fn message(vector: &Vector) -> (u64, u32) {
    (0xfee0_0000 | (apic::id() as u64) << 12, vector.0 as u32)
}

/// Routes global system interrupt `gsi` to `vector` through the I/O APIC that has it.
pub fn route(gsi: u32, vector: &Vector, level_triggered: bool, active_low: bool) -> bool {
    ioapic::route(gsi, vector.0, level_triggered, active_low)
}

/// Called by the interrupt stub.
pub extern "C" fn dispatch(vector: u32) {
    let slot = (vector as usize).wrapping_sub(FIRST_DEVICE_VECTOR as usize);
    let Some(handler) = HANDLERS
        .get(slot)
        .map(|slot| slot.load(Relaxed))
        .filter(|handler| !handler.is_null())
    else {
        return;
    };
    // SAFETY: only `claim` stores here, and what it stores are `fn()`s.
    unsafe { core::mem::transmute::<*mut (), fn()>(handler)() }
}
