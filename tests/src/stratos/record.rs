//! What the platform received, message by message.

use anyhow::{Context, Result};
use serde_json::Value;
use std::time::Instant;

/// Where members publish; every other topic is the platform's own.
const OF_MEMBERS: [&str; 2] = ["initializer/", "instance/status/"];

/// A message as it arrived at the platform.
#[derive(Debug, Clone)]
pub struct Seen {
    pub topic: String,
    pub payload: Vec<u8>,
    /// The lesser of what it was published and subscribed with; we subscribe with 2.
    pub qos: u8,
    pub is_retained: bool,
    pub at: Instant,
}

impl Seen {
    pub fn is_of_a_member(&self) -> bool {
        OF_MEMBERS.iter().any(|start| self.topic.starts_with(start))
    }

    /// The event's name: the last level of its topic.
    pub fn event(&self) -> &str {
        self.topic.rsplit('/').next().unwrap_or_default()
    }

    pub fn json(&self) -> Result<Value> {
        let shown = || format!("{}: {:?}", self.topic, String::from_utf8_lossy(&self.payload));
        serde_json::from_slice(&self.payload).with_context(shown)
    }

    /// The member that it speaks for, if it names one.
    pub fn member(&self) -> Option<String> {
        Some(self.json().ok()?["memberId"].as_str()?.to_owned())
    }
}
