//! The kernel's only kind of critical section.
//!
//! Rule: every entry into the kernel (ABI call, trap that may schedule) holds a [`Critical`]; while the depth is not zero an
//! interrupt leaves a mark, acknowledges and returns, and no other thread runs. Interrupt handlers touch atomics and device
//! registers only. A thread that waits gives its depth up to the scheduler and has it back when `wait` returns. The calling
//! thread's own number and errno are read without: nobody else changes them.
//!
//! Kernel state lives in [`Guarded`] cells, which can only be reached through this rule.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed, Ordering::SeqCst, compiler_fence};

/// How many [`Critical`]s are held; the machine starts inside the kernel. Read by the interrupt stub (arch/interrupts.rs).
pub static DEPTH: AtomicU32 = AtomicU32::new(1);

/// What has to be looked at when the kernel is left: a set of [`INTERRUPTED`] and [`OUTRANKED`].
pub static ATTENTION: AtomicU32 = AtomicU32::new(0);
/// An interrupt came while the kernel ran (set by the interrupt stub).
pub const INTERRUPTED: u32 = 1;
/// A thread that outranks the running one became ready.
pub const OUTRANKED: u32 = 2;

/// Proof that the kernel may touch its state. Not `Send`: it belongs to the thread that entered.
pub struct Critical(core::marker::PhantomData<*const ()>);

#[inline(always)]
pub fn enter() -> Critical {
    // One CPU, and an interrupt leaves the depth as it found it: load and store need not be one instruction.
    DEPTH.store(DEPTH.load(Relaxed) + 1, Relaxed);
    compiler_fence(SeqCst);
    Critical(core::marker::PhantomData)
}

impl Drop for Critical {
    #[inline(always)]
    fn drop(&mut self) {
        compiler_fence(SeqCst);
        let depth = DEPTH.load(Relaxed) - 1;
        DEPTH.store(depth, Relaxed);
        // Looked at after the store: an interrupt before it leaves a mark that is seen here, one after it preempts by itself.
        if depth == 0 && ATTENTION.load(Relaxed) != 0 {
            crate::thread::leave_kernel();
        }
    }
}

/// Kernel state that only code inside the critical section touches.
pub struct Guarded<T>(UnsafeCell<T>);

// SAFETY: one CPU runs, and `get` demands that its caller holds the critical section, so accesses never overlap.
unsafe impl<T> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    pub const fn new(value: T) -> Self {
        Guarded(UnsafeCell::new(value))
    }

    /// The state itself.
    ///
    /// # Safety
    /// The caller holds a [`Critical`], does not wait while it uses the reference, and no other reference from `get` to the
    /// same cell is in use meanwhile.
    #[allow(clippy::mut_from_ref)] // the whole point: exclusivity comes from the critical section, not from the borrow checker
    #[inline(always)]
    pub unsafe fn get(&self) -> &mut T {
        // SAFETY: exclusive by this function's contract.
        unsafe { &mut *self.0.get() }
    }
}
