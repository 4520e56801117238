//! The topology: all services, their clusters, and the members of these, as the server sends it.

use super::identity::Identity;
use super::member::State;
use serde_json::{Map, Value, json};

/// What `CompleteTopologyEvent` tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology(Map<String, Value>);

impl Default for Topology {
    fn default() -> Self {
        Self(object(
            json!({"serviceMap": {}, "clusterMap": {}, "initialized": false}),
        ))
    }
}

impl Topology {
    /// A topology as the event tells it, or only what stands under its key `topology`.
    ///
    /// # Errors
    /// What is wrong with it, for its author.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let inner = value.get("topology").cloned().unwrap_or(value);
        let Value::Object(topology) = inner else {
            return Err("it is no JSON object".into());
        };
        match topology.get("serviceMap") {
            Some(Value::Object(services)) => check(services)?,
            _ => return Err("it has no object `serviceMap`".into()),
        }
        Ok(Self(topology))
    }

    /// A new member, Created.
    pub fn join(&mut self, who: &Identity, now_ms: u64) {
        let member = json!({
            "serviceName": who.service,
            "clusterId": who.cluster,
            "memberId": who.member,
            "clusterInstanceId": who.cluster_instance,
            "networkPartitionId": who.network_partition,
            "partitionId": who.partition,
            "initTime": now_ms,
            "portMap": who.port_map(),
            "memberPublicIPs": [who.address],
            "defaultPublicIP": who.address,
            "memberPrivateIPs": [who.address],
            "defaultPrivateIP": who.address,
            "properties": {},
            "memberStateManager": {"stateStack": [State::Created.name()], "identifier": who.member},
        });
        let service = entry(&mut self.0, "serviceMap");
        let service = service.entry(&who.service).or_insert_with(|| who.service());
        let clusters = entry(as_object(service), "clusterIdClusterMap");
        let cluster = clusters.entry(&who.cluster).or_insert_with(|| who.cluster());
        entry(as_object(cluster), "memberMap").insert(who.member.clone(), member);
    }

    /// The member has entered `state`.
    pub fn entered(&mut self, who: &Identity, state: State) {
        let pointer = "/memberStateManager/stateStack";
        let member = self.members(who).and_then(|members| members.get_mut(&who.member));
        if let Some(Value::Array(stack)) = member.and_then(|member| member.pointer_mut(pointer)) {
            stack.push(state.name().into());
        }
    }

    /// The member is no more.
    pub fn left(&mut self, who: &Identity) {
        if let Some(members) = self.members(who) {
            members.remove(&who.member);
        }
    }

    /// The event's body.
    pub fn event(&self) -> Value {
        json!({ "topology": self.0 })
    }

    fn members(&mut self, who: &Identity) -> Option<&mut Map<String, Value>> {
        let service = self.0.get_mut("serviceMap")?.get_mut(&who.service)?;
        let cluster = service.get_mut("clusterIdClusterMap")?.get_mut(&who.cluster)?;
        cluster.get_mut("memberMap")?.as_object_mut()
    }
}

impl Identity {
    /// Ports as the topology has them, by the number that a load balancer would listen on.
    pub fn port_map(&self) -> Value {
        let ports = self.ports.iter().map(|port| {
            let entry = json!({"protocol": "tcp", "value": port, "proxy": port});
            (port.to_string(), entry)
        });
        Value::Object(ports.collect())
    }

    fn service(&self) -> Value {
        json!({
            "serviceName": self.service,
            "serviceType": if self.multitenant { "MultiTenant" } else { "SingleTenant" },
            "portMap": self.port_map(),
            "properties": {},
            "clusterIdClusterMap": {},
        })
    }

    fn cluster(&self) -> Value {
        json!({
            "serviceName": self.service,
            "clusterId": self.cluster,
            "autoscalePolicyName": "local",
            "deploymentPolicyName": "local",
            "hostNames": ["localhost"],
            "tenantRange": "*",
            "isLbCluster": false,
            "isKubernetesCluster": false,
            "appId": self.application,
            "properties": {},
            "kubernetesServices": [],
            "instanceIdToInstanceContextMap": {&self.cluster_instance: {
                "instanceId": self.cluster_instance,
                "networkPartitionId": self.network_partition,
                "partitionId": self.partition,
                "instanceProperties": {},
                "lifeCycleStateManager": {"stateStack": ["Created", "Active"], "identifier": self.cluster_instance},
            }},
            "memberMap": {},
        })
    }
}

/// Looks at the parts that a member is to be put into.
fn check(services: &Map<String, Value>) -> Result<(), String> {
    for (name, service) in services {
        let Some(Value::Object(clusters)) = service.get("clusterIdClusterMap") else {
            return Err(format!("the service {name:?} has no object `clusterIdClusterMap`"));
        };
        for (name, cluster) in clusters {
            if !cluster.get("memberMap").is_some_and(Value::is_object) {
                return Err(format!("the cluster {name:?} has no object `memberMap`"));
            }
        }
    }
    Ok(())
}

fn entry<'a>(object: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    as_object(object.entry(key).or_insert_with(|| json!({})))
}

/// The object in `value`, which becomes one if it is none.
fn as_object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(object) => object,
        _ => unreachable!("it was made one just now"),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who() -> Identity {
        Identity::new(b"CARTRIDGE_NAME=hello", b"", &[8080], "10.0.2.15")
    }

    const MEMBER: &str = "/topology/serviceMap/hello/clusterIdClusterMap/hello.local.domain/memberMap/hello-1";

    #[test]
    fn a_member_is_in_the_topology_with_its_states_until_it_leaves() {
        let mut topology = Topology::default();
        topology.join(&who(), 1_700_000_000_000);
        topology.entered(&who(), State::Initialized);
        topology.entered(&who(), State::InMaintenance);
        let event = topology.event();
        let member = event.pointer(MEMBER).unwrap();
        let stack = json!(["Created", "Initialized", "In_Maintenance"]);
        assert_eq!(member["memberStateManager"]["stateStack"], stack);
        assert_eq!(member["portMap"]["8080"]["value"], 8080);
        topology.left(&who());
        assert_eq!(topology.event().pointer(MEMBER), None);
    }

    #[test]
    fn a_topology_of_ones_own_keeps_its_members_beside_the_new_one() {
        let mut own = Topology::default();
        let other = Identity {
            member: "other".into(),
            ..who()
        };
        own.join(&other, 1);
        let mut topology = Topology::parse(own.event().to_string().as_bytes()).unwrap();
        assert_eq!(
            topology,
            Topology::parse(Value::Object(own.0).to_string().as_bytes()).unwrap()
        );
        topology.join(&who(), 2);
        let event = topology.event();
        let members = event.pointer(MEMBER.trim_end_matches("/hello-1")).unwrap();
        assert_eq!(
            members.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["other", "hello-1"]
        );
    }

    #[test]
    fn what_is_no_topology_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "no JSON"),
            ("[]", "no JSON object"),
            ("{}", "serviceMap"),
            (r#"{"topology":{"serviceMap":{"s":{}}}}"#, "clusterIdClusterMap"),
            (
                r#"{"serviceMap":{"s":{"clusterIdClusterMap":{"c":{"memberMap":[]}}}}}"#,
                "memberMap",
            ),
        ] {
            let error = Topology::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
