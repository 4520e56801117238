//! Files: read-only ones compiled into the image, a small in-memory /tmp, and the guest interface under /run/cartridge.
//!
//! [`names`] is the tree that a program sees; an open file is an [`Object`](crate::object::Object) in [`table`]. The
//! parts without machine in them (paths, the image's blob, listings, the tree behind /tmp) are tested on the host.

// On the host only the tests use them.
#![cfg_attr(not(target_os = "hermit"), allow(dead_code))]

mod budget;
mod content;
mod dirent;
pub mod image;
pub mod listing;
mod path;
mod tree;

#[cfg(target_os = "hermit")]
mod console;
#[cfg(target_os = "hermit")]
pub mod eventfd;
#[cfg(target_os = "hermit")]
pub mod names;
#[cfg(target_os = "hermit")]
mod regular;
#[cfg(target_os = "hermit")]
pub mod shared;
#[cfg(target_os = "hermit")]
mod special;
#[cfg(target_os = "hermit")]
mod statistics;
#[cfg(target_os = "hermit")]
pub mod table;

/// Seconds since the Unix epoch, 0 when the machine has no wall clock.
#[cfg(target_os = "hermit")]
fn clock_seconds() -> i64 {
    (crate::clock::wall().unwrap_or(0) / 1_000_000_000) as i64
}
