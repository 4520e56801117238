//! The cartridge agent without I/O: bytes and time in, actions out.
//!
//! Everything here is `no_std`, allocates nothing (but for `stratos`, within stated bounds), never blocks and never panics on input from outside, so the same
//! code runs in a virtual machine, in a Linux process, in unit tests and under a fuzzer. The driver (crate
//! `cartridge-agent`) owns threads, sockets, files and the clock, and does what the core says:
//!
//! - [`payload`] tells the forms of a payload, [`parameters`] reads it, and [`settings`] the agent's own keys in it;
//! - [`metadata`] asks a cloud's metadata service for the payload;
//! - [`machine`] is the life cycle of a member: readiness, ordered stop, drain deadline;
//! - [`control`] is the seam for control planes (who says when a member may start, and who is told of its states);
//! - `stratos` (a feature) is the adapter for Apache Stratos, [`figures`] what any control plane is told of the member's health;
//! - [`http`], [`management`] and [`metrics`] are the management endpoint;
//! - [`log`] makes JSON lines, [`time`] their time stamps, [`network`] the words of the guest's `network` file.
//!
//! It is in every image, so its size counts: `#[inline(never)]` marks what several places call or what would grow its caller (the
//! code of each is then there once), and what differs only in its texts is told apart at run time. Each was measured with
//! `./cartridge inspect apps/hello`.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "stratos")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod control;
pub mod figures;
pub mod http;
pub mod json;
pub mod lifecycle;
pub mod log;
pub mod machine;
pub mod management;
pub mod metadata;
pub mod metrics;
pub mod network;
pub mod parameters;
pub mod payload;
pub mod settings;
#[cfg(feature = "stratos")]
pub mod stratos;
pub mod text;
pub mod time;
