//! Threads and futexes.

use crate::abi::answer::call;
use crate::abi::{time, user};
use crate::clock;
use crate::errno::Errno;
use crate::thread::{self, Priority};
use core::sync::atomic::AtomicU32;
use hermit_abi::{FUTEX_RELATIVE_TIMEOUT, HIGH_PRIO, Tid, timespec};

/// Stack of a thread that does not ask for a size, bytes (std's own default on this target).
const DEFAULT_STACK: usize = 1 << 20;

/// Starts a thread; 0 when it cannot be started. Everything below `HIGH_PRIO` is the normal priority. `core` is
/// ignored: one CPU runs. A thread is at least as urgent as the one that starts it: the agent's threads must not wait
/// behind an app that computes before they can say that they are urgent (std always asks for the normal priority).
#[unsafe(no_mangle)]
pub extern "C" fn sys_spawn2(
    entry: extern "C" fn(usize),
    argument: usize,
    priority: u8,
    stack: usize,
    _core: isize,
) -> Tid {
    let priority = if priority >= HIGH_PRIO.into() {
        Priority::High
    } else {
        Priority::Normal
    };
    call(|| thread::spawn(entry, argument, stack, priority.max(thread::priority()))).max(0) as Tid
}

/// # Safety
/// `id` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_spawn(
    id: *mut Tid,
    entry: extern "C" fn(usize),
    argument: usize,
    priority: u8,
    core: isize,
) -> i32 {
    let started = sys_spawn2(entry, argument, priority, DEFAULT_STACK, core);
    if started == 0 {
        return -thread::errno();
    }
    if id.is_null() {
        return 0;
    }
    // SAFETY: not null, so writable (the caller's promise).
    call(|| unsafe { user::write(id, started) }) as i32
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_join(id: Tid) -> i32 {
    call(|| Ok(thread::join(id))) as i32
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_yield() {
    let _ = call(|| Ok(thread::yield_now()));
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_getpid() -> i32 {
    thread::current_id() as i32
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_available_parallelism() -> usize {
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_get_processor_count() -> usize {
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_get_errno() -> i32 {
    thread::errno()
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_errno() -> i32 {
    thread::errno()
}

/// Waits while `*address` is `expected`. The time-out is absolute on the monotonic clock, or relative with flag 1;
/// null: none.
///
/// # Safety
/// `address` is null or an atomic word that lives until the call returns; `timeout` is null or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_futex_wait(address: *mut u32, expected: u32, timeout: *const timespec, flags: u32) -> i32 {
    call(|| {
        if address.is_null() || !address.is_aligned() || flags & !FUTEX_RELATIVE_TIMEOUT != 0 {
            return Err(Errno::EINVAL);
        }
        let mut deadline = u64::MAX;
        if !timeout.is_null() {
            // SAFETY: readable (the caller's promise).
            deadline = time::nanoseconds(unsafe { user::read(timeout) }?)?;
            if flags & FUTEX_RELATIVE_TIMEOUT != 0 {
                deadline = deadline.saturating_add(clock::now());
            }
        }
        // SAFETY: not null, aligned, and an atomic word for the time of the call (the caller's promise).
        thread::futex_wait(unsafe { AtomicU32::from_ptr(address) }, expected, deadline)
    }) as i32
}

/// Wakes up to `count` waiters and returns how many. The address is only compared, never read.
#[unsafe(no_mangle)]
pub extern "C" fn sys_futex_wake(address: *mut u32, count: i32) -> i32 {
    call(|| {
        let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
        if address.is_null() {
            return Err(Errno::EINVAL);
        }
        Ok(thread::futex_wake(address.cast::<AtomicU32>(), count).min(i32::MAX as usize) as i32)
    }) as i32
}
