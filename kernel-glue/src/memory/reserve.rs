//! A few frames kept ready: for page tables, and for page faults that come while the physical allocator is at work.
//!
//! A fault can hit anywhere in the kernel (its code runs on lazily backed stacks), so taking and refilling must bear being
//! interrupted by each other: each slot is one atomic word, which either changes in one instruction.

use super::physical;
use crate::arch::paging::PAGE;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Enough for the deepest single need, the tables of a step of physical.rs's mapping, and a stack page with its tables.
const SLOTS: usize = 8;
static FRAMES: [AtomicU64; SLOTS] = [const { AtomicU64::new(0) }; SLOTS];

#[repr(C, align(4096))]
struct First(UnsafeCell<[[u8; PAGE as usize]; SLOTS]>);
// SAFETY: given out frame by frame through FRAMES, each to one owner.
unsafe impl Sync for First {}
/// What the reserve holds before the memory map is known.
static FIRST: First = First(UnsafeCell::new([[0; PAGE as usize]; SLOTS]));

/// Fills the reserve from the image's own memory.
pub fn init() {
    for (index, slot) in FRAMES.iter().enumerate() {
        slot.store(FIRST.0.get() as u64 + index as u64 * PAGE, Relaxed);
    }
}

/// The physical address of a frame, contents unspecified: a stack needs no zeros, and paging.rs clears its tables.
pub fn take() -> Option<u64> {
    let frame = take_once();
    if frame.is_none() && refill() {
        take_once()
    } else {
        frame
    }
}

fn take_once() -> Option<u64> {
    FRAMES
        .iter()
        .find_map(|slot| Some(slot.swap(0, Relaxed)).filter(|frame| *frame != 0))
}

/// Tops the reserve up, unless the physical allocator is at work; true when there is at least one frame now.
pub fn refill() -> bool {
    let mut any = false;
    for slot in &FRAMES {
        if slot.load(Relaxed) == 0 {
            let Some(frame) = physical::take_frame() else { break };
            if slot.compare_exchange(0, frame, Relaxed, Relaxed).is_err() {
                // A page fault that came in between has filled the slot.
                // SAFETY: taken just now, and nobody was told of it.
                unsafe { physical::give_frame(frame) };
            }
        }
        any = true;
    }
    any
}
