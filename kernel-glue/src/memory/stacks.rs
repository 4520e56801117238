//! Thread stacks: slots of virtual memory above all identity-mapped addresses, backed by frames when touched, with a guard page
//! below each.

use super::{physical, reserve};
use crate::arch::paging::{self, IDENTITY_END, PAGE, PRESENT, WRITE};
use crate::critical::Guarded;
use crate::heap;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A stack slot. The lowest page is the guard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stack {
    base: u64,
    size: u64,
}

impl Stack {
    pub fn top(&self) -> u64 {
        self.base + self.size
    }
}

/// A page that is not there and never will be: not present, with a mark in a bit the CPU then ignores.
const GUARD: u64 = 0x200;
/// Topmost pages that stay backed when a stack is kept for the next thread: what a thread that does little uses.
const KEPT_PAGES: u64 = 4;
/// Most stacks kept; further ones give all their frames back.
const MOST_KEPT: usize = 8;

struct Stacks {
    unused: heap::Vec<Stack>,
}
static STACKS: Guarded<Stacks> = Guarded::new(Stacks { unused: heap::vec() });
/// Where the next new slot begins. Addresses from IDENTITY_END up to here belong to stacks.
static NEXT: AtomicU64 = AtomicU64::new(IDENTITY_END);
static BACKED: AtomicU64 = AtomicU64::new(0);

/// A stack of at least `bytes`, its top page backed. `None`: out of memory.
pub fn take(bytes: usize) -> Option<Stack> {
    let size = (bytes as u64)
        .checked_next_multiple_of(PAGE)?
        .checked_add(PAGE)
        .filter(|size| *size < IDENTITY_END / 64)?;
    reserve::refill();
    // SAFETY: inside the critical section; the reference ends before anything waits.
    let unused = unsafe { &mut STACKS.get().unused };
    let stack = match unused.iter().rposition(|stack| stack.size == size) {
        Some(index) => unused.swap_remove(index),
        None => {
            let base = NEXT.load(Relaxed);
            let end = base.checked_add(size).filter(|end| *end < 2 * IDENTITY_END)?;
            let guard = paging::page_entry(base, true)?;
            // SAFETY: the live entry of a page no thread uses yet.
            unsafe { guard.write(GUARD) };
            NEXT.store(end, Relaxed);
            Stack { base, size }
        }
    };
    if back_page(stack.top() - PAGE) {
        return Some(stack);
    }
    give(stack);
    None
}

/// Takes a stack back; nothing runs on it any more.
pub fn give(stack: Stack) {
    // SAFETY: as in take.
    let unused = unsafe { &mut STACKS.get().unused };
    let kept = if unused.len() < MOST_KEPT { KEPT_PAGES } else { 0 };
    // Code touches each page on its way down (stack probes), so below the first page that is not backed none is.
    let mut page = stack.top() - kept * PAGE;
    while page > stack.base + PAGE {
        page -= PAGE;
        match paging::page_entry(page, false) {
            Some(entry) if !entry.is_null() && release(entry, page) => {}
            _ => break,
        }
    }
    // When even this fails the slot's addresses are lost, never its frames.
    if unused.try_reserve(1).is_ok() {
        unused.push(stack);
    }
}

/// Gives the frame behind `page` back; false when there is none.
fn release(entry: *mut u64, page: u64) -> bool {
    // SAFETY: the entry of a page of a stack nothing runs on; its frame was put there by back_page alone.
    unsafe {
        if *entry & PRESENT == 0 {
            return false;
        }
        let frame = paging::frame_of(*entry);
        *entry = 0;
        paging::flush(page);
        physical::give_frame(frame);
        BACKED.store(BACKED.load(Relaxed) - PAGE, Relaxed);
        true
    }
}

/// Backs the stack page at `address`, if it is one that may be.
pub fn back_page(address: u64) -> bool {
    if !is_stack(address) {
        return false;
    }
    let Some(entry) = paging::page_entry(address, true) else {
        return false;
    };
    // SAFETY: the live entry of a stack page; absent, it is in no TLB.
    unsafe {
        if *entry == GUARD {
            return false;
        }
        if *entry & PRESENT == 0 {
            let Some(frame) = reserve::take() else { return false };
            *entry = frame | PRESENT | WRITE | paging::no_execute();
            BACKED.store(BACKED.load(Relaxed) + PAGE, Relaxed);
        }
    }
    true
}

pub fn is_stack(address: u64) -> bool {
    (IDENTITY_END..NEXT.load(Relaxed)).contains(&address)
}

pub fn is_guard(address: u64) -> bool {
    // SAFETY: a non-null entry is a live one.
    is_stack(address)
        && matches!(paging::page_entry(address, false), Some(entry) if !entry.is_null() && unsafe { *entry } == GUARD)
}

/// Bytes of RAM behind stacks.
pub fn backed() -> u64 {
    BACKED.load(Relaxed)
}
