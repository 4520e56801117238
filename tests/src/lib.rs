//! Shared helpers of the test suites.
#![forbid(unsafe_code)]

pub mod guest;
pub mod image;
pub mod request;
