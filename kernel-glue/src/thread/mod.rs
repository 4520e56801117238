//! Threads: preemptive, with priorities, wait channels and futexes.

pub use crate::thread_types::{Channel, Wake};

/// What moves packets (or any other polled work) when threads do not: called by the scheduler, never re-entered.
pub trait Poller {
    /// Does a bounded amount of work: called when idle, at preemption and every few switches.
    fn poll(&self);
    /// Monotonic nanoseconds at which `poll` next has something to do; `u64::MAX` for never.
    fn deadline(&self) -> u64;
    /// Asks the device for an interrupt; false when work is already there (then do not sleep).
    fn arm(&self) -> bool;
}

pub fn set_poller(_poller: &'static dyn Poller) {
    unimplemented!()
}

/// Blocks the calling thread until one of `channels` is woken or the monotonic clock reaches `deadline` (ns; `u64::MAX`: never).
pub fn wait(_channels: &[Channel], _deadline: u64) -> Wake {
    unimplemented!()
}

/// Makes up to `limit` threads that wait on `channel` runnable; returns how many.
pub fn wake(_channel: Channel, _limit: usize) -> usize {
    unimplemented!()
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Priority {
    Normal,
    High,
}

/// Changes the calling thread's priority.
pub fn set_priority(_priority: Priority) {
    unimplemented!()
}

pub fn yield_now() {
    unimplemented!()
}
pub fn current_id() -> u32 {
    unimplemented!()
}
pub fn errno() -> i32 {
    unimplemented!()
}
pub fn set_errno(_errno: i32) {
    unimplemented!()
}
/// Starts a thread; its stack is lazily backed, `stack` bytes long, with a guard page below.
pub fn spawn(
    _entry: extern "C" fn(usize),
    _argument: usize,
    _stack: usize,
    _priority: Priority,
) -> crate::errno::Result<u32> {
    unimplemented!()
}
/// Waits until thread `id` has ended (at once when there is none).
pub fn join(_id: u32) {
    unimplemented!()
}
pub fn exit() -> ! {
    unimplemented!()
}
/// Futex on `word`: 0, or the error. `deadline` as in [`wait`].
pub fn futex_wait(_word: &core::sync::atomic::AtomicU32, _expected: u32, _deadline: u64) -> crate::errno::Result<()> {
    unimplemented!()
}
pub fn futex_wake(_word: *const core::sync::atomic::AtomicU32, _count: usize) -> usize {
    unimplemented!()
}
