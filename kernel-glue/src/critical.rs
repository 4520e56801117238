//! The kernel's only kind of critical section.
//!
//! Rule: every entry into the kernel (ABI call, trap that may schedule) holds a [`Critical`]; while the depth is not zero an
//! interrupt counts, acknowledges and returns, and no other thread runs. Interrupt handlers touch atomics only. A thread that
//! waits gives its depth up to the scheduler and has it back when `wait` returns.

pub struct Critical(());

pub fn enter() -> Critical {
    unimplemented!()
}

impl Drop for Critical {
    fn drop(&mut self) {}
}
