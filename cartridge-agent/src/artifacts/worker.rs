//! The threads that fetch artifacts. They have the app's priority: unpacking is work.
//!
//! There is one; with several tenants, one more than are at work, up to [`WORKERS`], so that one tenant's slow server does not keep the
//! others from their artifacts.

use super::download::{Failure, download};
use super::store::{Job, Store, Taken, Work};
use super::tenant::TenantId;
use super::version::ArtifactVersion;
use crate::log;
use crate::shared::Shared;
use cartridge_agent_core::log::Level;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Threads at most.
const WORKERS: usize = 4;
/// How long a thread that was started beside the first stays when nothing is going on.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of stack of each thread: the tables of inflate (43 KiB) pass over it, without optimisation several times. What is not
/// touched takes no memory.
const STACK_SIZE: usize = 512 * 1024;

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Starts a thread, if there may be one more. To be called on a thread of the app's priority: a new one inherits it.
pub fn start(shared: &'static Shared, store: &'static Store) {
    let number = RUNNING.fetch_add(1, Ordering::Relaxed);
    if number >= WORKERS {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    let builder = thread::Builder::new()
        .name("agent-artifacts".into())
        .stack_size(STACK_SIZE);
    if let Err(error) = builder.spawn(move || work(shared, store, number == 0)) {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        log::failure(
            format_args!("no thread to fetch artifacts; give the cartridge more memory"),
            &error,
        );
    }
}

fn work(shared: &'static Shared, store: &'static Store, is_first: bool) {
    loop {
        match store.next((!is_first).then(|| Instant::now() + PATIENCE)) {
            Some(Work::LetGo(version)) => drop(version),
            Some(Work::Attempt(job)) => {
                // Someone has to be there for the next tenant. (Whoever tells of one has the agent's priority: a thread
                // started there would have it, too.)
                if store.settings.is_multitenant && store.is_alone() {
                    start(shared, store);
                }
                attempt(shared, store, &job);
            }
            None if store.is_busy() => {}
            None => break,
        }
    }
    RUNNING.fetch_sub(1, Ordering::Relaxed);
}

fn attempt(shared: &Shared, store: &Store, job: &Job) {
    let result = download(
        &job.wish.location,
        store.settings.limits,
        &std::env::temp_dir(),
        &|| job.is_wanted(),
    );
    let name = Name(
        store.settings.is_multitenant.then_some(job.tenant),
        job.wish.location.shown(),
    );
    let (digest, unpacked) = match result {
        Ok(fetched) => fetched,
        Err(failure) => return fail(store, job, &name, failure),
    };
    let (entries, bytes) = (unpacked.entries, unpacked.bytes);
    let skipped = unpacked.first_skipped.clone().map(|first| (unpacked.skipped, first));
    match store.take(job, digest, unpacked) {
        Taken::Overtaken => {}
        Taken::Unchanged => log::agent(Level::Info, format_args!("{name} is unchanged"), &[]),
        Taken::New(version, _before) => {
            if let Some((count, first)) = skipped {
                log::agent(
                    Level::Warn,
                    format_args!("{count} links or devices of {name} are left out, the first is {first}"),
                    &[],
                );
            }
            let number = version.number();
            log::agent(
                Level::Info,
                format_args!(
                    "{name} is in place as version {number}: {entries} files and folders, {bytes} bytes, SHA-256 {digest}"
                ),
                &[("event", "artifact")],
            );
            super::announce(shared, store, version);
        }
    }
}

fn fail(store: &Store, job: &Job, name: &Name<'_>, failure: Failure) {
    let settings = &store.settings;
    let failed = job.wish.failed + 1;
    let (why, pause) = match failure {
        Failure::Overtaken => return drop(store.fail(job, None)),
        Failure::Later(why) if failed <= settings.retries => (why, Some(jittered(settings.interval, failed))),
        Failure::Later(why) | Failure::Final(why) => (why, None),
    };
    let Ok(kept) = store.fail(job, pause) else { return };
    let kept = kept.as_ref().map(ArtifactVersion::number);
    match (pause, kept) {
        (Some(pause), _) => log::agent(
            Level::Warn,
            format_args!(
                "{name}: attempt {failed} of {} failed: {why}; the next is in {} ms",
                settings.retries + 1,
                pause.as_millis() as u64
            ),
            &[],
        ),
        (None, Some(number)) => log::agent(
            Level::Error,
            format_args!("{name} is not taken: {why}; version {number} stays in use"),
            &[],
        ),
        (None, None) => log::agent(Level::Error, format_args!("{name} is not taken: {why}"), &[]),
    }
}

/// Three to five quarters of `interval`, by the clock: members that were started together do not all ask in the same moment.
fn jittered(interval: Duration, failed: u32) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // splitmix64's finish (Steele, Lea, Flood 2014) spreads the low bits.
    let mut hash = (now.as_nanos() as u64).wrapping_add(u64::from(failed) << 32);
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    let part = (hash >> 40) as u32 % 1024;
    interval * 3 / 4 + interval / 2 * part / 1024
}

/// Names an artifact in a message.
struct Name<'a>(Option<TenantId>, &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(tenant) => write!(f, "artifact {} of tenant {tenant}", self.1),
            None => write!(f, "artifact {}", self.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_near_their_interval() {
        for failed in 0..1000 {
            let pause = jittered(Duration::from_secs(10), failed);
            assert!(
                (Duration::from_millis(7500)..Duration::from_millis(12_500)).contains(&pause),
                "{pause:?}"
            );
        }
    }
}
