//! Who the member is: the launch parameters that a platform would have written, and the payload that results.

use cartridge_agent_core::parameters::{Parameters, SIZE_LIMIT};
use cartridge_agent_core::payload;
use serde_json::{Map, Value};
use std::net::SocketAddr;

/// Where the member finds the platform, and what it says to be let in: whatever the payload says of another, it is not used.
const PLATFORM_KEYS: [&str; 17] = [
    "MB_IP",
    "MB_PORT",
    "MB_URLS",
    "MB_USERNAME",
    "MB_PASSWORD",
    "mb.ip",
    "mb.port",
    "mb.urls",
    "mb.username",
    "mb.password",
    "CEP_IP",
    "CEP_PORT",
    "CEP_USERNAME",
    "CEP_PASSWORD",
    "thrift.receiver.urls",
    "thrift.server.admin.username",
    "thrift.server.admin.password",
];

/// The member's identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub application: String,
    pub service: String,
    pub cluster: String,
    pub cluster_instance: String,
    pub member: String,
    pub network_partition: String,
    pub partition: String,
    pub tenant: String,
    pub multitenant: bool,
    /// TCP ports of the app.
    pub ports: Vec<u16>,
    /// The member's address.
    pub address: String,
}

impl Identity {
    /// What the payload says, then the manifest's defaults, then names that tell what they are.
    pub fn new(defaults: &[u8], payload: &[u8], ports: &[u16], address: &str) -> Self {
        let mut text = payload.to_vec();
        let length = payload::read(&mut text).unwrap_or(0);
        let given = Parameters::new(defaults, &text[..length]);
        let name = given.get("CARTRIDGE_NAME").unwrap_or("cartridge").to_owned();
        let or = |key: &str, default: String| given.get(key).map_or(default, String::from);
        Self {
            application: or("APPLICATION_ID", "local-application".into()),
            service: or("SERVICE_NAME", name.clone()),
            cluster: or("CLUSTER_ID", format!("{name}.local.domain")),
            cluster_instance: or("CLUSTER_INSTANCE_ID", "local-application-1".into()),
            member: or("MEMBER_ID", format!("{name}-1")),
            network_partition: or("NETWORK_PARTITION_ID", "local-network-partition".into()),
            partition: or("PARTITION_ID", "local-partition".into()),
            // Stratos' number for whoever runs the platform.
            tenant: or("TENANT_ID", "-1234".into()),
            multitenant: or("MULTITENANT", "false".into()).eq_ignore_ascii_case("true"),
            ports: ports.to_vec(),
            address: address.into(),
        }
    }

    /// `payload` with all that a platform adds: what it has stays, but for message broker and event processor, which are at
    /// `broker` and `cep` for the member.
    pub fn payload(&self, payload: &[u8], broker: SocketAddr, cep: SocketAddr) -> Vec<u8> {
        // The agent tells what is wrong with such a payload.
        if payload.len() > SIZE_LIMIT || payload::read(&mut payload.to_vec()).is_err() {
            return payload.into();
        }
        let (host, port) = (broker.ip().to_string(), broker.port().to_string());
        let (cep_host, cep_port) = (cep.ip().to_string(), cep.port().to_string());
        let own = [
            ("CEP_IP", cep_host.as_str()),
            ("CEP_PORT", cep_port.as_str()),
            ("MB_IP", host.as_str()),
            ("MB_PORT", port.as_str()),
            ("APPLICATION_ID", self.application.as_str()),
            ("SERVICE_NAME", self.service.as_str()),
            ("CLUSTER_ID", self.cluster.as_str()),
            ("CLUSTER_INSTANCE_ID", self.cluster_instance.as_str()),
            ("MEMBER_ID", self.member.as_str()),
            ("NETWORK_PARTITION_ID", self.network_partition.as_str()),
            ("PARTITION_ID", self.partition.as_str()),
            ("TENANT_ID", self.tenant.as_str()),
            ("MULTITENANT", if self.multitenant { "true" } else { "false" }),
        ];
        match object(payload) {
            Some(object) => with_members(object, &own),
            None => with_items(payload, &own),
        }
    }
}

fn object(payload: &[u8]) -> Option<Map<String, Value>> {
    let payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    let start = payload.trim_ascii_start().starts_with(b"{");
    start.then(|| serde_json::from_slice(payload).ok()).flatten()
}

fn with_members(mut object: Map<String, Value>, own: &[(&str, &str)]) -> Vec<u8> {
    for key in PLATFORM_KEYS {
        object.remove(key);
    }
    for (key, value) in own {
        let given = object.get(*key);
        // Without a value, as `null` and nothing are in text.
        if given.is_none_or(|given| given.is_null() || given == "" || given == "null") {
            object.insert((*key).into(), (*value).into());
        }
    }
    Value::Object(object).to_string().into_bytes()
}

fn with_items(payload: &[u8], own: &[(&str, &str)]) -> Vec<u8> {
    let key_of = |item: &[u8]| {
        item.split(|byte| *byte == b'=')
            .next()
            .unwrap_or_default()
            .trim_ascii()
            .to_vec()
    };
    let of_platform = |item: &[u8]| PLATFORM_KEYS.iter().any(|key| key.as_bytes() == key_of(item));
    let items = payload.split(|byte| matches!(byte, b',' | b'\n'));
    let mut merged: Vec<Vec<u8>> = items
        .filter(|item| !item.trim_ascii().is_empty() && !of_platform(item))
        .map(<[u8]>::to_vec)
        .collect();
    let given = Parameters::new(b"", payload);
    for (key, value) in own {
        if PLATFORM_KEYS.contains(key) || given.get(key).is_none() {
            merged.push(format!("{key}={value}").into_bytes());
        }
    }
    merged.join(&b","[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: &[u8] = b"CARTRIDGE_NAME=hello,PORTS=8080";

    fn merged(payload: &[u8]) -> Vec<u8> {
        let identity = Identity::new(DEFAULTS, payload, &[8080], "10.0.2.15");
        let at = |port: u16| SocketAddr::from(([10, 0, 2, 2], port));
        identity.payload(payload, at(1883), at(7611))
    }

    #[test]
    fn what_the_payload_has_stays_and_the_rest_is_added() {
        let text = merged(b"CLUSTER_ID=c1, DB_PASSWORD=a=b==\nLOG_LEVEL=debug,,MULTITENANT=null\n");
        let parameters = Parameters::new(b"", &text);
        for (key, value) in [
            ("CLUSTER_ID", "c1"),
            ("DB_PASSWORD", "a=b=="),
            ("LOG_LEVEL", "debug"),
            ("MEMBER_ID", "hello-1"),
            ("SERVICE_NAME", "hello"),
            ("TENANT_ID", "-1234"),
            ("MULTITENANT", "false"),
            ("MB_IP", "10.0.2.2"),
            ("MB_PORT", "1883"),
            ("CEP_IP", "10.0.2.2"),
            ("CEP_PORT", "7611"),
        ] {
            assert_eq!(parameters.get(key), Some(value), "{key}");
        }
    }

    #[test]
    fn a_platform_of_the_payload_is_replaced_without_a_word_twice() {
        let text = merged(b"MB_IP=h,MB_PORT=8883,mb.urls=a:1,MB_PASSWORD=x,PORTS=80,thrift.receiver.urls=h:7711");
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.starts_with("PORTS=80,CEP_IP=10.0.2.2,CEP_PORT=7611,MB_IP=10.0.2.2,MB_PORT=1883,"),
            "{text}"
        );
        assert_eq!(text.matches("MB_").count(), 2, "{text}");
    }

    #[test]
    fn a_payload_in_json_stays_json() {
        let payload = br#" {"MEMBER_ID":"m7","TENANT_ID":5,"MB_IP":"elsewhere","CLUSTER_ID":null,"nested":{"a":1}}"#;
        let value: Value = serde_json::from_slice(&merged(payload)).unwrap();
        assert_eq!(value["MEMBER_ID"], "m7");
        assert_eq!(value["MB_IP"], "10.0.2.2");
        assert_eq!(value["CLUSTER_ID"], "hello.local.domain");
        assert_eq!(value["nested"]["a"], 1);
        assert_eq!(Identity::new(DEFAULTS, payload, &[], "x").tenant, "5");
    }

    #[test]
    fn a_payload_that_the_agent_will_not_take_is_left_for_it_to_refuse() {
        let large = vec![b'x'; SIZE_LIMIT + 1];
        assert_eq!(merged(&large), large);
        let script = b"#!/bin/sh\necho a=b\n";
        assert_eq!(merged(script), script);
    }
}
