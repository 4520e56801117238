//! How much memory files may take.

use core::cell::Cell;

/// Bytes left of a fixed limit.
pub struct Budget {
    left: Cell<usize>,
}

impl Budget {
    pub const fn new(limit: usize) -> Budget {
        Budget { left: Cell::new(limit) }
    }

    pub fn left(&self) -> usize {
        self.left.get()
    }

    /// Takes `bytes`, or nothing and false.
    pub fn take(&self, bytes: usize) -> bool {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.unwrap_or(self.left.get()));
        left.is_some()
    }

    pub fn give_back(&self, bytes: usize) {
        self.left.set(self.left.get() + bytes);
    }
}
