//! Measuring a cartridge: what a boot costs, and what a request costs.
//!
//! Guest instructions depend little on the host's load, so they are what to compare; wall time is what to report. Traps:
//! - **Fresh connections.** QEMU's user-mode network accepts a forwarded connection on the host at once and sends the guest a
//!   SYN, which it repeats with a back-off of seconds. One early connection would measure that back-off; see [`first_200`].
//! - **Counting from outside.** A count is read when a line or an answer arrives at the host, a little after the guest
//!   produced it. A guest that then halts adds nothing; one that polls would.
//! - A repeated string instruction (`rep movs`) weighs little and `hlt` nothing. Never compare across hosts by time.

mod answer;
mod boot;
mod http;
mod wrk;

use std::time::Duration;

use crate::error::{Error, Reason};
use crate::guest::Guest;

pub use answer::first_200;
pub use boot::{BootOptions, BootReport, boot};
pub use http::{HttpOptions, HttpReport, http};

/// How one knows that a guest is ready.
#[derive(Clone, Debug)]
pub enum Ready {
    /// A console line with this text in it.
    Line(String),
    /// The first answer; the guest says nothing.
    Answer,
}

impl Ready {
    /// The agent's life-cycle line.
    pub fn agent() -> Ready {
        Ready::Line("\"state\":\"Active\"".to_owned())
    }

    /// When the guest became ready, since its start; none if it does not say.
    pub fn wait(&self, guest: &Guest, limit: Duration) -> Result<Option<Duration>, Error> {
        match self {
            Ready::Line(text) => {
                let line = guest.wait_for("line that says the guest is ready", limit, |line| line.contains(text))?;
                Ok(Some(line.at))
            }
            Ready::Answer => Ok(None),
        }
    }
}

fn image_bytes(path: &std::path::Path) -> Result<u64, Error> {
    let metadata = std::fs::metadata(path);
    metadata
        .map(|metadata| metadata.len())
        .map_err(|source| Error::io(format!("read {}", path.display()), source))
}

/// The middle one; the lower of two middles.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e5).round() / 100.0
}

fn nothing_measured(what: &str) -> Error {
    Reason::Setting(format!("nothing to measure: {what}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_one_of_the_values() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(1.0));
        assert_eq!(median(&[]), None);
    }
}
