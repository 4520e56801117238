//! Shared helpers of the test suites.
#![forbid(unsafe_code)]

pub mod archives;
pub mod clients;
pub mod cloud;
pub mod databridge;
pub mod generic;
pub mod guest;
pub mod host;
pub mod image;
pub mod port;
pub mod process;
pub mod prometheus;
pub mod request;
pub mod running;
pub mod signal;
pub mod stratos;
pub mod target;
pub mod wire;
