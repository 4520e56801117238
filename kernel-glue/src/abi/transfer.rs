//! Reading and writing through descriptors.

use crate::abi::answer::with_object;
use crate::abi::user;
use crate::errno::{Errno, Result};
use crate::object::Events;
use hermit_abi::{IOV_MAX, iovec};

/// Most bytes a call moves: packets and more urgent threads wait meanwhile, and callers are used to short counts.
pub const AT_ONCE: usize = 64 << 10;
/// Small pieces are gathered into one write of up to so many bytes (more than a TCP segment carries).
const GATHER: usize = 2048;

/// # Safety
/// `buffer` is writable for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_read(fd: i32, buffer: *mut u8, size: usize) -> isize {
    // SAFETY: writable and unshared until the call returns (the caller's promise).
    with_object(fd, |object| {
        object.read(unsafe { user::bytes_mut(buffer, size.min(AT_ONCE)) }?)
    })
}

/// # Safety
/// `bytes` is readable for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_write(fd: i32, bytes: *const u8, size: usize) -> isize {
    // SAFETY: readable until the call returns (the caller's promise).
    with_object(fd, |object| {
        object.write(unsafe { user::bytes(bytes, size.min(AT_ONCE)) }?)
    })
}

/// Fills one buffer after the other; having read something, it goes on only while the next read does not wait.
///
/// # Safety
/// `vectors` points to `count` vectors, each writable for its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_readv(fd: i32, vectors: *const iovec, count: usize) -> isize {
    with_object(fd, |object| {
        let mut total = 0;
        // SAFETY: passed on from this function's own contract.
        for vector in unsafe { checked(vectors, count) }?
            .iter()
            .filter(|vector| vector.iov_len > 0)
        {
            if total > 0 && !object.ready(Events::IN).intersects(Events::IN) {
                break;
            }
            // SAFETY: writable and unshared until the call returns (the caller's promise).
            let buffer = unsafe { user::bytes_mut(vector.iov_base.cast(), vector.iov_len.min(AT_ONCE)) }?;
            let read = match object.read(buffer) {
                Err(errno) if total == 0 => return Err(errno),
                result => result.unwrap_or(0),
            };
            total += read;
            if read < vector.iov_len || total >= AT_ONCE {
                break;
            }
        }
        Ok(total)
    })
}

/// One write of what fits from the start on: a short write, where that is not all, is for the caller to continue.
/// Gathering keeps a header and its body in one packet.
///
/// # Safety
/// `vectors` points to `count` vectors, each readable for its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_writev(fd: i32, vectors: *const iovec, count: usize) -> isize {
    with_object(fd, |object| {
        // SAFETY: passed on from this function's own contract.
        let mut vectors = unsafe { checked(vectors, count) }?
            .iter()
            .filter(|vector| vector.iov_len > 0)
            .peekable();
        let Some(first) = vectors.next() else {
            return object.write(&[]);
        };
        // SAFETY: readable until the call returns (the caller's promise).
        let first = unsafe { user::bytes(first.iov_base.cast(), first.iov_len.min(AT_ONCE)) }?;
        if first.len() >= GATHER || vectors.peek().is_none() {
            return object.write(first);
        }
        let mut gathered = [0; GATHER];
        gathered[..first.len()].copy_from_slice(first);
        let mut filled = first.len();
        for vector in vectors {
            // SAFETY: readable until the call returns (the caller's promise).
            let bytes = unsafe { user::bytes(vector.iov_base.cast(), vector.iov_len) }?;
            let taken = bytes.len().min(GATHER - filled);
            gathered[filled..filled + taken].copy_from_slice(&bytes[..taken]);
            filled += taken;
        }
        object.write(&gathered[..filled])
    })
}

/// # Safety
/// `vectors` points to `count` vectors.
unsafe fn checked<'a>(vectors: *const iovec, count: usize) -> Result<&'a [iovec]> {
    if count > IOV_MAX {
        return Err(Errno::EINVAL);
    }
    // SAFETY: passed on from this function's own contract.
    unsafe { user::slice(vectors, count) }
}
