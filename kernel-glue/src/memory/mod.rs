//! Physical memory, page tables, heaps and stacks.

use core::ptr::NonNull;

/// The allocator of the kernel's private heap.
#[derive(Clone, Copy)]
pub struct KernelHeap;

unsafe impl core::alloc::Allocator for KernelHeap {
    fn allocate(&self, _layout: core::alloc::Layout) -> Result<NonNull<[u8]>, core::alloc::AllocError> {
        unimplemented!()
    }
    unsafe fn deallocate(&self, _pointer: NonNull<u8>, _layout: core::alloc::Layout) {
        unimplemented!()
    }
}

/// Maps `length` bytes of device memory at `physical`, uncached and not executable; identity address. Idempotent.
pub fn map_device(_physical: u64, _length: usize) -> Option<NonNull<u8>> {
    unimplemented!()
}

/// Bytes.
#[derive(Clone, Copy, Default, Debug)]
pub struct Statistics {
    pub total: u64,
    pub free: u64,
    pub kernel_heap_used: u64,
    pub program_heap_used: u64,
    pub stacks_backed: u64,
}

pub fn statistics() -> Statistics {
    unimplemented!()
}

/// The program's heap (sys_malloc and friends); null when exhausted.
pub fn program_allocate(_size: usize, _align: usize) -> *mut u8 {
    unimplemented!()
}
/// # Safety
/// `pointer` came from [`program_allocate`] with the same size and alignment.
pub unsafe fn program_free(_pointer: *mut u8, _size: usize, _align: usize) {
    unimplemented!()
}
/// # Safety
/// As [`program_free`].
pub unsafe fn program_reallocate(_pointer: *mut u8, _size: usize, _align: usize, _new_size: usize) -> *mut u8 {
    unimplemented!()
}
