//! The choice of a control plane, by the launch parameters.

use crate::shared::Shared;
use cartridge_agent_core::control::Standalone;

/// The control plane of this member.
#[cfg(not(feature = "stratos"))]
pub fn choose(_shared: &'static Shared) -> Standalone {
    Standalone::default()
}

/// The control plane of this member. It lives as long as the process.
#[cfg(feature = "stratos")]
pub fn choose(shared: &'static Shared) -> &'static mut (dyn cartridge_agent_core::control::ControlPlane + Send) {
    use cartridge_agent_core::stratos::{Stratos, health, settings};
    let parameters = &shared.parameters;
    let Some(settings) = settings::read(parameters, &mut |wrong| complain(wrong)) else {
        return Box::leak(Box::new(Standalone::default()));
    };
    let health = health::settings::Settings::read(parameters, &mut |bad| complain(format_args!("{bad}")));
    Box::leak(Box::new(Stratos::new(settings, health, seed(settings.member))))
}

#[cfg(feature = "stratos")]
fn complain(what: std::fmt::Arguments<'_>) {
    crate::log::agent(cartridge_agent_core::log::Level::Error, what, &[]);
}

/// A number that differs from member to member and from start to start. It spreads attempts in time and protects nothing.
#[cfg(feature = "stratos")]
fn seed(member: &str) -> u64 {
    let time = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let start = u64::from(time.subsec_nanos()) ^ time.as_secs();
    // FNV-1a (Fowler, Noll, Vo).
    member.bytes().fold(0xcbf2_9ce4_8422_2325 ^ start, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
