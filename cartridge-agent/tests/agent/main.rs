//! The agent from the outside: real processes, sockets, files and signals.

#[cfg(feature = "artifacts")]
mod artifacts;
mod lifecycle;
mod management;
mod stratos;
mod support;
