//! Memory shared with a device: page-aligned, physically contiguous, identity-mapped.

use crate::heap::{self, Vec};
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// Legacy devices are told of a queue by page number (virtio 4.2.4).
pub const PAGE: usize = 4096;

#[repr(C, align(4096))]
struct Page(MaybeUninit<[u8; PAGE]>);

/// A block of memory that a device may write at any time until it is reset. Not cleared: nothing touches what is not used.
pub struct DeviceMemory {
    /// Only ever reserved: the vector owns the allocation and has no elements.
    _pages: Vec<Page>,
    start: NonNull<u8>,
}

impl DeviceMemory {
    /// `None` when the kernel heap is exhausted.
    pub fn allocate(bytes: usize) -> Option<Self> {
        let mut pages = heap::vec();
        pages.try_reserve_exact(bytes.div_ceil(PAGE)).ok()?;
        let start = NonNull::new(pages.as_mut_ptr())?.cast();
        Some(Self { _pages: pages, start })
    }

    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The address the device uses. Kernel-heap memory is identity-mapped, so it is the pointer's.
    pub fn physical(&self) -> u64 {
        self.start.as_ptr() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_whole_aligned_pages() {
        let memory = DeviceMemory::allocate(PAGE + 1).unwrap();
        assert_eq!((memory._pages.capacity(), memory.physical() % PAGE as u64), (2, 0));
    }
}
