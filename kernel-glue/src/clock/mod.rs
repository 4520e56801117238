//! Monotonic and wall clock.

pub mod civil;
pub mod scale;

#[cfg(target_os = "hermit")]
pub mod paravirtual;
#[cfg(target_os = "hermit")]
mod pit;
#[cfg(target_os = "hermit")]
mod reference;
#[cfg(target_os = "hermit")]
mod rtc;
#[cfg(target_os = "hermit")]
mod time;

#[cfg(target_os = "hermit")]
pub use time::{init, longest_sleep, now, refine, settle, ticks, wall};
