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
#![cfg_attr(target_os = "hermit", feature(allocator_api, optimize_attribute))]
// On the host only the tests use what they test.
#![cfg_attr(not(target_os = "hermit"), allow(dead_code, unused_imports))]

extern crate alloc;
#[cfg(any(test, feature = "fuzz"))]
extern crate std;

mod abi;
mod acpi;
mod clock;
mod console;
mod errno;
#[cfg(all(feature = "fuzz", not(target_os = "hermit")))]
pub mod fuzz;
mod heap;
mod memory;
mod net;
mod object;
mod pci;
mod smbios;
mod thread;
mod thread_types;
mod virtio;

#[cfg(target_os = "hermit")]
mod arch;
#[cfg(target_os = "hermit")]
mod boot;
#[cfg(target_os = "hermit")]
mod critical;
#[cfg(target_os = "hermit")]
mod devices;
#[cfg(target_os = "hermit")]
mod entropy;
#[cfg(target_os = "hermit")]
mod interrupt;
#[cfg(target_os = "hermit")]
mod power;

mod file;
