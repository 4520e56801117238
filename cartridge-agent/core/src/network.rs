//! The words of the guest's `network` file: what is written to configure it, and what reading it says.

use crate::text::Message;
use core::fmt::{self, Write};

/// What the `network` file says about the network of this member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkState {
    /// There is no such file: the platform (Linux in dev mode) has its network up before the agent starts.
    NotOurs,
    /// Addresses are set.
    Up,
    /// Waiting for a DHCP answer.
    Configuring,
    /// There is no network interface.
    Absent,
    /// Configuration failed.
    Failed,
}

impl NetworkState {
    /// The state in `text`, the content of the file: its line `state WORD`. A word that is not known, or no such line,
    /// counts as still configuring.
    pub fn parse(text: &str) -> Self {
        let mut lines = text.split('\n').map(str::trim_ascii);
        match lines
            .find_map(|line| line.strip_prefix("state "))
            .map(str::trim_ascii_start)
        {
            Some("up") => NetworkState::Up,
            Some("absent") => NetworkState::Absent,
            Some("failed") => NetworkState::Failed,
            _ => NetworkState::Configuring,
        }
    }

    /// True if a member needs nothing more of the network to be ready.
    pub fn is_ready(self) -> bool {
        matches!(self, NetworkState::Up | NetworkState::NotOurs)
    }
}

/// What the cartridge lacks, and what to do about it.
impl fmt::Display for NetworkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NetworkState::NotOurs | NetworkState::Up => "the network is up",
            NetworkState::Configuring => {
                "no address yet (no DHCP answer; check the DHCP server, or set ADDRESS and GATEWAY)"
            }
            NetworkState::Absent => "no network interface (attach a virtio-net device)",
            NetworkState::Failed => {
                "network configuration failed (see the kernel's lines; check ADDRESS, GATEWAY and MTU)"
            }
        })
    }
}

/// A static address for one family, in words that were checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticAddress<'a> {
    /// `ADDRESS/PREFIX`.
    pub address: &'a str,
    /// The default gateway.
    pub gateway: Option<&'a str>,
}

/// How the network is configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkPlan<'a> {
    /// IPv4; DHCP when absent.
    pub v4: Option<StaticAddress<'a>>,
    /// IPv6; what the network advertises when absent.
    pub v6: Option<StaticAddress<'a>>,
    /// A `|` separated list of DNS servers of either family.
    pub dns: Option<&'a str>,
    /// The largest packet in bytes, 0 for the network's own.
    pub mtu: u64,
}

impl NetworkPlan<'_> {
    /// The lines to write to the `network` file.
    #[inline(never)]
    pub fn command(&self) -> Message {
        let mut out = Message::new();
        put_address(&mut out, "dhcp", self.v4);
        // They hold for both families, wherever they stand.
        let mut before = " dns ";
        for server in crate::parameters::list_items(self.dns.unwrap_or_default()) {
            put(&mut out, before);
            put(&mut out, server);
            before = ",";
        }
        if self.mtu > 0 {
            let _ = write!(out, " mtu {}", self.mtu);
        }
        put(&mut out, "\n");
        if self.v6.is_some() {
            put_address(&mut out, "", self.v6);
            put(&mut out, "\n");
        }
        out
    }
}

/// Adds `static ADDRESS gateway ADDRESS`, or `otherwise`.
#[inline(never)]
fn put_address(out: &mut Message, otherwise: &str, address: Option<StaticAddress<'_>>) {
    let Some(StaticAddress { address, gateway }) = address else {
        return put(out, otherwise);
    };
    put(out, "static ");
    put(out, address);
    if let Some(gateway) = gateway {
        put(out, " gateway ");
        put(out, gateway);
    }
}

/// Adds `text`; what does not fit is cut, which no checked plan comes to.
#[inline(never)]
fn put(out: &mut Message, text: &str) {
    let _ = out.write_str(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_from_their_line() {
        assert_eq!(
            NetworkState::parse("state up\naddress 10.0.2.15/24\n"),
            NetworkState::Up
        );
        assert_eq!(
            NetworkState::parse("mac 52:54:00:12:34:56\nstate absent"),
            NetworkState::Absent
        );
        assert_eq!(NetworkState::parse("state failed\r\n"), NetworkState::Failed);
        for text in ["", "state", "state configuring", "state quux", "upstate up"] {
            assert_eq!(NetworkState::parse(text), NetworkState::Configuring, "{text}");
        }
    }

    #[test]
    fn commands_say_what_the_plan_says() {
        let v4 = StaticAddress {
            address: "10.0.2.15/24",
            gateway: Some("10.0.2.2"),
        };
        let v6 = StaticAddress {
            address: "fd00::15/64",
            gateway: None,
        };
        let dns = Some("10.0.2.3|1.1.1.1");
        for (plan, text) in [
            (NetworkPlan::default(), "dhcp\n"),
            (
                NetworkPlan {
                    v4: Some(v4),
                    ..Default::default()
                },
                "static 10.0.2.15/24 gateway 10.0.2.2\n",
            ),
            (
                NetworkPlan {
                    v4: Some(v4),
                    v6: Some(v6),
                    dns,
                    mtu: 1400,
                },
                "static 10.0.2.15/24 gateway 10.0.2.2 dns 10.0.2.3,1.1.1.1 mtu 1400\nstatic fd00::15/64\n",
            ),
            (
                NetworkPlan {
                    v6: Some(v6),
                    dns,
                    ..Default::default()
                },
                "dhcp dns 10.0.2.3,1.1.1.1\nstatic fd00::15/64\n",
            ),
            (
                NetworkPlan {
                    dns,
                    mtu: 1400,
                    ..Default::default()
                },
                "dhcp dns 10.0.2.3,1.1.1.1 mtu 1400\n",
            ),
        ] {
            assert_eq!(plan.command().as_str(), text);
        }
    }
}
