//! What is mapped where, from boot on, and what a page fault may add.

use super::{Statistics, kernel_heap, map::Regions, physical, program_heap, reserve, stacks};
use crate::arch::cpu::cpuid;
use crate::arch::paging::{self, IDENTITY_END, PAGE};
use crate::critical;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of RAM of the memory map.
static TOTAL: AtomicU64 = AtomicU64::new(0);

/// Makes the RAM in `free` available; `total` bytes are what the machine has with the reserved parts.
pub fn init(free: &Regions, total: u64) {
    TOTAL.store(total, Relaxed);
    physical::init(free);
    reserve::refill();
}

/// Maps `length` bytes of device memory at `physical`, uncached and not executable; identity address. Idempotent. Page 0 is never
/// mapped, whatever a table says.
pub fn map_device(physical: u64, length: usize) -> Option<NonNull<u8>> {
    if physical < PAGE {
        return None;
    }
    map(
        physical,
        length,
        paging::WRITE | paging::UNCACHED | paging::no_execute(),
    )
}

/// Maps `length` bytes at `physical` that the loader or the firmware wrote (boot information, tables). Writable, because
/// what is not reserved for ever becomes ordinary RAM.
pub fn map_ram(physical: u64, length: usize) -> Option<NonNull<u8>> {
    map(physical, length, paging::WRITE | paging::no_execute())
}

fn map(physical: u64, length: usize, flags: u64) -> Option<NonNull<u8>> {
    // Beyond the CPU's physical addresses the bits of a page table entry are reserved. CPUID 0x80000008, EAX bits 0 to 7 (Intel SDM
    // volume 2); every CPU with long mode has 36 of them.
    let width = (cpuid(0x8000_0008).eax & 0xff).clamp(36, IDENTITY_END.trailing_zeros());
    let end = physical.checked_add(length as u64).filter(|end| *end <= 1 << width)?;
    let _critical = critical::enter();
    // SAFETY: nothing else maps these addresses otherwise: the image and RAM in use are mapped before, and keep their flags.
    unsafe { paging::map_range(physical & !(PAGE - 1), end.next_multiple_of(PAGE), flags).ok()? };
    NonNull::new(physical as *mut u8)
}

/// A page fault at `address` with error code `error`: true when it was the first touch of a stack page, which now is there.
pub fn back_stack(address: u64, error: u64) -> bool {
    const PROTECTION: u64 = 1;
    error & PROTECTION == 0 && stacks::back_page(address)
}

pub fn statistics() -> Statistics {
    let _critical = critical::enter();
    Statistics {
        total: TOTAL.load(Relaxed),
        free: physical::free(),
        kernel_heap_used: kernel_heap::used(),
        kernel_heap_unused: kernel_heap::unused(),
        program_heap_used: program_heap::used(),
        stacks_backed: stacks::backed(),
    }
}

/// Writes how much memory there is and where it went, for a report of its exhaustion.
pub struct Room;

impl core::fmt::Display for Room {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let now = statistics();
        write!(
            formatter,
            "{} of {} bytes are free ({} in one piece); the program's heap holds {}, the kernel's {}, stacks {}: \
             start it with more memory",
            now.free,
            now.total,
            physical::largest(),
            now.program_heap_used,
            now.kernel_heap_used,
            now.stacks_backed
        )
    }
}
