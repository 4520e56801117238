//! Threads: preemptive, with priorities, wait channels and futexes.
//!
//! - `scheduler` decides who runs; `waiting` is channels, deadlines and futexes; `life` is spawn, exit and join.
//! - `queue`, `timers` and `channels` are the lists they work with, and `load` is the load average, tested on the host.
//! - One CPU. A switch happens only inside the critical section; each thread has its own depth of it, kept across switches.
//! - There is no idle thread: the thread that finds nothing to run polls the devices and halts on its own stack.

pub mod channels;
pub mod load;
pub mod queue;
pub mod timers;

#[cfg(target_os = "hermit")]
mod life;
#[cfg(target_os = "hermit")]
mod scheduler;
#[cfg(target_os = "hermit")]
mod waiting;

pub use crate::thread_types::{Channel, Wake};
#[cfg(target_os = "hermit")]
pub use life::{begin, join, spawn};
#[cfg(target_os = "hermit")]
pub use scheduler::{
    Poller, breathe, current_id, denied, errno, leave_kernel, preempted, priority, set_denied, set_errno, set_poller,
    set_priority, start, statistics, yield_now,
};
#[cfg(target_os = "hermit")]
pub use waiting::{futex_wait, futex_wake, wait, wake};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Priority {
    Normal,
    High,
}

/// What the scheduler tells of itself.
#[derive(Clone, Copy, Default, Debug)]
pub struct Statistics {
    pub threads: usize,
    /// Nanoseconds the CPU was halted.
    pub idle_ns: u64,
    /// Nanoseconds it was not.
    pub busy_ns: u64,
    /// The load average of the last minute, in hundredths of a thread.
    pub load_hundredths: u64,
}
