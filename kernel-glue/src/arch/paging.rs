//! Page tables (Intel SDM volume 3, section 4.5): everything is identity-mapped except thread stacks (memory/stacks.rs).

use crate::memory::reserve;
use core::arch::asm;

pub const PRESENT: u64 = 1;
pub const WRITE: u64 = 2;
/// Uncached (PWT and PCD select PAT entry 3, "UC" at power-on).
pub const UNCACHED: u64 = 0x18;
const LARGE: u64 = 0x80;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
pub const PAGE: u64 = 4096;
pub const LARGE_PAGE: u64 = 2 << 20;
/// Physical addresses from here on cannot be identity-mapped: thread stacks have them.
pub const IDENTITY_END: u64 = 1 << 46;

/// No memory for a page table.
#[derive(Debug)]
pub struct OutOfFrames;

unsafe extern "C" {
    static mut entry_pml4: [u64; 512];
    static entry_no_execute: u64;
}

/// The no-execute bit, or 0 on a CPU without it.
pub fn no_execute() -> u64 {
    // SAFETY: written by the entry code only.
    unsafe { entry_no_execute }
}

/// Finds the entry for `address` at the level whose entries cover 1 << `shift` bytes (12 or 21), or the large page above it.
/// Missing tables are made when `create`, else the answer is null.
fn entry(address: u64, shift: u32, create: bool) -> Result<*mut u64, OutOfFrames> {
    let mut table = &raw mut entry_pml4 as *mut u64;
    let mut level = 39;
    loop {
        // SAFETY: `table` is a page table of ours, identity-mapped, and the index is below 512.
        let slot = unsafe { table.add((address >> level & 511) as usize) };
        if level == shift {
            return Ok(slot);
        }
        // SAFETY: as above; page tables are changed under the critical section or in a fault taken inside it, and a frame of the
        // reserve is mapped and nobody else's.
        unsafe {
            if *slot & PRESENT == 0 {
                if !create {
                    return Ok(core::ptr::null_mut());
                }
                let frame = reserve::take().ok_or(OutOfFrames)?;
                (frame as *mut u8).write_bytes(0, PAGE as usize);
                *slot = frame | PRESENT | WRITE;
            } else if *slot & LARGE != 0 {
                return Ok(slot);
            }
            table = (*slot & ADDRESS) as *mut u64;
        }
        level -= 9;
    }
}

/// The entry of the 4 KiB page at `address`; null when there is no table (and `create` is false). `None`: no memory for a table.
pub fn page_entry(address: u64, create: bool) -> Option<*mut u64> {
    entry(address, 12, create).ok()
}

/// Maps the 4 KiB page at `address` to itself with `flags`; a page that is mapped already keeps its flags.
///
/// # Safety
/// `address` is RAM or a device nothing else maps otherwise, and never part of the image.
unsafe fn map_page(address: u64, flags: u64) -> Result<(), OutOfFrames> {
    let slot = entry(address, 12, true)?;
    // SAFETY: `slot` is the live entry of this address; an absent one is not in any TLB.
    unsafe {
        if *slot & PRESENT == 0 {
            *slot = address & ADDRESS | flags | PRESENT;
        }
    }
    Ok(())
}

/// Maps the 2 MiB at `address` to themselves, by pages of 4 KiB where some are mapped already.
///
/// # Safety
/// As [`map_page`], for all of the 2 MiB.
unsafe fn map_large_page(address: u64, flags: u64) -> Result<(), OutOfFrames> {
    let slot = entry(address, 21, true)?;
    // SAFETY: as in map_page.
    unsafe {
        if *slot & PRESENT == 0 {
            *slot = address & ADDRESS | flags | PRESENT | LARGE;
        } else if *slot & LARGE == 0 {
            for page in 0..512 {
                map_page(address + page * PAGE, flags)?;
            }
        }
    }
    Ok(())
}

/// Maps from `start` to `end`, page-aligned, by large pages where they fit.
///
/// # Safety
/// As [`map_page`], for all of the range.
pub unsafe fn map_range(start: u64, end: u64, flags: u64) -> Result<(), OutOfFrames> {
    let mut at = start;
    while at < end {
        // SAFETY: by this function's contract.
        unsafe {
            if at % LARGE_PAGE == 0 && end - at >= LARGE_PAGE {
                map_large_page(at, flags)?;
                at += LARGE_PAGE;
            } else {
                map_page(at, flags)?;
                at += PAGE;
            }
        }
    }
    Ok(())
}

/// Unmaps the page at `address`, so that touching it faults: page 0 and the guard pages of the kernel's own stacks.
pub fn unmap(address: u64) {
    if let Ok(slot) = entry(address, 12, false)
        && !slot.is_null()
    {
        // SAFETY: the live entry of a page that nothing uses (the callers' part: see above).
        unsafe { *slot = 0 };
        flush(address);
    }
}

/// True when the page at `address` can be read.
pub fn is_present(address: u64) -> bool {
    // SAFETY: a non-null entry is a live one.
    matches!(entry(address, 12, false), Ok(slot) if !slot.is_null() && unsafe { *slot } & PRESENT != 0)
}

/// Forgets what the TLB holds of the page at `address`.
pub fn flush(address: u64) {
    // SAFETY: only affects caching of the page tables.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) }
}

pub fn frame_of(entry: u64) -> u64 {
    entry & ADDRESS
}
