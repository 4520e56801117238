//! What a member publishes in its life, written down by hand from the protocol's facts (sections 1.2 and 1.3), and the
//! comparison with what one did publish.

use super::identity::{APPLICATION, CLUSTER, CLUSTER_INSTANCE, NETWORK_PARTITION, PARTITION, SERVICE};
use super::record::Seen;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// The filters that a member subscribes to; the first before its first request.
pub const FILTERS: [&str; 4] = ["topology/#", "instance/#", "tenant/#", "application/signup/#"];

/// One message: its topic and its payload.
pub type Message = (&'static str, Value);

pub const TOPOLOGY_REQUEST: &str = "initializer/CompleteTopologyRequestEvent";
pub const TENANT_REQUEST: &str = "initializer/CompleteTenantRequestEvent";
pub const STARTED: &str = "instance/status/InstanceStartedEvent";
pub const ACTIVATED: &str = "instance/status/InstanceActivatedEvent";
pub const MAINTENANCE: &str = "instance/status/InstanceMaintenanceModeEvent";
pub const READY_TO_SHUTDOWN: &str = "instance/status/InstanceReadyToShutdownEvent";

/// Section 1.3, steps 3, 7, 8, 11 and 13, for a member without a repository whose payload has every identifier.
pub fn life(member: &str) -> [Message; 6] {
    [
        (TOPOLOGY_REQUEST, json!({})),
        (TENANT_REQUEST, json!({})),
        (
            STARTED,
            json!({
                "applicationId": APPLICATION,
                "serviceName": SERVICE,
                "clusterId": CLUSTER,
                "clusterInstanceId": CLUSTER_INSTANCE,
                "memberId": member,
                "instanceId": null,
                "networkPartitionId": NETWORK_PARTITION,
                "partitionId": PARTITION,
            }),
        ),
        (ACTIVATED, status(member)),
        (MAINTENANCE, status(member)),
        (READY_TO_SHUTDOWN, status(member)),
    ]
}

/// The same without the identifiers that a payload may lack: null, not left out.
pub fn bare_life(member: &str) -> [Message; 6] {
    let mut life = life(member);
    for (_, payload) in &mut life[2..] {
        for name in ["clusterInstanceId", "networkPartitionId", "partitionId"] {
            payload[name] = Value::Null;
        }
    }
    life
}

/// The fields of the three events that are not InstanceStartedEvent.
fn status(member: &str) -> Value {
    json!({
        "serviceName": SERVICE,
        "clusterId": CLUSTER,
        "clusterInstanceId": CLUSTER_INSTANCE,
        "memberId": member,
        "instanceId": null,
        "networkPartitionId": NETWORK_PARTITION,
        "partitionId": PARTITION,
    })
}

/// The messages are the golden ones: all of them, in their order, none twice, each with just the golden's keys and values,
/// none retained.
pub fn ensure_same(golden: &[Message], seen: &[Seen]) -> Result<()> {
    let topics: Vec<&str> = seen.iter().map(|message| message.topic.as_str()).collect();
    let expected: Vec<&str> = golden.iter().map(|(topic, _)| *topic).collect();
    ensure!(topics == expected, "published {topics:#?}, and not {expected:#?}");
    for ((topic, payload), message) in golden.iter().zip(seen) {
        let published = message.json()?;
        ensure!(published == *payload, "{topic}: {published} instead of {payload}");
        ensure!(!message.is_retained, "{topic} is retained");
    }
    Ok(())
}

/// The status events among the messages are the golden ones; requests may be repeated (they are, after an outage).
pub fn ensure_same_status(golden: &[Message], seen: &[Seen]) -> Result<()> {
    let is_status = |topic: &str| topic.starts_with("instance/status/");
    let golden: Vec<Message> = golden.iter().filter(|(topic, _)| is_status(topic)).cloned().collect();
    let status: Vec<Seen> = seen
        .iter()
        .filter(|message| is_status(&message.topic))
        .cloned()
        .collect();
    ensure_same(&golden, &status)?;
    let first = seen.first().context("nothing was published")?;
    ensure!(first.topic == TOPOLOGY_REQUEST, "it began with {}", first.topic);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn seen(messages: &[Message]) -> Vec<Seen> {
        let message = |(topic, payload): &Message| Seen {
            topic: (*topic).into(),
            payload: payload.to_string().into_bytes(),
            qos: 0,
            is_retained: false,
            at: Instant::now(),
        };
        messages.iter().map(message).collect()
    }

    #[test]
    fn only_the_golden_messages_are_the_golden_messages() {
        let golden = life("m");
        ensure_same(&golden, &seen(&golden)).unwrap();
        let bad: [fn(&mut Vec<Message>); 6] = [
            |life| life.swap(3, 4),
            |life| drop(life.remove(2)),
            |life| life.insert(3, life[3].clone()),
            |life| life[3].1["applicationId"] = json!("shop"),
            |life| drop(life[4].1.as_object_mut().unwrap().remove("instanceId")),
            |life| life[2].1["instanceId"] = json!("null"),
        ];
        for spoil in bad {
            let mut messages = golden.to_vec();
            spoil(&mut messages);
            assert!(ensure_same(&golden, &seen(&messages)).is_err(), "{messages:?}");
        }
        let mut retained = seen(&golden);
        retained[2].is_retained = true;
        assert!(ensure_same(&golden, &retained).is_err());
    }
}
