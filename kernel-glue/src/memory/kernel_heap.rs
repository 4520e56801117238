//! The kernel's private heap: linked-list heaps in contiguous chunks, the first one big enough for most programs.

use super::physical;
use crate::critical::{self, Guarded};
use core::alloc::{AllocError, Allocator, Layout};
use core::ptr::NonNull;
use linked_list_allocator::Heap;

/// The allocator of the kernel's private heap.
#[derive(Clone, Copy)]
pub struct KernelHeap;

/// Each chunk is at least an eighth of the heap so far where RAM is not in small pieces, so this many hold any amount of it.
const MOST_CHUNKS: usize = 96;
const SMALLEST_CHUNK: u64 = 64 << 10;
/// Room in a chunk for the allocator's own alignment.
const MARGIN: u64 = 256;

struct Chunks {
    heaps: [Heap; MOST_CHUNKS],
    count: usize,
    /// The chunk that served last is asked first.
    recent: usize,
    total: u64,
    used: u64,
}

static CHUNKS: Guarded<Chunks> = Guarded::new(Chunks {
    heaps: [const { Heap::empty() }; MOST_CHUNKS],
    count: 0,
    recent: 0,
    total: 0,
    used: 0,
});

/// Bytes in use.
pub fn used() -> u64 {
    let _critical = critical::enter();
    // SAFETY: inside the critical section; a number is read.
    unsafe { CHUNKS.get().used }
}

/// Bytes taken from physical memory and not in use.
pub fn unused() -> u64 {
    let _critical = critical::enter();
    // SAFETY: inside the critical section; numbers are read.
    let chunks = unsafe { CHUNKS.get() };
    chunks.total - chunks.used
}

impl Chunks {
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        // Once round; one more after growing, which makes the new or longer chunk the recent one.
        for _ in 0..self.count {
            if let Ok(block) = self.heaps.get_mut(self.recent)?.allocate_first_fit(layout) {
                return Some(block);
            }
            self.recent += 1;
            if self.recent >= self.count {
                self.recent = 0;
            }
        }
        self.grow(layout)?;
        self.heaps.get_mut(self.recent)?.allocate_first_fit(layout).ok()
    }

    fn grow(&mut self, layout: Layout) -> Option<()> {
        // Before RAM is taken, which cannot be given back.
        if self.count == MOST_CHUNKS {
            return None;
        }
        // A layout is at most half the address space and its alignment less, so neither sum overflows.
        let least = (layout.size() as u64 + layout.align() as u64 + MARGIN) & !4095;
        let least = least + 4096;
        let mut size = least.max(SMALLEST_CHUNK).max(self.total / 8 & !4095);
        let start = match physical::take_contiguous(size) {
            Some(start) => start,
            None => {
                size = least;
                physical::take_contiguous(size)?
            }
        };
        // Next to the last chunk it only has to be made longer.
        if let Some(last) = self.count.checked_sub(1)
            && self.heaps[last].bottom() as u64 + self.heaps[last].size() as u64 == start
        {
            // SAFETY: the memory right behind the heap is now its own.
            unsafe { self.heaps[last].extend(size as usize) };
            self.recent = last;
        } else {
            let slot = self.heaps.get_mut(self.count)?;
            // SAFETY: fresh, mapped, exclusively owned memory that is never given back.
            unsafe { slot.init(start as *mut u8, size as usize) };
            self.recent = self.count;
            self.count += 1;
        }
        self.total += size;
        Some(())
    }

    fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        let address = block.as_ptr() as usize;
        let owner = self.heaps[..self.count]
            .iter_mut()
            .find(|heap| (heap.bottom() as usize..heap.top() as usize).contains(&address));
        if let Some(heap) = owner {
            // SAFETY: the block came from this heap with this layout (Allocator's contract, passed on by our caller).
            unsafe { heap.deallocate(block, layout) }
        }
    }
}

// SAFETY: blocks stay valid until deallocated, wherever the (stateless) allocator value moves; all copies share one heap.
unsafe impl Allocator for KernelHeap {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(NonNull::slice_from_raw_parts(layout.dangling_ptr(), 0));
        }
        let _critical = critical::enter();
        // SAFETY: inside the critical section, and nothing below waits or comes back here.
        let chunks = unsafe { CHUNKS.get() };
        let block = chunks.allocate(layout).ok_or(AllocError)?;
        chunks.used += layout.size() as u64;
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() == 0 {
            return;
        }
        let _critical = critical::enter();
        // SAFETY: as in allocate.
        let chunks = unsafe { CHUNKS.get() };
        chunks.deallocate(block, layout);
        chunks.used -= layout.size() as u64;
    }
}
