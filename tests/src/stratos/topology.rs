//! Makes CompleteTopologyEvents in the shape of section 1.4: small ones and ones of many megabytes, with all fields, with
//! those that Gson leaves out for null missing, and with fields that nobody has heard of.

use super::identity::{CLUSTER_INSTANCE, NETWORK_PARTITION, PARTITION};
use super::server::{Known, State};
use serde_json::{Map, Value, json};

pub const TOPIC: &str = "topology/CompleteTopologyEvent";

/// Members of a cluster that only fills the topology.
const CROWD: usize = 40;

/// What a topology looks like besides the members that matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dress {
    /// Other services are added until it is at least so long, in bytes; half of them come before ours, half after.
    pub size: usize,
    /// Fields that may be null are left out, as Gson does: even portMap, and `initialized`.
    pub missing: bool,
    /// Fields of later versions, deep and long, with escapes in names and values.
    pub extra: bool,
}

/// The event's text: `dress.size` bytes or some more.
pub fn complete(members: &[Known], dress: Dress) -> String {
    let mut services = Map::new();
    for known in members {
        add(&mut services, known, dress);
    }
    // What one service of the crowd takes at least, measured.
    let crowd = service_of_a_crowd(0, dress).to_string().len();
    let own = render(services.clone(), dress).len();
    let count = dress.size.saturating_sub(own).div_ceil(crowd);
    for index in 0..count {
        // Names before and after "basket" and "db": the map is sorted.
        let start = if index % 2 == 0 { 'a' } else { 'z' };
        services.insert(format!("{start}-{index:05}"), service_of_a_crowd(index, dress));
    }
    render(services, dress)
}

fn render(services: Map<String, Value>, dress: Dress) -> String {
    let mut event = json!({"topology": {"serviceMap": services, "clusterMap": {}}});
    if !dress.missing {
        event["topology"]["initialized"] = json!(false);
    }
    if dress.extra {
        event["topology"]["version"] = json!(7.5e-3);
        event["topology"]["\u{e9}t\u{e9} \"\\/\n\u{1f600}"] = odd();
        event["schema"] = odd();
    }
    event.to_string()
}

fn add(services: &mut Map<String, Value>, known: &Known, dress: Dress) {
    let service = services
        .entry(known.service)
        .or_insert_with(|| service(known.service, dress));
    let clusters = &mut service["clusterIdClusterMap"];
    if clusters[known.cluster].is_null() {
        clusters[known.cluster] = cluster(known.service, known.cluster, dress);
    }
    clusters[known.cluster]["memberMap"][&known.member] = member(known, dress);
}

fn service(name: &str, dress: Dress) -> Value {
    let mut service = json!({
        "serviceName": name, "serviceType": "SingleTenant", "properties": {}, "clusterIdClusterMap": {},
    });
    if !dress.missing {
        service["portMap"] = ports();
    }
    if dress.extra {
        service["labels"] = odd();
    }
    service
}

fn cluster(service: &str, name: &str, dress: Dress) -> Value {
    let mut cluster = json!({
        "serviceName": service, "clusterId": name, "tenantRange": "*", "isLbCluster": false, "isKubernetesCluster": false,
        "properties": {}, "memberMap": {},
        "instanceIdToInstanceContextMap": {CLUSTER_INSTANCE: {
            "instanceId": CLUSTER_INSTANCE, "instanceProperties": {}, "networkPartitionId": NETWORK_PARTITION,
            "partitionId": PARTITION,
            "lifeCycleStateManager": {"stateStack": ["Created", "Active"], "identifier": CLUSTER_INSTANCE},
        }},
    });
    if !dress.missing {
        cluster["autoscalePolicyName"] = json!("economy");
        cluster["deploymentPolicyName"] = json!("static-1");
        cluster["hostNames"] = json!(["basket.shop.example"]);
        cluster["appId"] = json!(super::identity::APPLICATION);
        cluster["kubernetesServices"] = json!([]);
        cluster["accessUrls"] = json!({"shop": ["http://basket.shop.example:80/"]});
        cluster["loadBalancerIps"] = json!(["10.0.0.2"]);
    }
    if dress.extra {
        cluster["placement"] = odd();
    }
    cluster
}

fn member(known: &Known, dress: Dress) -> Value {
    let mut member = json!({
        "serviceName": known.service, "clusterId": known.cluster, "memberId": known.member,
        "clusterInstanceId": CLUSTER_INSTANCE, "networkPartitionId": NETWORK_PARTITION, "partitionId": PARTITION,
        "initTime": 1_760_000_000_000_u64, "properties": {"PRIMARY": "true"},
        "memberStateManager": {"stateStack": known.state.stack(), "identifier": known.member},
    });
    if let Some(address) = &known.address {
        member["memberPrivateIPs"] = json!([address]);
        member["defaultPrivateIP"] = json!(address);
    }
    if !dress.missing {
        member["portMap"] = ports();
        member["memberPublicIPs"] = json!([]);
        member["instanceId"] = json!("RegionOne/0b1d");
        member["loadBalancingIPType"] = json!("Private");
    }
    if dress.extra {
        // Before and after the fields that matter, and one that has their names inside.
        member["aaa"] = json!({"memberId": "not-this", "memberStateManager": {"stateStack": ["Terminated"]}});
        member["zzz"] = odd();
        member["memberStateManager"]["since"] = json!([1, -2.5e10, null, true]);
    }
    member
}

fn ports() -> Value {
    json!({"80": {"protocol": "http", "value": 8080, "proxy": 80}})
}

/// Something that no version of the server ever sent.
fn odd() -> Value {
    json!({"a\tb": [[[[{"deep": [null, true, false, -0.0, 1e300, "\u{0}\u{7f}\u{20ac}\u{1f600}\"\\"]}]]]], "long": "x".repeat(700)})
}

fn service_of_a_crowd(index: usize, dress: Dress) -> Value {
    let (name, cluster_name) = (format!("crowd-{index:05}"), format!("crowd.cluster-{index:05}"));
    let mut service = service(&name, dress);
    let mut cluster = cluster(&name, &cluster_name, dress);
    for number in 0..CROWD {
        let known = Known::own(&format!("{cluster_name}.{number:04}"), State::Active);
        let mut value = member(&known, dress);
        value["serviceName"] = json!(name);
        value["clusterId"] = json!(cluster_name);
        cluster["memberMap"][&known.member] = value;
    }
    service["clusterIdClusterMap"][&cluster_name] = cluster;
    service
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topology_has_its_size_and_the_members_that_matter() {
        let members = [
            Known::own("m", State::Initialized),
            Known::dependency("d", State::Active),
        ];
        for size in [0, 100_000, 5 << 20] {
            for (missing, extra) in [(false, false), (true, false), (false, true)] {
                let text = complete(&members, Dress { size, missing, extra });
                assert!(
                    text.len() >= size && text.len() < size + 120_000,
                    "{} for {size}",
                    text.len()
                );
                let event: Value = serde_json::from_str(&text).unwrap();
                let clusters = &event["topology"]["serviceMap"]["basket"]["clusterIdClusterMap"];
                let own = &clusters[super::super::identity::CLUSTER]["memberMap"]["m"];
                assert_eq!(
                    own["memberStateManager"]["stateStack"],
                    json!(["Created", "Initialized"])
                );
                assert_eq!(own["portMap"].is_null(), missing);
            }
        }
    }
}
