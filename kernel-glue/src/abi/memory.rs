//! The program's heap.

use crate::{critical, memory};
use core::ptr;

/// A block that is larger is copied outside the kernel, bytes: interrupts are not seen to meanwhile.
const LARGE: usize = 64 << 10;

/// Null when there is no memory left: std then reports that and aborts.
#[unsafe(no_mangle)]
pub extern "C" fn sys_malloc(size: usize, align: usize) -> *mut u8 {
    let _critical = critical::enter();
    memory::program_allocate(size, align)
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_alloc(size: usize, align: usize) -> *mut u8 {
    sys_malloc(size, align)
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_alloc_zeroed(size: usize, align: usize) -> *mut u8 {
    let pointer = sys_malloc(size, align);
    if !pointer.is_null() {
        // SAFETY: just allocated with `size` bytes, and nobody else has it yet.
        unsafe { ptr::write_bytes(pointer, 0, size) };
    }
    pointer
}

/// # Safety
/// `pointer` came from this allocator with `size` and `align`, and is not used afterwards unless null is returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_realloc(pointer: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
    if size > LARGE && new_size > size {
        let larger = sys_malloc(new_size, align);
        if !larger.is_null() {
            // SAFETY: two blocks of at least `size` bytes, the new one nobody else's; the old one is not used after this.
            unsafe {
                ptr::copy_nonoverlapping(pointer, larger, size);
                sys_free(pointer, size, align);
            }
            return larger;
        }
        // Without room for both, it may still grow where it is.
    }
    let _critical = critical::enter();
    // SAFETY: passed on from this function's own contract.
    unsafe { memory::program_reallocate(pointer, size, align, new_size) }
}

/// # Safety
/// `pointer` came from this allocator with `size` and `align`, and is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_free(pointer: *mut u8, size: usize, align: usize) {
    let _critical = critical::enter();
    // SAFETY: passed on from this function's own contract.
    unsafe { memory::program_free(pointer, size, align) }
}

/// # Safety
/// As [`sys_free`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_dealloc(pointer: *mut u8, size: usize, align: usize) {
    // SAFETY: passed on from this function's own contract.
    unsafe { sys_free(pointer, size, align) }
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_getpagesize() -> i32 {
    4096
}
