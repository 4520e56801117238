//! kernel-glue: everything between the hypervisor and std.
//!
//! An ordinary Rust program compiled for `x86_64-unknown-hermit` calls about fifty C functions (the Hermit ABI). This crate
//! implements them, and boots the machine underneath. Its principles:
//!
//! 1. One kind of critical section ([`critical`]): kernel state is only touched inside it, and nothing preempts it.
//! 2. The kernel allocates from its own heap ([`heap`]); the program's allocator never runs inside the kernel.
//! 3. Nothing grows with RAM, and no wait is without a deadline unless its caller asked for that.
//! 4. What comes from outside (rings, packets, tables, payload) is untrusted until checked; it can never panic the kernel.
#![no_std]
#![cfg_attr(target_os = "hermit", feature(allocator_api, btreemap_alloc))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod abi;
pub mod acpi;
pub mod clock;
pub mod console;
pub mod errno;
pub mod heap;
pub mod memory;
pub mod net;
pub mod object;
pub mod pci;
pub mod thread;
pub mod thread_types;
pub mod virtio;

#[cfg(target_os = "hermit")]
pub mod arch;
#[cfg(target_os = "hermit")]
pub mod boot;
#[cfg(target_os = "hermit")]
pub mod critical;
#[cfg(target_os = "hermit")]
pub mod devices;
#[cfg(target_os = "hermit")]
pub mod entropy;
#[cfg(target_os = "hermit")]
pub mod interrupt;
#[cfg(target_os = "hermit")]
pub mod power;

pub mod file;
