//! One value that every thread may use inside the kernel.

use core::cell::{RefCell, RefMut};

/// Rule: used only inside the kernel's critical section ([`crate::critical`]), and never borrowed across a wait.
pub struct Shared<T>(RefCell<T>);

// SAFETY: one CPU runs the kernel and nothing preempts a critical section, so no two threads are ever inside
// `borrow_mut` at once; a borrow that did survive a wait would be caught by the RefCell's own check.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub const fn new(value: T) -> Shared<T> {
        Shared(RefCell::new(value))
    }

    pub fn lock(&self) -> RefMut<'_, T> {
        self.0.borrow_mut()
    }
}
