//! Monotonic and wall clock.

/// Nanoseconds since boot.
#[cfg(target_os = "hermit")]
pub fn now() -> u64 {
    unimplemented!()
}

/// Nanoseconds since the Unix epoch, or `None` when the machine has no wall clock.
#[cfg(target_os = "hermit")]
pub fn wall() -> Option<u64> {
    unimplemented!()
}
