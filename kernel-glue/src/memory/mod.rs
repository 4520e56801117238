//! Physical memory, page tables, heaps and stacks.

pub mod map;

#[cfg(target_os = "hermit")]
mod kernel_heap;
#[cfg(target_os = "hermit")]
pub mod physical;
#[cfg(target_os = "hermit")]
mod program_heap;
#[cfg(target_os = "hermit")]
pub mod reserve;
#[cfg(target_os = "hermit")]
pub mod stacks;
#[cfg(target_os = "hermit")]
mod virtual_memory;

#[cfg(target_os = "hermit")]
pub use kernel_heap::KernelHeap;
#[cfg(target_os = "hermit")]
pub use program_heap::{program_allocate, program_free, program_reallocate};
#[cfg(target_os = "hermit")]
pub use stacks::{is_guard, is_stack};
#[cfg(target_os = "hermit")]
pub use virtual_memory::{Room, back_stack, init, map_device, map_ram, statistics};

/// Bytes.
#[derive(Clone, Copy, Default, Debug)]
pub struct Statistics {
    pub total: u64,
    pub free: u64,
    pub kernel_heap_used: u64,
    pub kernel_heap_unused: u64,
    pub program_heap_used: u64,
    pub stacks_backed: u64,
}
