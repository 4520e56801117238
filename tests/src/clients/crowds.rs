//! Many connections at the same time.

use super::client::Client;
use super::closing::{PAUSE, on_threads};
use super::{REQUEST, Service};
use anyhow::{Context, Result, bail, ensure};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

const BURST: usize = 200;
/// What std's listeners let wait to be accepted (its backlog is 128).
const LISTENING_QUEUE: usize = 128;
/// How often and how long a client of the burst tries.
const BURST_ATTEMPTS: u32 = 20;
const BURST_PATIENCE: Duration = Duration::from_secs(1);

/// Connections that say nothing hinder nobody, and are served when they speak at last.
pub fn idle(service: &Service) -> Result<String> {
    let mut silent = open(service, 64)?;
    for i in 0..200 {
        service
            .serves()
            .with_context(|| format!("client {i} beside the idle ones"))?;
    }
    for (i, client) in silent.iter_mut().enumerate() {
        service
            .exchange(client)
            .with_context(|| format!("idle connection {i}"))?;
    }
    Ok("200 others served meanwhile, then all 64".into())
}

/// All connections open before the first request; all requests sent before the first answer is read.
pub fn held(service: &Service) -> Result<String> {
    let mut clients = open(service, 200)?;
    for client in &mut clients {
        client.send(REQUEST)?;
    }
    for (i, client) in clients.iter_mut().enumerate() {
        service.check(&client.answer().with_context(|| format!("connection {i}"))?)?;
    }
    drop(clients);
    service.serves()?;
    Ok("all answered".into())
}

/// So many connections, one after the other.
fn open(service: &Service, count: usize) -> Result<Vec<Client>> {
    let paced = |_| service.connect().inspect(|_| thread::sleep(PAUSE));
    (0..count).map(paced).collect()
}

/// 200 threads connect in the same moment. A host whose listening queue overflows (see the module above) may drop the last
/// packet of a handshake: its client believes to be connected and is heard only many seconds later. So a client that hears
/// nothing asks again on a new connection, and the report says how many had to. Without QEMU's queue of 1, only those may have
/// to that do not fit the server's own. That a machine itself leaves nobody unheard is proved without a host's queue between,
/// by `network::two_hundred_connections_in_the_same_moment_are_all_answered`.
pub fn burst(service: &Service) -> Result<String> {
    let seen = Mutex::new((Duration::ZERO, 0));
    on_threads(BURST, |thread| {
        let begun = Instant::now();
        let again = ask_until_heard(service).with_context(|| format!("client {thread}"))?;
        let mut seen = seen.lock().expect("no client panicked");
        *seen = (seen.0.max(begun.elapsed()), seen.1 + usize::from(again));
        Ok(())
    })?;
    service.serves()?;
    let (slowest, again) = *seen.lock().expect("no client panicked");
    let allowed = if service.behind_qemu {
        BURST
    } else {
        BURST - LISTENING_QUEUE
    };
    ensure!(
        again <= allowed,
        "{again} of {BURST} had to ask again; at most {allowed} may"
    );
    Ok(format!(
        "all answered, the last after {slowest:.2?}; {again} had to ask again"
    ))
}

/// Says whether the answer came to a later connection than the first.
fn ask_until_heard(service: &Service) -> Result<bool> {
    for attempt in 0..BURST_ATTEMPTS {
        let mut client = service.connect()?;
        client.send(REQUEST)?;
        if let Some(answer) = client.answer_within(BURST_PATIENCE)? {
            service.check(&answer)?;
            return Ok(attempt > 0);
        }
    }
    bail!("no answer to {BURST_ATTEMPTS} connections, each heard for {BURST_PATIENCE:?}")
}
