//! Zero-terminated strings that a program passes.

use crate::errno::{Errno, Result};
use core::ffi::c_char;

/// The bytes before the terminating zero; ENAMETOOLONG when there is none within `limit` bytes.
///
/// # Safety
/// `text` is null, or points to readable bytes up to a zero byte or `limit`, that stay unchanged until the call
/// returns.
pub unsafe fn bytes<'a>(text: *const c_char, limit: usize) -> Result<&'a [u8]> {
    if text.is_null() {
        return Err(Errno::EFAULT);
    }
    let text = text.cast::<u8>();
    for length in 0..limit {
        // SAFETY: no zero byte was met before `length`, which is below the limit, so this byte is readable (the
        // caller's promise).
        if unsafe { text.add(length).read() } == 0 {
            // SAFETY: the bytes before it were all just read, and stay unchanged for the time of the call (the caller's
            // promise).
            return Ok(unsafe { core::slice::from_raw_parts(text, length) });
        }
    }
    Err(Errno::ENAMETOOLONG)
}
