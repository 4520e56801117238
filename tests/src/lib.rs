//! Shared helpers of the test suites.
#![forbid(unsafe_code)]

pub mod clients;
pub mod guest;
pub mod image;
pub mod request;
