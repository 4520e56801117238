//! When a cartridge is ready: its agent logs the life-cycle state Active.

use serde_json::Value;
use std::time::Duration;

/// Whether a console line is the agent's `"event":"lifecycle","state":"Active"`.
pub fn is_active(line: &str) -> bool {
    // Most lines are not JSON at all; this runs for each.
    line.contains("\"lifecycle\"")
        && serde_json::from_str::<Value>(line)
            .is_ok_and(|record| record["event"] == "lifecycle" && record["state"] == "Active")
}

/// `ready http://127.0.0.1:PORT after N ms`; without the address for an app without ports.
pub fn line(port: Option<u16>, after: Duration) -> String {
    let place = port.map(|port| format!(" http://127.0.0.1:{port}")).unwrap_or_default();
    format!("ready{place} after {} ms", after.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_agents_own_record_counts() {
        assert!(is_active(
            r#"{"ts":"x","level":"info","from":"agent","event":"lifecycle","state":"Active"}"#
        ));
        assert!(!is_active(r#"{"event":"lifecycle","state":"Starting","was":"Active"}"#));
        assert!(!is_active(r#"a program prints "lifecycle" and "Active""#));
        assert_eq!(
            line(Some(8080), Duration::from_millis(48)),
            "ready http://127.0.0.1:8080 after 48 ms"
        );
        assert_eq!(line(None, Duration::from_millis(3)), "ready after 3 ms");
    }
}
