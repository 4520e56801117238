//! Where health statistics go, from the launch parameters.

use crate::control::Peer;
use crate::parameters::{Parameters, list_items};
use crate::settings::{BadValue, port_number};
use core::fmt;
use core::time::Duration;

/// At most this many receivers are used.
pub const RECEIVER_LIMIT: usize = 8;

/// Identifiers, names and passwords are at most this long, in bytes, so that each call fits its buffer.
pub const TEXT_LIMIT: usize = 200;

/// The databridge's port for plain connections.
pub const PLAIN_PORT: u16 = 7611;

/// The databridge's port for TLS.
pub const TLS_PORT: u16 = 7711;

/// What Stratos' receivers have as user name and password unless they were given others.
const DEFAULT_USER: &str = "admin";

/// How often the two figures are published, in seconds, unless `stats.notifier.interval` says so.
const DEFAULT_INTERVAL: u64 = 15;

/// What a member is told by, in the order of [`Settings::member`].
const MEMBER_KEYS: &str = "CLUSTER_ID CLUSTER_INSTANCE_ID NETWORK_PARTITION_ID MEMBER_ID PARTITION_ID";

/// What a publisher needs to know.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    receivers: [Peer<'a>; RECEIVER_LIMIT],
    count: usize,
    /// Whom to log in as: `thrift.server.admin.username`, CEP_USERNAME, or `admin`.
    pub user: &'a str,
    /// Their password: `thrift.server.admin.password`, CEP_PASSWORD, or `admin`.
    pub password: &'a str,
    /// `stats.notifier.interval`, 1 to 3600 s; default 15 s.
    pub interval: Duration,
    /// CLUSTER_ID, CLUSTER_INSTANCE_ID, NETWORK_PARTITION_ID, MEMBER_ID, PARTITION_ID; empty where they are not given.
    pub member: [&'a str; 5],
}

impl fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings {{ receivers: {:?}, .. }}", self.receivers())
    }
}

impl<'a> Settings<'a> {
    /// Where to connect to, in the order of trying. There is at least one.
    pub fn receivers(&self) -> &[Peer<'a>] {
        &self.receivers[..self.count]
    }

    /// What the parameters say; `None` if they name no receiver, none that can be used, or `cep.stats.publisher.enabled` is
    /// false. `report` is told of each value that does not fit.
    #[inline(never)]
    pub fn read(parameters: &Parameters<'a>, report: &mut dyn FnMut(BadValue<'_>)) -> Option<Self> {
        let mut reader = Reader { parameters, report };
        if !reader.is_enabled() {
            return None;
        }
        let mut settings = Settings {
            receivers: [Peer { host: "", port: 0 }; RECEIVER_LIMIT],
            count: 0,
            user: reader.text("thrift.server.admin.username CEP_USERNAME", DEFAULT_USER),
            password: reader.text("thrift.server.admin.password CEP_PASSWORD", DEFAULT_USER),
            interval: reader.interval(),
            member: [""; 5],
        };
        for (text, key) in settings.member.iter_mut().zip(MEMBER_KEYS.split(' ')) {
            *text = reader.text(key, "");
        }
        reader.receivers(&mut settings);
        (settings.count > 0).then_some(settings)
    }

    fn add(&mut self, receiver: Peer<'a>) -> bool {
        let room = self.receivers.get_mut(self.count);
        let has_room = room.is_some();
        if let Some(room) = room {
            *room = receiver;
            self.count += 1;
        }
        has_room
    }
}

struct Reader<'r, 'a> {
    parameters: &'r Parameters<'a>,
    report: &'r mut dyn FnMut(BadValue<'_>),
}

impl<'a> Reader<'_, 'a> {
    #[inline(never)]
    fn bad(&mut self, key: &'static str, value: &str, expected: &'static str, instead: &'static str) {
        (self.report)(BadValue {
            key,
            value,
            expected,
            instead,
        });
    }

    fn is_enabled(&mut self) -> bool {
        let key = "cep.stats.publisher.enabled";
        match self.parameters.boolean(key) {
            Ok(enabled) => enabled.unwrap_or(true),
            Err(value) => {
                self.bad(key, value, "true or false", "true");
                true
            }
        }
    }

    fn interval(&mut self) -> Duration {
        let key = "stats.notifier.interval";
        let seconds = match self.parameters.number(key) {
            Ok(seconds) => seconds.unwrap_or(DEFAULT_INTERVAL),
            Err(_) => 0,
        };
        if (1..=3600).contains(&seconds) {
            return Duration::from_secs(seconds);
        }
        let value = self.parameters.get(key).unwrap_or_default();
        self.bad(key, value, "a number of seconds from 1 to 3600", "15");
        Duration::from_secs(DEFAULT_INTERVAL)
    }

    /// The value of the first of these keys that is given.
    #[inline(never)]
    fn text(&mut self, keys: &'static str, instead: &'static str) -> &'a str {
        for key in keys.split(' ') {
            match self.parameters.get(key) {
                Some(value) if value.len() > TEXT_LIMIT => {
                    self.bad(key, value, "at most 200 bytes long", instead);
                    return instead;
                }
                Some(value) => return value,
                None => {}
            }
        }
        instead
    }

    fn receivers(&mut self, settings: &mut Settings<'a>) {
        let key = "thrift.receiver.urls";
        let list = self.parameters.get(key).unwrap_or_default();
        // As for brokers: `|` in launch-params, where `,` ends the value, and upstream's `,` where a value may have it.
        for item in list_items(list).flat_map(|item| item.split(',')) {
            let item = item.trim_ascii();
            if item.is_empty() {
                continue;
            }
            let expected = match receiver(item) {
                Ok(receiver) if settings.add(receiver) => continue,
                Ok(_) => "one of the first 8 receivers",
                Err(what) => what,
            };
            // A URL may hold a password.
            let shown = if item.contains('@') { "" } else { item };
            self.bad(key, shown, expected, "the others, if any");
        }
        if !list.is_empty() {
            return;
        }
        let Some(host) = self.parameters.get("CEP_IP") else {
            return;
        };
        let key = "CEP_PORT";
        let value = self.parameters.get(key).unwrap_or("7611");
        match port_number(value) {
            Some(TLS_PORT) => self.bad(key, value, NOT_TLS, "no health statistics"),
            Some(port) => _ = settings.add(Peer { host, port }),
            None => self.bad(key, value, "a port from 1 to 65535", "no health statistics"),
        }
    }
}

const NOT_TLS: &str = "a receiver without TLS (this agent has none: name its plain port as tcp://HOST:PORT)";
const NOT_AN_ADDRESS: &str = "a list of tcp://HOST:PORT, separated by '|' or ','";

/// A receiver as `HOST`, `HOST:PORT` or `tcp://HOST:PORT`; an IPv6 address has brackets if a port follows. Stratos' own agents
/// connect to `HOST:7711` with TLS, so that port without `tcp://` asks for it as much as `ssl://` does.
#[inline(never)]
fn receiver(item: &str) -> Result<Peer<'_>, &'static str> {
    let (scheme, address) = match item.split_once('/') {
        Some((scheme, rest)) => (scheme, rest.strip_prefix('/').ok_or(NOT_AN_ADDRESS)?),
        None => ("", item),
    };
    if ["ssl:", "tls:", "https:"].contains(&scheme) {
        return Err(NOT_TLS);
    }
    let (mut host, mut port) = address.rsplit_once(':').unwrap_or((address, ""));
    if let Some((inside, behind)) = address.split_once(']') {
        // What is behind the bracket is a colon and the port, if anything.
        let is_address = inside.starts_with('[') && (behind.is_empty() || behind.starts_with(':'));
        (host, port) = (
            if is_address { &inside[1..] } else { "" },
            behind.get(1..).unwrap_or_default(),
        );
    } else if host.contains(':') {
        (host, port) = (address, "");
    }
    let number = if port.is_empty() {
        Some(PLAIN_PORT)
    } else {
        port_number(port)
    };
    match number {
        // A bracket is left where the other is missing.
        Some(port) if !host.is_empty() && !host.contains(['[', '@']) && ["", "tcp:"].contains(&scheme) => {
            if port == TLS_PORT && scheme.is_empty() {
                return Err(NOT_TLS);
            }
            Ok(Peer { host, port })
        }
        _ => Err(NOT_AN_ADDRESS),
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
