//! What the agent will make of the defaults in an image and a payload: asked of its own parser, so that there is no second one.

use crate::command::Error;
use cartridge_agent_core::parameters::{Parameters, SIZE_LIMIT};
use cartridge_agent_core::{payload, settings};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// A member as its launch parameters describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What must accept connections before it is Active.
    pub ports: Vec<u16>,
    /// How long its app may finish its work after a stop was asked for.
    pub drain: Duration,
}

impl Member {
    pub fn new(defaults: &[u8], payload: &[u8]) -> Self {
        // What is wrong with the payload, the agent says in its log.
        let mut payload = payload.to_vec();
        let length = payload::read(&mut payload).unwrap_or(0);
        let settings = settings::read(&Parameters::new(defaults, &payload[..length]), &mut |_| {});
        Self {
            ports: settings.ports.as_slice().to_vec(),
            drain: settings.drain,
        }
    }
}

/// The payload in the file `path`. Of one that is larger than the agent takes, just so much that the agent will say so.
pub fn payload(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(SIZE_LIMIT as u64 + 1).read_to_end(&mut bytes));
    read.map_err(Error::io("read the payload", path))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: &[u8] = b"CARTRIDGE_NAME=x,PORTS=8080|9443,DRAIN_SECONDS=3";

    #[test]
    fn the_payload_counts_before_the_defaults() {
        let seconds = Duration::from_secs;
        let member = |payload: &[u8]| Member::new(DEFAULTS, payload);
        let (ports, drain) = (vec![8080, 9443], seconds(3));
        assert_eq!(member(b""), Member { ports, drain });
        let (ports, drain) = (vec![9000], seconds(60));
        assert_eq!(member(b"PORTS='9000'\nDRAIN_SECONDS=60\n"), Member { ports, drain });
        let (ports, drain) = (vec![9000, 9001], seconds(60));
        assert_eq!(
            member(br#"{"PORTS": [9000, "9001"], "DRAIN_SECONDS": 60}"#),
            Member { ports, drain }
        );
        assert_eq!(member(b"{\"PORTS\": ").ports, [8080, 9443]);
        assert_eq!(member(b"PORTS=http").ports, [8080, 9443]);
        assert!(Member::new(b"", b"").ports.is_empty());
    }
}
