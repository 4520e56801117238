//! The launch parameters of artifacts.

use super::archive::Limits;
use super::digest::Digest;
use super::tenant::TenantId;
use crate::log;
use cartridge_agent_core::log::Level;
use cartridge_agent_core::parameters::Parameters;
use cartridge_agent_core::settings::BadValue;
use std::time::Duration;

/// Most files and folders of an archive: the guest's /tmp has room for 65,536 of all versions.
const ENTRIES: u32 = 10_000;

/// What the payload says about artifacts.
pub struct Settings {
    /// REPO_URL.
    pub url: Option<&'static str>,
    /// REPO_USERNAME.
    pub user: Option<&'static str>,
    /// REPO_PASSWORD, as it is.
    pub password: Option<&'static str>,
    /// REPO_DIGEST: of the archive at REPO_URL.
    pub digest: Option<Digest>,
    /// CARTRIDGE_KEY: opens the passwords of the control plane.
    pub key: Option<&'static str>,
    /// MULTITENANT: each tenant has an artifact of its own.
    pub is_multitenant: bool,
    /// TENANT_ID: whose the artifact at REPO_URL is in a multi-tenant cartridge.
    pub tenant: TenantId,
    /// `artifact.clone.retries`: attempts after the first.
    pub retries: u32,
    /// `artifact.clone.interval`: about how long to wait before each.
    pub interval: Duration,
    /// `artifact.limit.mib`, for the archive and for what is in it.
    pub limits: Limits,
}

impl Settings {
    /// Reads them; a bad value is logged and replaced by the default.
    pub fn read(parameters: &Parameters<'static>) -> Self {
        let number = |key: &'static str, expected, default: u64, (least, most): (u64, u64), instead| match parameters
            .number(key)
        {
            Ok(None) => default,
            Ok(Some(value)) if (least..=most).contains(&value) => value,
            _ => {
                report(parameters, key, expected, instead);
                default
            }
        };
        let mib = number(
            "artifact.limit.mib",
            "a number of MiB from 1 to 65536",
            256,
            (1, 65_536),
            "256",
        );
        let digest = parameters.get("REPO_DIGEST");
        let parsed = digest.and_then(Digest::parse);
        if digest.is_some() && parsed.is_none() {
            let expected = "sha256: and 64 hexadecimal digits";
            report(
                parameters,
                "REPO_DIGEST",
                expected,
                "no artifact, as none could have it",
            );
        }
        Settings {
            // What is to be checked and cannot be is not fetched.
            url: parameters
                .get("REPO_URL")
                .filter(|_| digest.is_some() == parsed.is_some()),
            user: parameters.get("REPO_USERNAME"),
            password: parameters.get("REPO_PASSWORD"),
            digest: parsed,
            key: parameters.get("CARTRIDGE_KEY"),
            is_multitenant: parameters.boolean("MULTITENANT").unwrap_or_else(|_| {
                report(parameters, "MULTITENANT", "true or false", "false");
                None
            }) == Some(true),
            tenant: parameters
                .get("TENANT_ID")
                .and_then(TenantId::parse)
                .unwrap_or(TenantId::SUPER),
            retries: number("artifact.clone.retries", "a number from 0 to 1000", 5, (0, 1000), "5") as u32,
            interval: Duration::from_secs(number(
                "artifact.clone.interval",
                "a number of seconds from 1 to 3600",
                10,
                (1, 3600),
                "10",
            )),
            limits: Limits {
                bytes: mib << 20,
                entries: ENTRIES,
            },
        }
    }
}

fn report(parameters: &Parameters<'static>, key: &'static str, expected: &'static str, instead: &'static str) {
    let bad = BadValue {
        key,
        value: parameters.get(key).unwrap_or_default(),
        expected,
        instead,
    };
    log::agent(Level::Error, format_args!("{bad}"), &[]);
}
