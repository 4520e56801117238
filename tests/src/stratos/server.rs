//! What the server knows of its members: their states, and which events it takes in which (protocol facts, section 1.3).

use super::identity::{
    CLUSTER, CLUSTER_INSTANCE, DEPENDENCY, DEPENDENCY_SERVICE, NETWORK_PARTITION, PARTITION, SERVICE,
};
use serde_json::{Value, json};
use std::fmt;

/// A member's state, by the server's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Created,
    Initialized,
    Starting,
    Active,
    InMaintenance,
    ReadyToShutDown,
    Terminated,
}

/// All states in their order.
const ALL: [State; 7] = [
    State::Created,
    State::Initialized,
    State::Starting,
    State::Active,
    State::InMaintenance,
    State::ReadyToShutDown,
    State::Terminated,
];

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Created => "Created",
            State::Initialized => "Initialized",
            State::Starting => "Starting",
            State::Active => "Active",
            State::InMaintenance => "In_Maintenance",
            State::ReadyToShutDown => "ReadyToShutDown",
            State::Terminated => "Terminated",
        }
    }

    /// This state and those before it, as a member's `stateStack` lists them.
    pub fn stack(self) -> Vec<&'static str> {
        ALL.iter()
            .filter(|state| **state <= self)
            .map(|state| state.name())
            .collect()
    }

    fn may_become(self, next: State) -> bool {
        let follows = ALL.iter().skip_while(|state| **state != self).nth(1) == Some(&next);
        follows || next == self || (self, next) == (State::Active, State::Starting)
    }

    /// The state that a status event of a member leads to.
    fn after(event: &str) -> Option<State> {
        Some(match event {
            "InstanceStartedEvent" => State::Starting,
            "InstanceActivatedEvent" => State::Active,
            "InstanceMaintenanceModeEvent" => State::InMaintenance,
            "InstanceReadyToShutdownEvent" => State::ReadyToShutDown,
            _ => return None,
        })
    }

    /// The event by which the server tells everyone of the state.
    pub fn broadcast(self) -> &'static str {
        match self {
            State::Created => "MemberCreatedEvent",
            State::Initialized => "MemberInitializedEvent",
            State::Starting => "MemberStartedEvent",
            State::Active => "MemberActivatedEvent",
            State::InMaintenance => "MemberMaintenanceModeEvent",
            State::ReadyToShutDown => "MemberReadyToShutdownEvent",
            State::Terminated => "MemberTerminatedEvent",
        }
    }
}

/// A member as the server knows it.
#[derive(Debug, Clone)]
pub struct Known {
    pub member: String,
    pub service: &'static str,
    pub cluster: &'static str,
    pub state: State,
    /// Its first address inside, if it is known.
    pub address: Option<String>,
}

impl Known {
    /// A member of the cluster under test.
    pub fn own(member: &str, state: State) -> Known {
        Known {
            member: member.into(),
            service: SERVICE,
            cluster: CLUSTER,
            state,
            address: Some("10.0.0.7".into()),
        }
    }

    /// A member of the cluster it depends on.
    pub fn dependency(member: &str, state: State) -> Known {
        Known {
            service: DEPENDENCY_SERVICE,
            cluster: DEPENDENCY,
            ..Known::own(member, state)
        }
    }

    /// The broadcast of its state, with the fields of section 1.2.
    pub fn broadcast(&self) -> (String, Value) {
        let mut event = json!({
            "serviceName": self.service,
            "clusterId": self.cluster,
            "clusterInstanceId": CLUSTER_INSTANCE,
            "networkPartitionId": NETWORK_PARTITION,
            "partitionId": PARTITION,
            "memberId": self.member,
        });
        let mut add = |name: &str, value: Value| event[name] = value;
        match self.state {
            State::Created => {
                add("loadBalancingIPType", json!("Private"));
                add("initTime", json!(1_760_000_000_000_u64));
            }
            State::Initialized | State::Active => {
                add("instanceId", json!("RegionOne/0b1d"));
                add("memberPublicIPs", json!([]));
                add("memberPrivateIPs", json!(self.address.iter().collect::<Vec<_>>()));
                if let Some(address) = &self.address {
                    add("defaultPrivateIP", json!(address));
                }
                add("properties", json!({}));
            }
            _ => add("properties", json!({})),
        }
        if self.state == State::Active {
            add(
                "portMap",
                json!({"80": {"protocol": "http", "value": 8080, "proxy": 80}}),
            );
            add("applicationId", json!(super::identity::APPLICATION));
        }
        if self.state == State::Starting {
            add("status", json!("Starting"));
        }
        (format!("topology/{}", self.state.broadcast()), event)
    }
}

/// Why the server would not take an event; the real one logs it and leaves the member as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub event: String,
    pub member: String,
    /// The member's state then; nothing for a member it does not know.
    pub state: Option<State>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            Some(state) => write!(f, "{} of {} in state {}", self.event, self.member, state.name()),
            None => write!(f, "{} of {}, which nobody knows", self.event, self.member),
        }
    }
}

/// Takes a status event, and gives the member in its new state: the next one, or the same, or Starting again for a member that
/// was Active and has been restarted. (That an event comes twice is found out by [`super::golden`].)
pub fn take<'m>(members: &'m mut [Known], event: &str, member: &str) -> Result<&'m Known, Refusal> {
    let known = members.iter_mut().find(|known| known.member == member);
    let refusal = |state| Refusal {
        event: event.into(),
        member: member.into(),
        state,
    };
    let Some(known) = known else {
        return Err(refusal(None));
    };
    match State::after(event) {
        Some(next) if known.state.may_become(next) => {
            known.state = next;
            Ok(known)
        }
        _ => Err(refusal(Some(known.state))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_in_order_is_taken_and_an_event_late_is_refused() {
        let mut members = vec![Known::own("m", State::Initialized)];
        for (event, state) in [
            ("InstanceStartedEvent", State::Starting),
            ("InstanceActivatedEvent", State::Active),
            ("InstanceMaintenanceModeEvent", State::InMaintenance),
            ("InstanceReadyToShutdownEvent", State::ReadyToShutDown),
        ] {
            assert_eq!(take(&mut members, event, "m").unwrap().state, state);
        }
        let late = take(&mut members, "InstanceActivatedEvent", "m").unwrap_err();
        assert_eq!(late.state, Some(State::ReadyToShutDown));
        assert_eq!(
            take(&mut members, "InstanceStartedEvent", "other").unwrap_err().state,
            None
        );
    }

    #[test]
    fn an_event_too_early_is_refused() {
        for state in [State::Created, State::Initialized] {
            let mut members = vec![Known::own("m", state)];
            assert!(take(&mut members, "InstanceActivatedEvent", "m").is_err());
            assert_eq!(members[0].state, state);
        }
    }

    #[test]
    fn a_restarted_member_is_starting_again() {
        let mut members = vec![Known::own("m", State::Active)];
        assert_eq!(
            take(&mut members, "InstanceStartedEvent", "m").unwrap().state,
            State::Starting
        );
        assert_eq!(
            take(&mut members, "InstanceActivatedEvent", "m").unwrap().state,
            State::Active
        );
    }
}
