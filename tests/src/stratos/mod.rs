//! The Stratos side of a cartridge's life, for tests: a real broker, and the platform that a member meets through it.
//!
//! Principles:
//! - **The broker is real.** mosquitto carries every message; what it logged is the witness for what was sent how often.
//! - **The platform is strict.** What the real server would refuse is kept as a refusal, and a test ends by asking for them.
//! - **Goldens come from the protocol's facts**, never from what the agent printed.

pub mod feed;
pub mod golden;
pub mod identity;
pub mod member;
pub mod mosquitto;
pub mod platform;
pub mod record;
pub mod relay;
pub mod server;
mod session;
pub mod story;
pub mod topology;
pub mod witness;

#[cfg(test)]
mod upstream_tests;
