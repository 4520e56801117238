//! The program's heap, behind sys_malloc and friends.
//!
//! Measured in one program (bytes of code and tables; instructions of an allocation with its release, zeroed and fresh, and
//! in a churning set of 256): rlsf 0.2.3: 5.0 KB, 357, 313; talc 4.4.3: 8.6 KB, 397, 350; dlmalloc 0.2.14: 9.7 KB, 259, 432.
//! rlsf is the smallest, does either in bounded time, and is chosen.

use super::physical;
use crate::critical::Guarded;
use crate::thread;
use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use rlsf::Tlsf;

static HEAP: Guarded<Heap> = Guarded::new(Heap {
    blocks: Tlsf::new(),
    end: 0,
});
static USED: AtomicU64 = AtomicU64::new(0);

struct Heap {
    /// Two-level segregated fit, sixteen size classes to each power of two. As many powers of two as there can be, since only
    /// then a step that follows the last one becomes part of it.
    blocks: Tlsf<'static, u64, u32, 59, 16>,
    /// Where the RAM taken last ends.
    end: u64,
}
/// RAM is taken in steps that grow with what is free: few steps on a large machine, little waste on a small one. Bytes.
const SMALLEST_STEP: u64 = 32 << 10;
const LARGEST_STEP: u64 = 8 << 20;
/// The allocator's own book-keeping in a fresh step.
const MARGIN: u64 = 4096;

impl Heap {
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        self.blocks.allocate(layout).or_else(|| {
            self.grow(layout)?;
            self.blocks.allocate(layout)
        })
    }

    /// # Safety
    /// `block` is one of this heap's, of `layout`'s alignment.
    unsafe fn reallocate(&mut self, block: NonNull<u8>, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: by this function's contract; a block that could not be resized is still the same one.
        unsafe {
            self.blocks.reallocate(block, layout).or_else(|| {
                self.grow(layout)?;
                self.blocks.reallocate(block, layout)
            })
        }
    }

    /// Takes RAM enough for `layout`. Size classes round up by a sixteenth at most.
    fn grow(&mut self, layout: Layout) -> Option<()> {
        let size = layout.size() as u64;
        let least = (size + size / 16 + layout.align() as u64 + MARGIN).next_multiple_of(4096);
        let step = (physical::free() / 64).clamp(SMALLEST_STEP, LARGEST_STEP) & !4095;
        let found = [least.max(step), least]
            .into_iter()
            .find_map(|size| Some((physical::take_contiguous(size)?, size)));
        let (start, size) = found?;
        let fresh = NonNull::slice_from_raw_parts(NonNull::new(start as *mut u8)?, size as usize);
        // SAFETY: mapped memory that is ours alone for ever; appended only where it begins at the end of the last piece.
        unsafe {
            if self.end == start {
                self.blocks.append_free_block_ptr(fresh);
            } else {
                self.blocks.insert_free_block_ptr(fresh)?;
            }
        }
        self.end = start + size;
        Some(())
    }
}

fn layout(size: usize, align: usize) -> Option<Layout> {
    // A size past half of the address space is refused here; zero bytes are one byte.
    Layout::from_size_align(size.max(1), align.max(1))
        .ok()
        .filter(|layout| layout.size() < 1 << 46)
}

/// `size` bytes, or null. The caller holds the critical section (every ABI entry does).
pub fn program_allocate(size: usize, align: usize) -> *mut u8 {
    // SAFETY: inside the critical section; nothing below waits.
    let block = layout(size, align).and_then(|layout| unsafe { HEAP.get().allocate(layout) });
    match block {
        Some(block) => {
            USED.store(USED.load(Relaxed) + size as u64, Relaxed);
            thread::set_denied(0);
            block.as_ptr()
        }
        None => failed(size),
    }
}

#[cold]
fn failed(size: usize) -> *mut u8 {
    thread::set_denied(size);
    core::ptr::null_mut()
}

pub fn used() -> u64 {
    USED.load(Relaxed)
}

/// # Safety
/// `pointer` came from [`program_allocate`] with the same size and alignment.
pub unsafe fn program_free(pointer: *mut u8, size: usize, align: usize) {
    let Some(block) = NonNull::new(pointer) else { return };
    USED.store(USED.load(Relaxed) - size as u64, Relaxed);
    // SAFETY: inside the critical section; the block is the caller's promise.
    unsafe { HEAP.get().blocks.deallocate(block, align.max(1)) }
}

/// # Safety
/// As [`program_free`].
pub unsafe fn program_reallocate(pointer: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
    let Some(block) = NonNull::new(pointer) else {
        return program_allocate(new_size, align);
    };
    // SAFETY: inside the critical section; the block is the caller's promise.
    let moved = layout(new_size, align).and_then(|layout| unsafe { HEAP.get().reallocate(block, layout) });
    let Some(moved) = moved else { return failed(new_size) };
    USED.store(USED.load(Relaxed) - size as u64 + new_size as u64, Relaxed);
    moved.as_ptr()
}
