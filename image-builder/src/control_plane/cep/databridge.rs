//! One connection to the event processor: log-in, the stream's definition, events. Sans-IO: a call in, an answer out.

use super::thrift::{self, Call, Value, field};
use serde_json::{Value as Json, json};

/// The only stream that is taken, with its version, and the names of its attributes after the stream's identifier.
const STREAM: (&str, &str) = ("cartridge_agent_health_stats", "1.0.0");
const ATTRIBUTES: [(&str, &str); 7] = [
    ("cluster_id", "STRING"),
    ("cluster_instance_id", "STRING"),
    ("network_partition_id", "STRING"),
    ("member_id", "STRING"),
    ("partition_id", "STRING"),
    ("health_description", "STRING"),
    ("value", "DOUBLE"),
];
const SESSION: &str = "session-1";

/// A member's health in one figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    pub cluster: String,
    pub cluster_instance: String,
    pub network_partition: String,
    pub member: String,
    pub partition: String,
    /// `memory_consumption` or `load_average`.
    pub description: String,
    /// In percent.
    pub value: f64,
}

/// What a connection has got to.
#[derive(Default)]
pub struct Databridge {
    logged_in: bool,
    defined: bool,
}

impl Databridge {
    /// The answer to a call, and what it told.
    ///
    /// # Errors
    /// What no peer of the protocol would send; the connection is to be ended.
    pub fn call(&mut self, call: &Call) -> Result<(Vec<u8>, Option<Health>), String> {
        let text = |number| field(&call.arguments, number).and_then(Value::text);
        match call.method.as_str() {
            "connect" => {
                // Whoever knows a password here knows the one that was given to him; that there is one is checked.
                self.logged_in = text(1).is_some_and(|name| !name.is_empty()) && text(2).is_some();
                Ok(match self.logged_in {
                    true => (thrift::result(call, SESSION), None),
                    false => (thrift::exception(call, 1, "user name and password, please"), None),
                })
            }
            "defineStream" if !self.is_session(text(1)) => Ok((thrift::exception(call, 4, "no such session"), None)),
            "defineStream" => Ok(match defined(text(2)) {
                Ok(()) => {
                    self.defined = true;
                    (thrift::result(call, &stream_id()), None)
                }
                Err(why) => (thrift::exception(call, 2, &why), None),
            }),
            "publish" => self.publish(call),
            "disconnect" => {
                *self = Self::default();
                Ok((thrift::done(call), None))
            }
            _ => Ok((thrift::unknown_method(call), None)),
        }
    }

    fn is_session(&self, given: Option<&str>) -> bool {
        self.logged_in && given == Some(SESSION)
    }

    fn publish(&self, call: &Call) -> Result<(Vec<u8>, Option<Health>), String> {
        let Some(Value::Struct(bundle)) = field(&call.arguments, 1) else {
            return Err("publish without a bundle".into());
        };
        if !self.is_session(field(bundle, 1).and_then(Value::text)) {
            return Ok((thrift::exception(call, 2, "no such session"), None));
        }
        if !self.defined {
            return Ok((thrift::exception(call, 1, "the stream is not defined"), None));
        }
        health(bundle).map(|health| (thrift::done(call), Some(health)))
    }
}

fn stream_id() -> String {
    format!("{}:{}", STREAM.0, STREAM.1)
}

fn defined(text: Option<&str>) -> Result<(), String> {
    let definition: Json = serde_json::from_str(text.unwrap_or_default()).map_err(|error| error.to_string())?;
    let attributes = ATTRIBUTES.map(|(name, kind)| json!({"name": name, "type": kind}));
    let expected = [
        ("name", json!(STREAM.0)),
        ("version", json!(STREAM.1)),
        ("payloadData", json!(attributes)),
    ];
    let wrong = expected.iter().find(|(key, value)| definition.get(key) != Some(value));
    wrong.map_or(Ok(()), |(key, _)| Err(format!("{key} is not that of {}", stream_id())))
}

/// The event of a bundle: attributes are sorted by type, so that each text's position tells what it is.
fn health(bundle: &[(i16, Value)]) -> Result<Health, String> {
    if field(bundle, 2) != Some(&Value::Integer(1)) {
        return Err("a bundle of other than one event".into());
    }
    let list = |number| match field(bundle, number) {
        Some(Value::List(values)) => Ok(values.as_slice()),
        _ => Err(format!("the bundle has no list {number}")),
    };
    let [Value::Integer(1_000_000_000_000..)] = list(4)? else {
        return Err("the bundle has no time in milliseconds".into());
    };
    let [Value::Double(value)] = list(5)? else {
        return Err("the bundle has other than one value".into());
    };
    let texts: Vec<&str> = list(7)?.iter().filter_map(Value::text).collect();
    let [
        stream,
        cluster,
        cluster_instance,
        network_partition,
        member,
        partition,
        description,
    ] = texts[..]
    else {
        return Err(format!("the bundle has {} texts, not 7", texts.len()));
    };
    if stream != stream_id() {
        return Err(format!("an event of the stream {stream:?}"));
    }
    if !value.is_finite() || *value < 0.0 {
        return Err(format!("{description} is {value}"));
    }
    Ok(Health {
        cluster: cluster.into(),
        cluster_instance: cluster_instance.into(),
        network_partition: network_partition.into(),
        member: member.into(),
        partition: partition.into(),
        description: description.into(),
        value: *value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cartridge_agent_core::stratos::health::databridge as agent;

    fn ask(bridge: &mut Databridge, bytes: &[u8]) -> (Vec<u8>, Option<Health>) {
        let call = thrift::read_call(&mut &bytes[..]).unwrap().unwrap();
        bridge.call(&call).unwrap()
    }

    fn written(write: impl Fn(&mut [u8]) -> Option<usize>) -> Vec<u8> {
        let mut buffer = vec![0; 4096];
        let length = write(&mut buffer).unwrap();
        buffer.truncate(length);
        buffer
    }

    fn event() -> Vec<u8> {
        let event = agent::Event {
            session: SESSION.as_bytes(),
            stream: b"cartridge_agent_health_stats:1.0.0",
            unix_ms: 1_700_000_000_000,
            member: ["c", "ci", "", "m", "p"],
            description: "load_average",
            value: 12.5,
        };
        written(|buffer| agent::publish(buffer, 3, &event))
    }

    #[test]
    fn what_the_agent_sends_is_taken_in_its_order_and_in_no_other() {
        let mut bridge = Databridge::default();
        let is_exception = |answer: &[u8], number: u8| answer.windows(3).any(|part| part == [12, 0, number]);
        assert!(is_exception(&ask(&mut bridge, &event()).0, 2), "without a session");
        let connect = written(|buffer| agent::call(buffer, agent::Call::Connect, 1, &[b"admin", b"admin"]));
        assert!(ask(&mut bridge, &connect).0.ends_with(b"session-1\0"));
        assert!(is_exception(&ask(&mut bridge, &event()).0, 1), "without a stream");
        let stream = agent::STREAM.as_bytes();
        let define = |text: &[u8]| {
            written(|buffer| agent::call(buffer, agent::Call::DefineStream, 2, &[SESSION.as_bytes(), text]))
        };
        assert!(is_exception(&ask(&mut bridge, &define(b"{}")).0, 2), "another stream");
        assert!(ask(&mut bridge, &define(stream)).0.ends_with(b":1.0.0\0"));
        let health = ask(&mut bridge, &event()).1.unwrap();
        assert_eq!((health.member.as_str(), health.network_partition.as_str()), ("m", ""));
        assert_eq!((health.description.as_str(), health.value), ("load_average", 12.5));
    }
}
