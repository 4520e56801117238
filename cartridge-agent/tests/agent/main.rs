//! The agent from the outside: real processes, sockets, files and signals.

mod lifecycle;
mod management;
mod stratos;
mod support;
