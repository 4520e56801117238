//! Files, directories and descriptors.

use crate::abi::answer::{call, with_object};
use crate::abi::{cstr, user};
use crate::errno::{Errno, Result};
use crate::file::eventfd::EventCounter;
use crate::file::{names, table};
use crate::heap;
use crate::object::Stat;
use core::ffi::{c_char, c_void};
use hermit_abi::{
    EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE, F_DUPFD, F_GETFD, F_GETFL, F_SETFD, F_SETFL, FIONBIO, O_NONBLOCK, O_RDWR,
    dirent64, stat, timespec,
};

/// Longest path looked for the end of, bytes with the terminating zero (Linux's PATH_MAX).
const PATH_LIMIT: usize = 4096;

/// # Safety
/// `path` is null or a zero-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_open(path: *const c_char, flags: i32, _mode: i32) -> i32 {
    // SAFETY: passed on from this function's own contract.
    call(|| table::insert(names::open(unsafe { cstr::bytes(path, PATH_LIMIT) }?, flags)?)) as i32
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_close(fd: i32) -> i32 {
    call(|| table::close(fd)) as i32
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_dup(fd: i32) -> i32 {
    call(|| table::insert(table::get(fd)?)) as i32
}

/// F_DUPFD, F_GETFL, F_SETFL (O_NONBLOCK only), F_GETFD, F_SETFD (accepted: nothing is ever executed).
#[unsafe(no_mangle)]
pub extern "C" fn sys_fcntl(fd: i32, command: i32, argument: i32) -> i32 {
    with_object(fd, |object| match command {
        F_DUPFD => {
            let lowest = usize::try_from(argument).map_err(|_| Errno::EINVAL)?;
            table::insert_from(table::get(fd)?, lowest)
        }
        F_GETFL => Ok(O_RDWR | if object.nonblocking() { O_NONBLOCK } else { 0 }),
        F_SETFL => object.set_nonblocking(argument & O_NONBLOCK != 0).map(|()| 0),
        F_GETFD | F_SETFD => Ok(0),
        _ => Err(Errno::EINVAL),
    }) as i32
}

/// FIONBIO only.
///
/// # Safety
/// `argument` is null or points to an `int`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_ioctl(fd: i32, command: i32, argument: *mut c_void) -> i32 {
    with_object(fd, |object| {
        if command != FIONBIO {
            return Err(Errno::ENOTTY);
        }
        // SAFETY: null or an int (the caller's promise).
        object.set_nonblocking(unsafe { user::read(argument.cast::<i32>()) }? != 0)
    }) as i32
}

/// # Safety
/// `path` is null or a zero-terminated string; `result` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_stat(path: *const c_char, result: *mut stat) -> i32 {
    call(|| {
        // SAFETY: null or zero-terminated (the caller's promise).
        let path = unsafe { cstr::bytes(path, PATH_LIMIT) }?;
        // SAFETY: null or writable (the caller's promise).
        unsafe { user::write(result, record(names::stat(path)?)) }
    }) as i32
}

/// There are no symbolic links.
///
/// # Safety
/// As [`sys_stat`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_lstat(path: *const c_char, result: *mut stat) -> i32 {
    // SAFETY: passed on from this function's own contract.
    unsafe { sys_stat(path, result) }
}

/// # Safety
/// `result` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_fstat(fd: i32, result: *mut stat) -> i32 {
    // SAFETY: null or writable (the caller's promise).
    with_object(fd, |object| unsafe { user::write(result, record(object.stat()?)) }) as i32
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_lseek(fd: i32, offset: isize, whence: i32) -> isize {
    with_object(fd, |object| Ok(object.seek(offset as i64, whence)? as usize))
}

/// EINVAL when the entries do not fit into `size` bytes.
///
/// # Safety
/// `records` is null or writable for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_getdents64(fd: i32, records: *mut dirent64, size: usize) -> i64 {
    // SAFETY: null or writable, and unshared until the call returns (the caller's promise).
    with_object(fd, |object| {
        object.read_directory(unsafe { user::bytes_mut(records.cast(), size) }?)
    }) as i64
}

/// # Safety
/// `path` is null or a zero-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_mkdir(path: *const c_char, _mode: u32) -> i32 {
    // SAFETY: passed on from this function's own contract.
    unsafe { with_path(path, names::make_directory) }
}

/// # Safety
/// `path` is null or a zero-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_rmdir(path: *const c_char) -> i32 {
    // SAFETY: passed on from this function's own contract.
    unsafe { with_path(path, names::remove_directory) }
}

/// # Safety
/// `path` is null or a zero-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_unlink(path: *const c_char) -> i32 {
    // SAFETY: passed on from this function's own contract.
    unsafe { with_path(path, names::unlink) }
}

/// Nothing outlives the machine: there is nothing to synchronise with.
#[unsafe(no_mangle)]
pub extern "C" fn sys_fsync(fd: i32) -> i32 {
    with_object(fd, |_| Ok(())) as i32
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_eventfd(value: u64, flags: i16) -> i32 {
    call(|| {
        if flags & !(EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC) != 0 || value == u64::MAX {
            return Err(Errno::EINVAL);
        }
        let counter = EventCounter::new(value, flags & EFD_SEMAPHORE != 0, flags & EFD_NONBLOCK != 0);
        table::insert(heap::try_rc(counter).ok_or(Errno::ENOMEM)?)
    }) as i32
}

/// # Safety
/// `path` is null or a zero-terminated string.
unsafe fn with_path(path: *const c_char, act: fn(&[u8]) -> Result<()>) -> i32 {
    // SAFETY: passed on from this function's own contract.
    call(|| act(unsafe { cstr::bytes(path, PATH_LIMIT) }?)) as i32
}

fn record(of: Stat) -> stat {
    let modified = timespec {
        tv_sec: of.modified,
        tv_nsec: 0,
    };
    stat {
        st_ino: of.inode,
        st_nlink: 1,
        st_mode: of.mode,
        st_size: of.size as i64,
        st_blksize: 4096,
        st_blocks: of.size.div_ceil(512) as i64,
        st_atim: modified,
        st_mtim: modified,
        st_ctim: modified,
        ..Default::default()
    }
}
