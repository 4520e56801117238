//! The agent's own keys in the launch parameters. A value that does not fit is reported and replaced, never fatal:
//! by the manifest's value if the payload's is bad, else by the built-in one.

use crate::http::client::Url;
use crate::log::Level;
use crate::metadata::{Choice, Place};
use crate::network::{NetworkPlan, StaticAddress};
use crate::parameters::{Parameters, decimal, is_secret, list_items};
use crate::text::start_at_most;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

/// At most this many ports are watched.
pub const PORT_LIMIT: usize = 16;

/// A management token has at least this many characters.
pub const TOKEN_MIN: usize = 16;

/// A management token has at most this many characters.
pub const TOKEN_MAX: usize = 256;

/// The agent's own keys.
const KEYS: &str = "PORTS LOG_LEVEL MANAGEMENT_PORT MANAGEMENT_TOKEN DRAIN_SECONDS port.check.timeout ADDRESS GATEWAY DNS \
                    ADDRESS6 GATEWAY6 MTU CARTRIDGE_NAME CARTRIDGE_VERSION CONTROL_PLANE APPLICATION_ID SERVICE_NAME CLUSTER_ID \
                    CLUSTER_INSTANCE_ID MEMBER_ID INSTANCE_ID NETWORK_PARTITION_ID PARTITION_ID DEPENDENCY_CLUSTER_IDS \
                    mb.urls mb.ip mb.port mb.username mb.password MB_URLS MB_IP MB_PORT MB_USERNAME MB_PASSWORD REPO_URL \
                    thrift.receiver.urls thrift.server.admin.username thrift.server.admin.password CEP_IP CEP_PORT \
                    CEP_USERNAME CEP_PASSWORD stats.notifier.interval cep.stats.publisher.enabled \
                    METADATA METADATA_ADDRESS METADATA_SECONDS";

/// The keys of artifacts.
#[cfg(feature = "artifacts")]
const ARTIFACT_KEYS: &str = "REPO_USERNAME REPO_PASSWORD REPO_DIGEST CARTRIDGE_KEY MULTITENANT TENANT_ID artifact.clone.retries \
                             artifact.clone.interval artifact.limit.mib";

/// At most this many DNS servers are passed on.
const DNS_LIMIT: usize = 3;

/// What the agent was told to be and do.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// CARTRIDGE_NAME, else `cartridge`.
    pub name: &'a str,
    /// CARTRIDGE_VERSION, else `0`.
    pub version: &'a str,
    /// PORTS: what must accept connections before the member is Active.
    pub ports: Ports,
    /// LOG_LEVEL: `error`, `warn`, `info` (the default), `debug` or `trace`.
    pub log_level: Level,
    /// MANAGEMENT_PORT and MANAGEMENT_TOKEN; the endpoint is off without them.
    pub management: Option<Management<'a>>,
    /// DRAIN_SECONDS, 0 to 3600: how long the app may finish its work after a stop was asked for. Default 10.
    pub drain: Duration,
    /// `port.check.timeout` in milliseconds (Stratos' name): when to report that the app is not ready. Default 600 s.
    pub port_check_timeout: Duration,
    /// ADDRESS, GATEWAY, DNS, ADDRESS6, GATEWAY6, MTU.
    pub network: NetworkPlan<'a>,
}

/// Where the management endpoint listens and who may use it.
#[derive(Clone, Copy)]
pub struct Management<'a> {
    /// TCP port.
    pub port: u16,
    /// What a client sends as `Authorization: Bearer`.
    pub token: &'a str,
}

impl fmt::Debug for Management<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Management {{ port: {}, token: (hidden) }}", self.port)
    }
}

/// The ports of PORTS, each once, in the order given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    numbers: [u16; PORT_LIMIT],
    count: usize,
}

impl Ports {
    /// The ports as a slice.
    pub fn as_slice(&self) -> &[u16] {
        &self.numbers[..self.count]
    }

    /// Ports written as a list with `|`; `None` when one of them is not a port, or when there are too many.
    pub fn parse(value: &str) -> Option<Self> {
        let mut ports = Self::default();
        for item in list_items(value) {
            let number = port_number(item)?;
            if !ports.as_slice().contains(&number) {
                *ports.numbers.get_mut(ports.count)? = number;
                ports.count += 1;
            }
        }
        Some(ports)
    }

    /// These ports without those whose position `leave_out` names.
    pub fn without(&self, leave_out: impl Fn(usize) -> bool) -> Self {
        let mut left = Self::default();
        for (_, number) in self
            .as_slice()
            .iter()
            .enumerate()
            .filter(|(index, _)| !leave_out(*index))
        {
            left.numbers[left.count] = *number;
            left.count += 1;
        }
        left
    }
}

/// A value that was not taken.
pub struct BadValue<'a> {
    /// Its key.
    pub key: &'a str,
    /// The value; shown only if the key is not a secret's.
    pub value: &'a str,
    /// What was expected.
    pub expected: &'static str,
    /// What is used instead.
    pub instead: &'a str,
}

impl fmt::Display for BadValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if is_secret(self.key) {
            "(hidden)"
        } else {
            start_at_most(self.value, 64)
        };
        write!(
            f,
            "{}={shown} is not {}: using {}",
            self.key, self.expected, self.instead
        )
    }
}

/// The key of the agent's that whoever wrote `key` may have meant; `None` if it is one, or like none of them.
pub fn near_miss(key: &str) -> Option<&'static str> {
    let mut near = None;
    let keys = KEYS.split(' ');
    #[cfg(feature = "artifacts")]
    let keys = keys.chain(ARTIFACT_KEYS.split(' '));
    for own in keys {
        if own == key {
            return None;
        }
        if near.is_none() && is_near(key, own) {
            near = Some(own);
        }
    }
    near
}

/// True if the two are the same but for case and one character left out, added, taken for another, or swapped with its
/// neighbour, after the first: `DB_PASSWORD` is the app's, and no `MB_PASSWORD`. What is as short as `DNS` is near too many words for
/// more than a difference in case.
#[inline(never)]
fn is_near(key: &str, own: &str) -> bool {
    let (mut a, mut b) = (key.as_bytes(), own.as_bytes());
    while let ([x, after_x @ ..], [y, after_y @ ..]) = (a, b)
        && x.eq_ignore_ascii_case(y)
    {
        (a, b) = (after_x, after_y);
    }
    if a.len() == key.len() {
        return false;
    }
    while let ([before_x @ .., x], [before_y @ .., y]) = (a, b)
        && x.eq_ignore_ascii_case(y)
    {
        (a, b) = (before_x, before_y);
    }
    match (a, b) {
        ([], []) => true,
        ([] | [_], [] | [_]) => own.len() > 4,
        ([p, q], [r, s]) => own.len() > 4 && (p, q) == (s, r),
        _ => false,
    }
}

/// Reads the settings; `report` is told of each value that does not fit.
#[inline(never)]
pub fn read<'a>(parameters: &Parameters<'a>, report: &mut dyn FnMut(BadValue<'_>)) -> Settings<'a> {
    let mut reader = Reader { parameters, report };
    let ports = reader.ports();
    Settings {
        name: parameters.get("CARTRIDGE_NAME").unwrap_or("cartridge"),
        version: parameters.get("CARTRIDGE_VERSION").unwrap_or("0"),
        ports,
        log_level: reader.log_level(),
        management: reader.management(&ports),
        drain: Duration::from_secs(reader.number("DRAIN_SECONDS a number of seconds from 0 to 3600\n10", 0, 3600)),
        port_check_timeout: Duration::from_millis(reader.number(
            "port.check.timeout a number of milliseconds from 1 to 86400000\n600000",
            1,
            86_400_000,
        )),
        network: reader.network(),
    }
}

/// METADATA: `auto` (the default), `openstack`, `ec2` or `off`. (Not one of [`Settings`], as what follows: in most machines there is nothing
/// to ask, and looking for keys is most of reading the settings.)
#[inline(never)]
pub fn metadata_choice(parameters: &Parameters<'_>, report: &mut dyn FnMut(BadValue<'_>)) -> Choice {
    let what = "METADATA auto, openstack, ec2 or off\nauto";
    Reader { parameters, report }
        .value(what, &|value| Choice::parse(value).is_some())
        .and_then(Choice::parse)
        .unwrap_or_default()
}

/// METADATA_ADDRESS and METADATA_SECONDS.
#[inline(never)]
pub fn metadata_place<'a>(parameters: &Parameters<'a>, report: &mut dyn FnMut(BadValue<'_>)) -> Place<'a> {
    let mut reader = Reader { parameters, report };
    let is_place = |value: &str| Url::host_and_port(value).is_some_and(|(host, _)| host.parse::<IpAddr>().is_ok());
    let seconds = "METADATA_SECONDS a number of seconds from 1 to 3600\n120";
    Place {
        address: reader.value(
            "METADATA_ADDRESS an IP address, or ADDRESS:PORT\nthe service's own",
            &is_place,
        ),
        limit: Duration::from_secs(reader.number(seconds, 1, 3600)),
    }
}

struct Reader<'r, 'a> {
    parameters: &'r Parameters<'a>,
    report: &'r mut dyn FnMut(BadValue<'_>),
}

impl<'a> Reader<'_, 'a> {
    /// The first of the payload's and the manifest's values that `accepts` takes. `what` is `KEY EXPECTED`, a line end, and what is built in.
    fn value(&mut self, what: &'static str, accepts: &dyn Fn(&str) -> bool) -> Option<&'a str> {
        let (key, expected, builtin) = parts(what);
        let candidates = self.parameters.candidates(key);
        let accepted = candidates.iter().flatten().copied().find(|value| accepts(value));
        for value in candidates.iter().flatten() {
            if accepts(value) {
                break;
            }
            (self.report)(BadValue {
                key,
                value,
                expected,
                instead: accepted.unwrap_or(builtin),
            });
        }
        accepted
    }

    /// A number from `least` to `most`; what is built in is a number too, or stands for 0.
    fn number(&mut self, what: &'static str, least: u64, most: u64) -> u64 {
        let fits = |value: &str| decimal(value).is_some_and(|number| (least..=most).contains(&number));
        decimal(self.value(what, &fits).unwrap_or(parts(what).2)).unwrap_or(0)
    }

    #[inline(never)]
    fn ports(&mut self) -> Ports {
        let what = "PORTS a list of at most 16 ports from 1 to 65535, separated by '|'\nno ports";
        self.value(what, &|value| Ports::parse(value).is_some())
            .and_then(Ports::parse)
            .unwrap_or_default()
    }

    fn log_level(&mut self) -> Level {
        let what = "LOG_LEVEL error, warn, info, debug or trace\ninfo";
        self.value(what, &|value| Level::parse(value).is_some())
            .and_then(Level::parse)
            .unwrap_or(Level::Info)
    }

    #[inline(never)]
    fn management(&mut self, ports: &Ports) -> Option<Management<'a>> {
        let what = "MANAGEMENT_PORT a port from 1 to 65535 that is not in PORTS\nno management endpoint";
        let port_fits = |value: &str| port_number(value).is_some_and(|port| !ports.as_slice().contains(&port));
        let port = port_number(self.value(what, &port_fits)?)?;
        let what = "MANAGEMENT_TOKEN 16 to 256 visible ASCII characters (MANAGEMENT_PORT needs a token)\nno management endpoint";
        let (key, expected, instead) = parts(what);
        if self.parameters.get(key).is_none() {
            (self.report)(BadValue {
                key,
                value: "",
                expected,
                instead,
            });
            return None;
        }
        let token = self.value(what, &is_token)?;
        Some(Management { port, token })
    }

    #[inline(never)]
    fn network(&mut self) -> NetworkPlan<'a> {
        let servers = |value: &str| {
            list_items(value).all(|item| item.parse::<IpAddr>().is_ok())
                && (1..=DNS_LIMIT).contains(&list_items(value).count())
        };
        NetworkPlan {
            v4: self.address(
                "ADDRESS an IPv4 address with prefix, as 10.0.2.15/24\nDHCP",
                "GATEWAY an IPv4 address beside a good ADDRESS\nDHCP",
                true,
            ),
            v6: self.address(
                "ADDRESS6 an IPv6 address with prefix, as fd00::15/64\nnone",
                "GATEWAY6 an IPv6 address beside a good ADDRESS6\nnone",
                false,
            ),
            dns: self.value("DNS a list of at most 3 IP addresses, separated by '|'\nnone", &servers),
            mtu: self.number("MTU a number of bytes from 576 to 9000\nthe network's", 576, 9000),
        }
    }

    /// A static address and its gateway; a gateway by itself has nothing to go by.
    #[inline(never)]
    fn address(&mut self, address: &'static str, gateway: &'static str, v4: bool) -> Option<StaticAddress<'a>> {
        let address = self.value(address, &|value| has_prefix(value, v4));
        let gateway = self.value(gateway, &|value| address.is_some() && is_address(value, v4));
        address.map(|address| StaticAddress { address, gateway })
    }
}

/// The parts of `KEY EXPECTED`, a line end, and what is built in. (One text for a setting is less code than three.)
#[inline(never)]
fn parts(what: &'static str) -> (&'static str, &'static str, &'static str) {
    let (key, rest) = what.split_once(' ').unwrap_or_default();
    let (expected, builtin) = rest.split_once('\n').unwrap_or_default();
    (key, expected, builtin)
}

/// A port from 1 to 65535.
#[inline(never)]
pub(crate) fn port_number(value: &str) -> Option<u16> {
    decimal(value)
        .and_then(|number| u16::try_from(number).ok())
        .filter(|port| *port != 0)
}

/// True for an address of this family that a host can have; the kernel refuses a line with any other, and all else that is in it.
#[inline(never)]
fn is_address(value: &str, v4: bool) -> bool {
    value.parse().is_ok_and(|address: IpAddr| {
        let is_for_all = address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST);
        address.is_ipv4() == v4 && !(is_for_all || address.is_unspecified() || address.is_loopback())
    })
}

/// True for `ADDRESS/PREFIX` of this family with a prefix of at least 1 bit.
#[inline(never)]
fn has_prefix(value: &str, v4: bool) -> bool {
    let most = if v4 { 32 } else { 128 };
    value.split_once('/').is_some_and(|(address, prefix)| {
        // No zeros before a prefix: the kernel's line has room for three digits.
        let number = decimal(prefix).filter(|_| prefix.len() <= 3);
        is_address(address, v4) && number.is_some_and(|number| (1..=most).contains(&number))
    })
}

fn is_token(value: &str) -> bool {
    (TOKEN_MIN..=TOKEN_MAX).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
