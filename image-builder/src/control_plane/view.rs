//! What the platform has to tell whoever watches: a line of text, or one JSON object on a line.

use super::member::State;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// Something worth a line.
#[derive(Clone, Debug, PartialEq)]
pub enum View {
    /// The broker accepts connections: at `host` on this machine, at `member` for the member.
    Broker { host: SocketAddr, member: SocketAddr },
    /// The member has entered a state.
    State { member: String, state: State, at: Duration },
    /// The member ended in `state`, without having said that it would.
    EndedEarly { member: String, state: State },
    /// What the member told of its health: memory used, and load, both in percent.
    Health {
        member: String,
        memory: f64,
        load: f64,
        at: Duration,
    },
    /// The member has told nothing of its health for so long that the real platform would replace it.
    Faulty { member: String, silent: Duration },
    /// An event was not taken.
    Refused { event: String, why: String },
    /// Something was sent because the user asked for it, or could not be.
    Note(String),
}

impl View {
    /// For people.
    pub fn text(&self) -> String {
        let what = match self {
            View::Broker { host, member } if host == member => {
                format!("MQTT broker at {host}; `help` says what to type")
            }
            View::Broker { host, member } => {
                format!("MQTT broker at {host}, for the guest {member}; `help` says what to type")
            }
            View::State { member, state, at } => format!("{member} is {state} after {} ms", at.as_millis()),
            View::EndedEarly { member, state } => {
                format!("{member} ended while it was {state}: it had not left in order")
            }
            View::Health {
                member, memory, load, ..
            } => format!("{member} uses {memory:.1} % of its memory, load average {load:.1} %"),
            View::Faulty { member, silent } => {
                let seconds = silent.as_secs();
                format!("{member} has sent no health statistics for {seconds} s: Stratos would replace it")
            }
            View::Refused { event, why } => format!("refused {event}: {why}"),
            View::Note(text) => text.clone(),
        };
        format!("platform: {what}")
    }

    /// For programs: the first key, `platform`, says which of these it is.
    pub fn json(&self) -> String {
        let value: Value = match self {
            View::Broker { host, member } => {
                json!({"platform": "broker", "address": host.to_string(), "member_address": member.to_string()})
            }
            View::State { member, state, at } => {
                json!({"platform": "state", "member": member, "state": state.name(), "ms": ms(at)})
            }
            View::Health {
                member,
                memory,
                load,
                at,
            } => {
                json!({"platform": "health", "member": member, "memory_percent": memory, "load_percent": load, "ms": ms(at)})
            }
            View::Faulty { member, silent } => {
                json!({"platform": "faulty", "member": member, "silent_ms": ms(silent)})
            }
            View::EndedEarly { member, state } => {
                json!({"platform": "ended_early", "member": member, "state": state.name()})
            }
            View::Refused { event, why } => json!({"platform": "refused", "event": event, "why": why}),
            View::Note(text) => json!({"platform": "note", "text": text}),
        };
        value.to_string()
    }
}

fn ms(time: &Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_one_line_for_people_and_for_programs() {
        let view = View::State {
            member: "hello-1".into(),
            state: State::InMaintenance,
            at: Duration::from_millis(1250),
        };
        assert_eq!(view.text(), "platform: hello-1 is In_Maintenance after 1250 ms");
        let json = r#"{"platform":"state","member":"hello-1","state":"In_Maintenance","ms":1250}"#;
        assert_eq!(view.json(), json);
    }
}
