//! Pointers that a program passes: checked for null, overflow and the canonical lower half.

use crate::errno::{Errno, Result};

/// First address past the lower half of a 48-bit address space (AMD64 manual, volume 2, section 5.3.1).
const END: usize = 1 << 47;

/// # Safety
/// `pointer` is null or dangling only where `length` is 0; else it is readable for `length` bytes until the call
/// returns.
pub unsafe fn bytes<'a>(pointer: *const u8, length: usize) -> Result<&'a [u8]> {
    if length == 0 {
        return Ok(&[]);
    }
    check(pointer, length)?;
    // SAFETY: not null and in range (just checked); readable for the time of the call (the caller's promise).
    Ok(unsafe { core::slice::from_raw_parts(pointer, length) })
}

/// # Safety
/// As [`bytes`], writable, and nothing else uses the memory until the call returns. It may be uninitialised: it is only
/// written.
pub unsafe fn bytes_mut<'a>(pointer: *mut u8, length: usize) -> Result<&'a mut [u8]> {
    if length == 0 {
        return Ok(&mut []);
    }
    check(pointer, length)?;
    // SAFETY: not null and in range (just checked); writable and unshared for the time of the call (the caller's
    // promise).
    Ok(unsafe { core::slice::from_raw_parts_mut(pointer, length) })
}

/// # Safety
/// `pointer` is null, or points to `count` values of `T` that stay unchanged until the call returns.
pub unsafe fn slice<'a, T>(pointer: *const T, count: usize) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    check_values(pointer, count)?;
    // SAFETY: aligned, not null, in range (just checked); valid values for the time of the call (the caller's promise).
    Ok(unsafe { core::slice::from_raw_parts(pointer, count) })
}

/// # Safety
/// As [`slice`], writable and not shared.
pub unsafe fn slice_mut<'a, T>(pointer: *mut T, count: usize) -> Result<&'a mut [T]> {
    if count == 0 {
        return Ok(&mut []);
    }
    check_values(pointer, count)?;
    // SAFETY: aligned, not null, in range (just checked); valid, writable and unshared for the time of the call (the
    // caller's promise).
    Ok(unsafe { core::slice::from_raw_parts_mut(pointer, count) })
}

/// # Safety
/// `pointer` is null, or points to a value of `T`.
pub unsafe fn read<T: Copy>(pointer: *const T) -> Result<T> {
    check_values(pointer, 1)?;
    // SAFETY: aligned, not null, in range (just checked); a valid value (the caller's promise).
    Ok(unsafe { pointer.read() })
}

/// # Safety
/// `pointer` is null, or is writable for a value of `T`.
pub unsafe fn write<T>(pointer: *mut T, value: T) -> Result<()> {
    check_values(pointer, 1)?;
    // SAFETY: aligned, not null, in range (just checked); writable (the caller's promise).
    unsafe { pointer.write(value) };
    Ok(())
}

fn check_values<T>(pointer: *const T, count: usize) -> Result<()> {
    if !pointer.is_aligned() {
        return Err(Errno::EFAULT);
    }
    check(pointer.cast(), count.checked_mul(size_of::<T>()).ok_or(Errno::EFAULT)?)
}

fn check(pointer: *const u8, length: usize) -> Result<()> {
    let end = pointer.addr().checked_add(length);
    if pointer.is_null() || end.is_none_or(|end| end > END) {
        Err(Errno::EFAULT)
    } else {
        Ok(())
    }
}
