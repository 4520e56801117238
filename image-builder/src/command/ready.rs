//! When a cartridge is ready: its agent logs the life-cycle state Active.

use serde_json::Value;
use std::time::Duration;

/// How every record of the agent starts.
const RECORD: &str = "{\"ts\":";

/// Whether a console line holds the agent's `"event":"lifecycle","state":"Active"`. What an app wrote without a line's end may stand
/// before it, and after it what another thread wrote.
pub fn is_active(line: &str) -> bool {
    // Most lines are not JSON at all; this runs for each.
    line.contains("\"lifecycle\"")
        && line.match_indices(RECORD).any(|(start, _)| {
            let mut values = serde_json::Deserializer::from_str(&line[start..]).into_iter::<Value>();
            let record = values.next().and_then(Result::ok).unwrap_or_default();
            record["event"] == "lifecycle" && record["state"] == "Active"
        })
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
        assert!(!is_active(
            r#"{"ts":"x","event":"lifecycle","state":"Starting","was":"Active"}"#
        ));
        assert!(!is_active(
            r#"{"ts":"x","from":"app","msg":"{\"ts\":1,\"event\":\"lifecycle\",\"state\":\"Active\"}"}"#
        ));
        assert!(!is_active(r#"a program prints "lifecycle" and "Active""#));
    }

    #[test]
    fn what_an_app_left_without_a_line_end_does_not_hide_the_record() {
        let record = r#"{"ts":"x","level":"info","from":"agent","event":"lifecycle","state":"Active"}"#;
        for before in ["listening...", "{", r#"{"ts":"#, "\"lifecycle\" {\"ts\":{"] {
            assert!(is_active(&format!("{before}{record}")), "{before}");
        }
        assert!(is_active(&format!("{record}listening...")));
    }

    #[test]
    fn the_ready_line_has_the_address_if_there_is_one() {
        assert_eq!(
            line(Some(8080), Duration::from_millis(48)),
            "ready http://127.0.0.1:8080 after 48 ms"
        );
        assert_eq!(line(None, Duration::from_millis(3)), "ready after 3 ms");
    }
}
