//! Bounds on memory, counted for the thread that calls.

use allocation_counter::{measure, opt_out};

/// Runs `work` and checks that it had never more than `limit` bytes of the heap at once, beyond what was there before.
///
/// # Panics
/// When it had.
pub fn heap_at_most<T>(limit: u64, work: impl FnOnce() -> T) -> T {
    let mut result = None;
    let used = measure(|| result = Some(work()));
    assert!(
        used.bytes_max <= limit,
        "{} bytes of heap at once, and {limit} are promised",
        used.bytes_max
    );
    result.expect("it was set in the closure")
}

/// Runs `work` of the target's own, within [`heap_at_most`], without counting it.
pub fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    let mut result = None;
    opt_out(|| result = Some(work()));
    result.expect("it was set in the closure")
}
