//! What the launch parameters say of the platform: who the member is and where the message broker is.

use crate::parameters::{Parameters, list_items};
use core::fmt;

/// Brokers past this many are not tried.
pub const BROKER_LIMIT: usize = 8;

/// MQTT's port (IANA).
const DEFAULT_PORT: u16 = 1883;

/// The longest identifier, user name or password, in bytes.
const VALUE_LIMIT: usize = 255;

/// A message broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Broker<'a> {
    /// Host name or address; an IPv6 address is without brackets.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Broker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}:{}", self.host, self.port)
    }
}

/// What the adapter has to know. It has no `Debug`: there is a password in it.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// APPLICATION_ID.
    pub application: Option<&'a str>,
    /// SERVICE_NAME: the cartridge type.
    pub service: Option<&'a str>,
    /// CLUSTER_ID.
    pub cluster: &'a str,
    /// CLUSTER_INSTANCE_ID.
    pub cluster_instance: Option<&'a str>,
    /// MEMBER_ID.
    pub member: &'a str,
    /// INSTANCE_ID: the cloud's name for the machine.
    pub instance: Option<&'a str>,
    /// NETWORK_PARTITION_ID.
    pub network_partition: Option<&'a str>,
    /// PARTITION_ID.
    pub partition: Option<&'a str>,
    /// DEPENDENCY_CLUSTER_IDS as it is written, a list with `|`.
    pub dependencies: &'a str,
    /// `mb.username` or MB_USERNAME.
    pub user: Option<&'a str>,
    /// `mb.password` or MB_PASSWORD.
    pub password: Option<&'a str>,
    /// The brokers in the order they are tried; at least one.
    brokers: [Broker<'a>; BROKER_LIMIT],
    count: usize,
}

impl<'a> Settings<'a> {
    /// The brokers in the order they are tried; at least one.
    pub fn brokers(&self) -> &[Broker<'a>] {
        &self.brokers[..self.count]
    }

    /// The clusters this one depends on.
    pub fn dependencies(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        list_items(self.dependencies)
    }
}

/// Reads the settings: `None` when the member is to have no control plane. `report` is told what is wrong.
///
/// CONTROL_PLANE says which one: `stratos`, `none`, or `auto`, which is `stratos` for a payload with a broker and the
/// identifiers of a member.
#[inline(never)]
pub fn read<'a>(parameters: &Parameters<'a>, report: &mut dyn FnMut(fmt::Arguments<'_>)) -> Option<Settings<'a>> {
    let asked = match parameters.get("CONTROL_PLANE") {
        None => false,
        Some(value) if value.eq_ignore_ascii_case("stratos") => true,
        Some(value) if value.eq_ignore_ascii_case("none") => return None,
        Some(value) => {
            if !value.eq_ignore_ascii_case("auto") {
                report(format_args!(
                    "CONTROL_PLANE={} is not auto, stratos or none: using auto",
                    crate::text::start_at_most(value, 64)
                ));
            }
            false
        }
    };
    let mut brokers = Brokers::default();
    brokers.read(parameters, report);
    if brokers.count == 0 && !asked {
        return None;
    }
    let mut reader = Reader {
        parameters,
        wrong: None,
    };
    let settings = Settings {
        application: reader.value("APPLICATION_ID"),
        service: reader.value("SERVICE_NAME"),
        cluster: reader.value("CLUSTER_ID").unwrap_or_default(),
        cluster_instance: reader.value("CLUSTER_INSTANCE_ID"),
        member: reader.value("MEMBER_ID").unwrap_or_default(),
        instance: reader.value("INSTANCE_ID"),
        network_partition: reader.value("NETWORK_PARTITION_ID"),
        partition: reader.value("PARTITION_ID"),
        dependencies: parameters.get("DEPENDENCY_CLUSTER_IDS").unwrap_or_default(),
        user: reader.value("mb.username").or_else(|| reader.value("MB_USERNAME")),
        password: reader.value("mb.password").or_else(|| reader.value("MB_PASSWORD")),
        brokers: brokers.list,
        count: brokers.count,
    };
    let lacking = match settings {
        _ if settings.count == 0 => "MB_IP or mb.urls, the address of the message broker",
        Settings { member: "", .. } => "MEMBER_ID",
        Settings { cluster: "", .. } => "CLUSTER_ID",
        _ => "",
    };
    match reader.wrong {
        Some(key) => report(format_args!(
            "{key} has more than {VALUE_LIMIT} bytes: going on without a control plane"
        )),
        None if lacking.is_empty() => return Some(settings),
        None => report(format_args!(
            "the payload is for Stratos but lacks {lacking}: going on without a control plane (CONTROL_PLANE=none if that is meant)"
        )),
    }
    None
}

struct Reader<'p, 'a> {
    parameters: &'p Parameters<'a>,
    /// The key of a value that is too long.
    wrong: Option<&'static str>,
}

impl<'a> Reader<'_, 'a> {
    #[inline(never)]
    fn value(&mut self, key: &'static str) -> Option<&'a str> {
        let value = self.parameters.get(key)?;
        if value.len() > VALUE_LIMIT {
            self.wrong = Some(key);
        }
        Some(value)
    }
}

#[derive(Default)]
struct Brokers<'a> {
    list: [Broker<'a>; BROKER_LIMIT],
    count: usize,
}

impl<'a> Brokers<'a> {
    /// `mb.urls` or MB_URLS if there is one, else `mb.ip` and `mb.port` or MB_IP and MB_PORT.
    fn read(&mut self, parameters: &Parameters<'a>, report: &mut dyn FnMut(fmt::Arguments<'_>)) {
        let either = |a, b| parameters.get(a).or_else(|| parameters.get(b));
        if let Some(list) = either("mb.urls", "MB_URLS") {
            // A list has `|` in launch-params, where `,` ends the value, and `,` where a value may have it.
            for item in list_items(list).flat_map(|item| item.split(',')) {
                self.add(item.trim_ascii(), None, report);
            }
        } else if let Some(host) = either("mb.ip", "MB_IP") {
            self.add(host, either("mb.port", "MB_PORT"), report);
        }
    }

    fn add(&mut self, text: &'a str, port: Option<&str>, report: &mut dyn FnMut(fmt::Arguments<'_>)) {
        if text.is_empty() {
            return;
        }
        match broker(text, port) {
            Some(_) if self.count == BROKER_LIMIT => {
                report(format_args!("only the first {BROKER_LIMIT} message brokers are used"));
            }
            Some(broker) => {
                self.list[self.count] = broker;
                self.count += 1;
            }
            // What is not an address may be anything, also a secret in the wrong place.
            None => report(format_args!(
                "a message broker (mb.urls, MB_IP, MB_PORT) is not HOST:PORT with a port from 1 to 65535: left out"
            )),
        }
    }
}

/// A broker from `HOST`, `HOST:PORT`, `[IPV6]:PORT` or an IPv6 address alone, maybe after `tcp://` or `mqtt://`.
fn broker<'a>(text: &'a str, port: Option<&str>) -> Option<Broker<'a>> {
    let text = ["tcp://", "mqtt://"]
        .into_iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .unwrap_or(text);
    let (host, own_port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':')?)),
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (text, None),
        },
    };
    let port = match own_port.or(port) {
        None => DEFAULT_PORT,
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'%');
    let is_host = !host.is_empty() && host.len() <= VALUE_LIMIT && host.bytes().all(is_name);
    is_host.then_some(Broker { host, port })
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
