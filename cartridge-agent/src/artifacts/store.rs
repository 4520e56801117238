//! Which version each tenant has, and which one it is to have.

use super::archive::{Unpacked, folder};
use super::digest::Digest;
use super::location::Location;
use super::settings::Settings;
use super::tenant::TenantId;
use super::version::ArtifactVersion;
use crate::shared::lock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tenants that have artifacts; further ones are refused.
pub const TENANTS: usize = 256;
/// Domains that are known; further ones are not reachable by their name.
const DOMAINS: usize = 4096;

/// All there is of artifacts.
pub struct Store {
    pub settings: Settings,
    state: Mutex<State>,
    changed: Condvar,
    /// Some version is in place, and the log has told of it.
    is_told: AtomicBool,
    /// Threads in [`Store::next`].
    waiting: AtomicUsize,
}

#[derive(Default)]
struct State {
    tenants: BTreeMap<TenantId, Tenant>,
    domains: BTreeMap<String, TenantId>,
    versions: u32,
    /// Versions that nobody is to use any more: workers let go of them, as removing files takes time.
    old: Vec<ArtifactVersion>,
}

#[derive(Default)]
struct Tenant {
    current: Option<ArtifactVersion>,
    wish: Option<Wish>,
    /// Counts the wishes there were.
    serial: Arc<AtomicU32>,
    is_running: bool,
}

/// A version that is to be fetched.
#[derive(Clone)]
pub struct Wish {
    pub location: Location,
    /// Attempts that failed.
    pub failed: u32,
    due: Instant,
}

/// What a worker is to do.
pub enum Work {
    /// An attempt that is due.
    Attempt(Job),
    /// To drop this version.
    LetGo(ArtifactVersion),
}

/// An attempt that is to be made.
pub struct Job {
    pub tenant: TenantId,
    pub wish: Wish,
    serial: Arc<AtomicU32>,
    number: u32,
}

impl Job {
    /// False when the tenant wishes something else by now.
    pub fn is_wanted(&self) -> bool {
        self.serial.load(Ordering::Relaxed) == self.number
    }
}

/// What became of an attempt's result.
pub enum Taken {
    /// It is the current version now; the one before it is to be dropped.
    New(ArtifactVersion, Option<ArtifactVersion>),
    /// The current version is the same archive.
    Unchanged,
    /// The tenant wishes something else by now.
    Overtaken,
}

impl Store {
    pub fn new(settings: Settings) -> Self {
        Store {
            settings,
            state: Mutex::default(),
            changed: Condvar::new(),
            is_told: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
        }
    }

    /// True if any version was ever in place and told of. (The agent asks all the time, so it takes no lock.)
    pub fn is_told(&self) -> bool {
        self.is_told.load(Ordering::Acquire)
    }

    /// The log has told of a version: the member may be Active.
    pub fn told(&self) {
        self.is_told.store(true, Ordering::Release);
    }

    /// The version that this tenant has now.
    pub fn current(&self, tenant: TenantId) -> Option<ArtifactVersion> {
        lock(&self.state).tenants.get(&tenant)?.current.clone()
    }

    /// The current version of each tenant.
    pub fn all(&self) -> Vec<ArtifactVersion> {
        let tenants = &lock(&self.state).tenants;
        tenants.values().filter_map(|tenant| tenant.current.clone()).collect()
    }

    /// The tenant of this domain.
    pub fn of_domain(&self, domain: &str) -> Option<TenantId> {
        lock(&self.state).domains.get(domain).copied()
    }

    /// A tenant's domain is this, and no other.
    pub fn name(&self, tenant: TenantId, domain: &str) {
        let domains = &mut lock(&self.state).domains;
        domains.retain(|known, of| *of != tenant || known == domain);
        if domains.len() < DOMAINS || domains.contains_key(domain) {
            domains.insert(domain.to_owned(), tenant);
        }
    }

    /// A tenant is to have this version; what is still to be fetched for it is not wanted any more. False if there are too many
    /// tenants.
    pub fn wish(&self, tenant: TenantId, location: Location) -> bool {
        let tenants = &mut lock(&self.state).tenants;
        if tenants.len() >= TENANTS && !tenants.contains_key(&tenant) {
            return false;
        }
        let entry = tenants.entry(tenant).or_default();
        entry.serial.fetch_add(1, Ordering::Relaxed);
        entry.wish = Some(Wish {
            location,
            failed: 0,
            due: Instant::now(),
        });
        self.changed.notify_one();
        true
    }

    /// A tenant and all it has is to go. True if it had anything.
    pub fn remove(&self, tenant: TenantId) -> bool {
        let mut state = lock(&self.state);
        state.domains.retain(|_, of| *of != tenant);
        let Some(gone) = state.tenants.remove(&tenant) else {
            return false;
        };
        // An attempt that is running ends.
        gone.serial.fetch_add(1, Ordering::Relaxed);
        state.old.extend(gone.current);
        self.changed.notify_one();
        true
    }

    /// The next thing to do, waited for until `limit` if there is one. Of those that are due, who has waited longest is first.
    pub fn next(&self, limit: Option<Instant>) -> Option<Work> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let work = self.wait(limit);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        work
    }

    fn wait(&self, limit: Option<Instant>) -> Option<Work> {
        let mut state = lock(&self.state);
        loop {
            if let Some(old) = state.old.pop() {
                return Some(Work::LetGo(old));
            }
            let now = Instant::now();
            let waiting = state.tenants.iter().filter(|(_, tenant)| !tenant.is_running);
            let first = waiting
                .filter_map(|(id, tenant)| Some((tenant.wish.as_ref()?.due, *id)))
                .min();
            if let Some((due, id)) = first
                && due <= now
                && let Some(tenant) = state.tenants.get_mut(&id)
                && let Some(wish) = tenant.wish.clone()
            {
                tenant.is_running = true;
                return Some(Work::Attempt(Job {
                    tenant: id,
                    wish,
                    serial: Arc::clone(&tenant.serial),
                    number: tenant.serial.load(Ordering::Relaxed),
                }));
            }
            let due = first.map(|(due, _)| due);
            let until = limit.into_iter().chain(due).min();
            state = match until.map(|until| until.saturating_duration_since(now)) {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) if limit.is_some_and(|limit| limit <= now) => return None,
                Some(Duration::ZERO) => state,
                Some(left) => {
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// True if nobody waits in [`Store::next`]: what becomes due now is not begun before somebody comes.
    pub fn is_alone(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }

    /// True while attempts are being made.
    pub fn is_busy(&self) -> bool {
        lock(&self.state).tenants.values().any(|tenant| tenant.is_running)
    }

    /// An attempt gave this. What is not taken is removed.
    pub fn take(&self, job: &Job, digest: Digest, unpacked: Unpacked) -> Taken {
        let mut state = lock(&self.state);
        let State { tenants, versions, .. } = &mut *state;
        let Some(tenant) = concluded(tenants, job).filter(|_| job.is_wanted()) else {
            drop(state);
            folder::remove(&unpacked.folder);
            return Taken::Overtaken;
        };
        tenant.wish = None;
        if tenant.current.as_ref().is_some_and(|current| current.has(digest)) {
            drop(state);
            folder::remove(&unpacked.folder);
            return Taken::Unchanged;
        }
        *versions += 1;
        let version = ArtifactVersion::new(job.tenant, *versions, digest, unpacked);
        let before = tenant.current.replace(version.clone());
        Taken::New(version, before)
    }

    /// An attempt failed; the next is to be made after `pause`, if any. Gives the version that stays in use; `Err` if the tenant
    /// wishes something else by now.
    pub fn fail(&self, job: &Job, pause: Option<Duration>) -> Result<Option<ArtifactVersion>, ()> {
        let tenants = &mut lock(&self.state).tenants;
        let tenant = concluded(tenants, job).filter(|_| job.is_wanted()).ok_or(())?;
        tenant.wish = pause.map(|pause| Wish {
            location: job.wish.location.clone(),
            failed: job.wish.failed + 1,
            due: Instant::now() + pause,
        });
        // Everyone waits for the first that is due, also when who says this does not come back.
        self.changed.notify_all();
        Ok(tenant.current.clone())
    }

    /// Removes all files. For the end of a process, whose files would stay.
    #[cfg(unix)]
    pub fn clear(&self) {
        for tenant in lock(&self.state).tenants.values() {
            if let Some(current) = &tenant.current {
                current.remove_files();
            }
        }
    }
}

/// The tenant of an attempt that is over; one that was removed meanwhile, and may have come again, is none.
fn concluded<'t>(tenants: &'t mut BTreeMap<TenantId, Tenant>, job: &Job) -> Option<&'t mut Tenant> {
    let tenant = tenants.get_mut(&job.tenant)?;
    if !Arc::ptr_eq(&tenant.serial, &job.serial) {
        return None;
    }
    tenant.is_running = false;
    Some(tenant)
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
