//! The kernel's private heap and the collections that live in it.
//!
//! Memory from here is identity-mapped (virtual address = physical address) and physically contiguous, so a driver may hand
//! its address to a device. In host unit tests the aliases are the ordinary collections.

#[cfg(target_os = "hermit")]
mod private {
    pub use crate::memory::KernelHeap;
    pub type Box<T> = alloc::boxed::Box<T, KernelHeap>;
    pub type Vec<T> = alloc::vec::Vec<T, KernelHeap>;
    pub type Rc<T> = alloc::rc::Rc<T, KernelHeap>;

    pub const fn vec<T>() -> Vec<T> {
        Vec::new_in(KernelHeap)
    }
    /// Boxes `value`, or `None` when the kernel heap is exhausted.
    pub fn try_box<T>(value: T) -> Option<Box<T>> {
        Box::try_new_in(value, KernelHeap).ok()
    }
    /// Puts `value` behind a counted reference, or `None` when the kernel heap is exhausted.
    pub fn try_rc<T>(value: T) -> Option<Rc<T>> {
        Rc::try_new_in(value, KernelHeap).ok()
    }
}

#[cfg(not(target_os = "hermit"))]
mod private {
    pub use alloc::{boxed::Box, rc::Rc, vec::Vec};

    pub const fn vec<T>() -> Vec<T> {
        Vec::new()
    }
    pub fn try_box<T>(value: T) -> Option<Box<T>> {
        Some(Box::new(value))
    }
    pub fn try_rc<T>(value: T) -> Option<Rc<T>> {
        Some(Rc::new(value))
    }
}

pub use private::*;
