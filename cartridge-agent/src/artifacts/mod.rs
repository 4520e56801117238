//! Content that is fetched after the boot (feature `artifacts`): generic cartridges.
//!
//! The control plane says that there is a new version of the artifact (Stratos: ArtifactUpdatedEvent), or the payload names one
//! (REPO_URL). It is fetched over HTTP ([`download`]), checked against its digest, unpacked into a folder of its own ([`archive`]), and only
//! then becomes the current one, all at once ([`store`]). What fails on the way leaves the version in use untouched.

pub(crate) mod archive;
pub(crate) mod decrypt;
mod digest;
mod download;
pub(crate) mod location;
mod settings;
mod store;
mod tenant;
mod version;
mod worker;

pub use version::ArtifactVersion;

use crate::log;
use crate::shared::Shared;
use cartridge_agent_core::control::{Artifact, Event};
use cartridge_agent_core::log::Level;
use location::Location;
use settings::Settings;
use std::sync::OnceLock;
use store::Store;
use tenant::TenantId;

/// Made once, by the first [`start`].
static STORE: OnceLock<Store> = OnceLock::new();

/// Reads what the payload says, and begins to fetch what it names, unless a control plane will say what to fetch. To be called on
/// a thread of the app's priority, which the threads that fetch inherit.
pub fn start(shared: &'static Shared, has_control_plane: bool) {
    let store = STORE.get_or_init(|| Store::new(Settings::read(&shared.parameters)));
    if has_control_plane {
        worker::start(shared, store);
    } else if let Some(url) = store.settings.url {
        worker::start(shared, store);
        let settings = &store.settings;
        match Location::new(url, settings.user, settings.password) {
            Ok(location) => wish(store, own_tenant(settings), checked(settings, location)),
            Err(why) => log::agent(Level::Error, format_args!("REPO_URL is not fetched: {why}"), &[]),
        }
    }
}

fn wish(store: &Store, tenant: TenantId, location: Location) {
    if !store.wish(tenant, location) {
        log::agent(
            Level::Error,
            format_args!(
                "the artifact of tenant {tenant} is not fetched: {} other tenants have one",
                store::TENANTS
            ),
            &[],
        );
    }
}

/// Removes all files, for the end of a process.
#[cfg(unix)]
pub fn clear() {
    if let Some(store) = STORE.get() {
        store.clear();
    }
}

/// True as long as the member waits for its first artifact.
pub fn is_awaited() -> bool {
    STORE
        .get()
        .is_some_and(|store| store.settings.url.is_some() && !store.is_told())
}

/// The current version of each tenant.
pub fn all() -> Vec<ArtifactVersion> {
    STORE.get().map(Store::all).unwrap_or_default()
}

/// Takes what concerns artifacts in an event of the control plane, which knows domains. True if nothing of the event is for the app.
pub fn intercept<'e>(event: &Event<&'e str>, domain: impl Fn(&'e str) -> Option<&'e str>) -> bool {
    let Some(store) = STORE.get() else { return false };
    match event {
        Event::ArtifactUpdated(artifact) => {
            if let Some(id) = artifact.tenant
                && let Some(domain) = domain(id)
            {
                name(store, id, domain);
            }
            if let Err(why) = update(store, artifact) {
                log::agent(Level::Error, format_args!("a new artifact is not fetched: {why}"), &[]);
            }
            return true;
        }
        Event::TenantSubscribed(tenant) => {
            if let Some(domain) = tenant.domain {
                name(store, tenant.id, domain);
            }
        }
        Event::TenantRemoved(tenant) | Event::SignUpRemoved(tenant) if store.settings.is_multitenant => {
            if let Some(id) = TenantId::parse(tenant.id)
                && store.remove(id)
            {
                log::agent(Level::Info, format_args!("the artifact of tenant {id} is removed"), &[]);
            }
        }
        _ => {}
    }
    false
}

/// A tenant's domain is this.
fn name(store: &Store, tenant: &str, domain: &str) {
    if let Some(id) = TenantId::parse(tenant).filter(|_| store.settings.is_multitenant) {
        store.name(id, domain);
    }
}

fn update(store: &Store, artifact: &Artifact<&str>) -> Result<(), &'static str> {
    let settings = &store.settings;
    let tenant = match artifact.tenant {
        Some(id) if settings.is_multitenant => TenantId::parse(id).ok_or("its tenant is not a tenant's number")?,
        _ => TenantId::SUPER,
    };
    let password = match (artifact.password.filter(|text| !text.is_empty()), settings.key) {
        (None, _) => None,
        (Some(_), None) => return Err("its password is encrypted and the payload has no CARTRIDGE_KEY"),
        (Some(encrypted), Some(key)) => Some(decrypt::password(encrypted, key).ok_or(
            "its password cannot be decrypted with the CARTRIDGE_KEY of the payload, which has to have 16 characters",
        )?),
    };
    let user = artifact.user.filter(|text| !text.is_empty());
    let location = Location::new(artifact.url, user, password.as_deref().filter(|text| !text.is_empty()))?;
    wish(store, tenant, checked(settings, location));
    Ok(())
}

/// The same with the digest that the payload states, if this is what REPO_URL names, whoever says that it is to be fetched.
fn checked(settings: &Settings, location: Location) -> Location {
    let own = settings.url.and_then(|url| Location::new(url, None, None).ok());
    let own = own.filter(|own| own.url == location.url);
    let stated = own.and_then(|own| settings.digest.or(own.digest));
    Location {
        digest: stated.or(location.digest),
        ..location
    }
}

/// Whose the artifact of the payload is.
fn own_tenant(settings: &Settings) -> TenantId {
    match settings.is_multitenant {
        true => settings.tenant,
        false => TenantId::SUPER,
    }
}

/// Tells the app of a new version, and the agent, which may have waited for it.
fn announce(shared: &Shared, store: &Store, version: ArtifactVersion) {
    store.told();
    shared.listeners.ready(version);
    shared.wake_agent();
}

/// The artifacts of this member. What it gives is a version to be used for as long as the work at hand takes; the next piece of
/// work asks again, and has the newest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Artifacts(());

impl Artifacts {
    pub(crate) fn new() -> Self {
        Artifacts(())
    }

    /// The current version; in a multi-tenant cartridge, the one of the tenant that runs the platform (`-1234`). `None` until the first
    /// one is in place.
    pub fn current(&self) -> Option<ArtifactVersion> {
        STORE.get()?.current(TenantId::SUPER)
    }

    /// The current version of the tenant with this number or this domain, in a multi-tenant cartridge.
    pub fn of_tenant(&self, id_or_domain: &str) -> Option<ArtifactVersion> {
        let store = STORE.get().filter(|store| store.settings.is_multitenant)?;
        let tenant = TenantId::parse(id_or_domain).or_else(|| store.of_domain(id_or_domain))?;
        store.current(tenant)
    }

    /// True if tenants have artifacts of their own (MULTITENANT).
    pub fn are_by_tenant(&self) -> bool {
        STORE.get().is_some_and(|store| store.settings.is_multitenant)
    }
}
