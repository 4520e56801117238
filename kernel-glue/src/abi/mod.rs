//! The Hermit ABI: the C functions that std and mio call (signatures and constants: crate hermit-abi 0.5.3).
//!
//! Every function that touches more than the calling thread's own record enters the critical section, checks what the
//! program passed, and answers as both its callers expect: a negative error number as value (std reads that), and the
//! same number as the thread's errno (mio reads that).
//!
//! Pointers are checked for null, overflow and the canonical lower half; a program is trusted as far as its own memory
//! goes (there is one address space), so a wild pointer ends in a fault report, as in any process.

// On the host only the tests use the parts without machine in them.
#![cfg_attr(not(target_os = "hermit"), allow(dead_code))]

mod address;
mod service;

#[cfg(target_os = "hermit")]
mod answer;
#[cfg(target_os = "hermit")]
mod cstr;
#[cfg(target_os = "hermit")]
mod entropy;
#[cfg(target_os = "hermit")]
mod files;
#[cfg(target_os = "hermit")]
mod memory;
#[cfg(target_os = "hermit")]
mod names;
#[cfg(target_os = "hermit")]
mod poll;
#[cfg(target_os = "hermit")]
mod process;
#[cfg(target_os = "hermit")]
mod sockets;
#[cfg(target_os = "hermit")]
mod threads;
#[cfg(target_os = "hermit")]
mod time;
#[cfg(target_os = "hermit")]
mod transfer;
#[cfg(target_os = "hermit")]
mod user;
