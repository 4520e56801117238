//! Instance metadata: which service a machine has, what to ask it in which order, and when to ask again. Sans-IO: the driver makes each
//! request that [`Inquiry::step`] wants and tells [`Inquiry::answered`] what came of it.
//!
//! OpenStack (Nova's metadata API): `meta_data.json`, then `user_data`. EC2 (instance metadata service): a session token by PUT (version
//! 2), `user-data`, then the instance's own data, each a request; without a token (version 1) only where there is no such route.
//!
//! The payload decides everything, so what it takes is asked for until [`Place::limit`] is over; what is only of use is tried
//! [`TRIES_LIMIT`] times. Between two rounds come pauses that double up to [`LONGEST_PAUSE`], each shortened by a random part.

mod platform;
mod steps;

pub use platform::recognised;
pub use steps::{Inquiry, Problem, Step, What};

use core::time::Duration;

/// For a connection to the service.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// For one request.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// How often a service is asked for what a member can do without.
pub const TRIES_LIMIT: u32 = 3;

/// The pause after the first round of failures, and the longest.
pub const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// See [`FIRST_PAUSE`].
pub const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Seconds that a token holds, of at most 21600; it is used for the next second or two.
pub const TOKEN_SECONDS: &str = "300";

/// How many public keys are fetched at most.
pub const KEY_LIMIT: usize = 8;

/// A kind of metadata service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// OpenStack's own paths.
    OpenStack,
    /// EC2's paths, which OpenStack and others have too.
    Ec2,
}

impl Service {
    /// Its name in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Service::OpenStack => "OpenStack",
            Service::Ec2 => "EC2",
        }
    }

    /// Where it is, unless METADATA_ADDRESS says otherwise: the link-local address that all have, then its address of IPv6
    /// (OpenStack since Victoria; EC2 on Nitro).
    pub const fn addresses(self) -> [&'static str; 2] {
        match self {
            Service::OpenStack => ["169.254.169.254", "fe80::a9fe:a9fe"],
            Service::Ec2 => ["169.254.169.254", "fd00:ec2::254"],
        }
    }
}

/// METADATA: which service to ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The one of the cloud that the machine says it is in, if there is no payload; none in any other machine.
    #[default]
    Auto,
    /// This one.
    Ask(Service),
    /// None.
    Off,
}

impl Choice {
    /// The choice of this name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        let is = |word: &str| name.eq_ignore_ascii_case(word);
        Some(match () {
            () if is("auto") => Choice::Auto,
            () if is("openstack") => Choice::Ask(Service::OpenStack),
            () if is("ec2") => Choice::Ask(Service::Ec2),
            () if is("off") => Choice::Off,
            () => return None,
        })
    }
}

/// METADATA_ADDRESS and METADATA_SECONDS.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Where: an IP address, with a port or without; else [`Service::addresses`].
    pub address: Option<&'a str>,
    /// How long until the defaults hold.
    pub limit: Duration,
}

#[cfg(test)]
mod tests;
