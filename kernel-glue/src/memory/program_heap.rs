//! The program's heap, behind sys_malloc and friends.

use super::physical;
use crate::critical::Guarded;
use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use talc::{OomHandler, Span, Talc};

static HEAP: Guarded<Talc<Grow>> = Guarded::new(Talc::new(Grow {
    last: Span::empty(),
    end: 0,
}));
static USED: AtomicU64 = AtomicU64::new(0);

/// Thread whose last allocation failed (0: none), and the bytes it asked for.
static FAILED_THREAD: AtomicU32 = AtomicU32::new(0);
static FAILED_SIZE: AtomicU64 = AtomicU64::new(0);

/// Takes RAM from below in steps that grow with what is free: few steps on a large machine, little waste on a small one.
struct Grow {
    /// The span that grew last, and where the RAM taken for it ends.
    last: Span,
    end: u64,
}
const SMALLEST_STEP: u64 = 32 << 10;
const LARGEST_STEP: u64 = 8 << 20;
/// Talc's own book-keeping in a fresh span.
const MARGIN: u64 = 4096;

impl OomHandler for Grow {
    fn handle_oom(talc: &mut Talc<Self>, layout: Layout) -> Result<(), ()> {
        let least = (layout.size() as u64 + layout.align() as u64 + MARGIN).next_multiple_of(4096);
        let step = (physical::free() / 64).clamp(SMALLEST_STEP, LARGEST_STEP) & !4095;
        let found = [least.max(step), least]
            .into_iter()
            .find_map(|size| Some((physical::take_contiguous(size)?, size)));
        let (start, size) = found.ok_or(())?;
        let end = start + size;
        // SAFETY: fresh, mapped memory of our own; `last` is a span claimed here, never shrunk, that ends where this begins.
        talc.oom_handler.last = unsafe {
            match talc.oom_handler.last.get_base_acme() {
                Some((base, _)) if talc.oom_handler.end == start => {
                    talc.extend(talc.oom_handler.last, Span::new(base, end as *mut u8))
                }
                _ => talc.claim(Span::new(start as *mut u8, end as *mut u8))?,
            }
        };
        talc.oom_handler.end = end;
        Ok(())
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
    let block = layout(size, align).and_then(|layout| unsafe { HEAP.get().malloc(layout) }.ok());
    match block {
        Some(block) => {
            USED.store(USED.load(Relaxed) + size as u64, Relaxed);
            FAILED_THREAD.store(0, Relaxed);
            block.as_ptr()
        }
        None => failed(size),
    }
}

#[cold]
fn failed(size: usize) -> *mut u8 {
    FAILED_SIZE.store(size as u64, Relaxed);
    FAILED_THREAD.store(crate::thread::current_id(), Relaxed);
    core::ptr::null_mut()
}

/// Bytes the calling thread asked for in vain, if that was the last thing anyone asked.
pub fn exhausted() -> Option<u64> {
    let thread = FAILED_THREAD.load(Relaxed);
    (thread != 0 && thread == crate::thread::current_id()).then(|| FAILED_SIZE.load(Relaxed))
}

pub fn used() -> u64 {
    USED.load(Relaxed)
}

/// # Safety
/// `pointer` came from [`program_allocate`] with the same size and alignment.
pub unsafe fn program_free(pointer: *mut u8, size: usize, align: usize) {
    let (Some(layout), Some(block)) = (layout(size, align), NonNull::new(pointer)) else {
        return;
    };
    USED.store(USED.load(Relaxed) - size as u64, Relaxed);
    // SAFETY: inside the critical section; the block is the caller's promise.
    unsafe { HEAP.get().free(block, layout) }
}

/// # Safety
/// As [`program_free`].
pub unsafe fn program_reallocate(pointer: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
    let (Some(old), Some(block)) = (layout(size, align), NonNull::new(pointer)) else {
        return program_allocate(new_size, align);
    };
    if layout(new_size, align).is_none() {
        return failed(new_size);
    }
    // SAFETY: inside the critical section; the block is the caller's promise, and the sizes were checked.
    unsafe {
        let heap = HEAP.get();
        let wanted = new_size.max(1);
        if wanted <= old.size() {
            heap.shrink(block, old, wanted);
        } else if heap.grow_in_place(block, old, wanted).is_err() {
            let moved = program_allocate(new_size, align);
            if !moved.is_null() {
                core::ptr::copy_nonoverlapping(pointer, moved, size);
                program_free(pointer, size, align);
            }
            return moved;
        }
    }
    USED.store(USED.load(Relaxed) - size as u64 + new_size as u64, Relaxed);
    pointer
}
