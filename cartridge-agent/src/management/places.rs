//! The places for connections: a bounded number, and none kept by a client that only waits.

use crate::shared::lock;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Connections served at once.
const SERVED_LIMIT: usize = 8;

/// Connections that exist at once, those that were closed in favour of others and whose threads have not ended yet included.
const LIMIT: usize = 2 * SERVED_LIMIT;

/// How long a new connection waits for the threads of closed ones to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// All places, oldest first.
#[derive(Default)]
pub struct Places {
    taken: Mutex<Vec<Arc<Occupant>>>,
    freed: Condvar,
}

struct Occupant {
    stream: TcpStream,
    /// The connection waits for its client. Closed then, at worst a request on its way is lost unread, as by any server that
    /// closes an idle connection; its client sends it again (RFC 9110 section 9.2.2).
    waits: AtomicBool,
    closed: AtomicBool,
}

/// One connection's place; free again when dropped.
pub struct Place {
    places: &'static Places,
    occupant: Arc<Occupant>,
}

impl Places {
    /// A place for `stream`, if need be that of the oldest connection that waits for its client. `None` when all connections
    /// are busy with answers.
    pub fn take(places: &'static Places, stream: &TcpStream) -> Option<Place> {
        let stream = stream.try_clone().ok()?;
        let is_full = |taken: &mut Vec<_>| taken.len() >= LIMIT;
        let waited = places.freed.wait_timeout_while(lock(&places.taken), PATIENCE, is_full);
        let mut taken = waited.unwrap_or_else(PoisonError::into_inner).0;
        if taken.len() >= LIMIT {
            return None;
        }
        make_room(&taken)?;
        let occupant = Arc::new(Occupant {
            stream,
            waits: AtomicBool::new(true),
            closed: AtomicBool::new(false),
        });
        taken.push(Arc::clone(&occupant));
        drop(taken);
        Some(Place { places, occupant })
    }
}

/// Closes the oldest connection that waits for its client, if as many as may be are served; `None` if none waits.
fn make_room(taken: &[Arc<Occupant>]) -> Option<()> {
    let is_open = |occupant: &&Arc<Occupant>| !occupant.closed.load(Ordering::Acquire);
    if taken.iter().filter(is_open).count() >= SERVED_LIMIT {
        let waits = |occupant: &&Arc<Occupant>| occupant.waits.load(Ordering::Acquire);
        let oldest = taken.iter().filter(is_open).find(waits)?;
        oldest.closed.store(true, Ordering::Release);
        // Ends its thread's read.
        let _ = oldest.stream.shutdown(Shutdown::Both);
    }
    Some(())
}

impl Place {
    /// Says whether the connection waits for its client now.
    pub fn set_waits(&self, waits: bool) {
        self.occupant.waits.store(waits, Ordering::Release);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.places.taken).retain(|occupant| !Arc::ptr_eq(occupant, &self.occupant));
        self.places.freed.notify_one();
    }
}
