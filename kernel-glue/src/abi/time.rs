//! Clocks and sleeping.

use crate::abi::answer::call;
use crate::abi::user;
use crate::errno::{Errno, Result};
use crate::{clock, thread};
use hermit_abi::{CLOCK_REALTIME, timespec};

const NANOSECONDS: u64 = 1_000_000_000;

/// A machine without a wall clock tells the time since boot, as if it had booted at the Unix epoch (std cannot take an
/// error here).
///
/// There are two clocks (hermit-abi names no more): every number but that of the wall clock means the monotonic one.
///
/// # Safety
/// `result` is writable.
#[unsafe(no_mangle)]
// Inlined into its only caller, std's clock, which then sees that its calls succeed with nanoseconds in range: two `unwrap`s,
// and with them all of std's texts for I/O errors, leave an image whose program does not print such errors (13 KB of hello).
#[allow(
    unused_attributes,
    reason = "rustc calls it ignored on an exported function; LLVM honours it, as the image shows"
)]
#[inline(always)]
pub unsafe extern "C" fn sys_clock_gettime(clock_id: i32, result: *mut timespec) -> i32 {
    let now = read(clock_id == CLOCK_REALTIME);
    let time = timespec {
        tv_sec: (now / NANOSECONDS) as i64,
        tv_nsec: (now % NANOSECONDS) as i32,
    };
    // SAFETY: writable (the caller's promise; page 0 is not mapped, so that null is a fault and nothing worse).
    unsafe { result.write(time) };
    0
}

/// The wall clock or the monotonic one, nanoseconds.
#[inline(never)]
fn read(wall: bool) -> u64 {
    let mut now = 0;
    call(|| {
        now = match wall {
            true => clock::wall().unwrap_or_else(clock::now),
            false => clock::now(),
        };
        Ok(())
    });
    now
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_usleep(microseconds: u64) {
    let _ = call(|| Ok(sleep(microseconds.saturating_mul(1_000))));
}

/// # Safety
/// `request` is null or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_nanosleep(request: *const timespec) -> i32 {
    // SAFETY: null or readable (the caller's promise).
    call(|| Ok(sleep(nanoseconds(unsafe { user::read(request) }?)?))) as i32
}

/// EINVAL for what is no duration; what is too long to count is as good as for ever.
pub fn nanoseconds(time: timespec) -> Result<u64> {
    let seconds = u64::try_from(time.tv_sec).map_err(|_| Errno::EINVAL)?;
    let rest = u64::try_from(time.tv_nsec)
        .ok()
        .filter(|rest| *rest < NANOSECONDS)
        .ok_or(Errno::EINVAL)?;
    Ok(seconds.saturating_mul(NANOSECONDS).saturating_add(rest))
}

/// At least that long.
fn sleep(nanoseconds: u64) {
    let deadline = clock::now().saturating_add(nanoseconds);
    while clock::now() < deadline {
        thread::wait(&[], deadline);
    }
}
