//! A typed launcher for QEMU guests.
//!
//! Principles:
//! - **Always a deadline.** Every wait takes a limit, and a guest may carry a deadline of its own past which it is killed.
//! - **Nothing stays behind.** Dropping a [`Guest`] kills and reaps QEMU; when this process dies, by whatever signal, the
//!   Linux kernel kills QEMU with it (see [`guard`]).
//! - **Every failure can be repeated by hand.** An [`Error`] carries the shell command, what QEMU said, and the console's
//!   last lines.
//!
//! Two things to know about QEMU's user-mode network before blaming a guest:
//! - it accepts a forwarded connection on the host at once and only then sends the SYN to the guest, re-sending with a
//!   back-off of seconds. A client that connects before the guest listens may wait long after the guest is ready, so whatever
//!   polls for readiness opens fresh connections;
//! - it listens on the host with a backlog of 1. Clients that connect in bursts of hundreds see connect time-outs of a second
//!   or more (a dropped SYN on the host's loopback) that no guest ever saw.
#![forbid(unsafe_code)]

mod command;
mod console;
mod error;
pub mod guard;
mod guest;
#[cfg(test)]
mod guest_tests;
pub mod kvm;
mod launch;
mod machine;
pub mod measure;
mod plugin;
mod probe_guest;
pub mod process;
mod qmp;

pub use console::{Interrupter, Line};
pub use error::{Details, Error, Reason};
pub use guest::{Exit, Guest};
pub use launch::{Forward, Launch, Network};
pub use machine::{Accel, Firmware, Machine, NetworkCard};
pub use plugin::Counts;
pub use qmp::{Qmp, RunState};
