//! The places for connections: a bounded number, and none kept by a client that only waits.

use crate::shared::lock;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Connections served at once.
const SERVED_LIMIT: usize = 8;

/// Connections that exist at once, those that were closed in favour of others and whose threads have not ended yet included.
const LIMIT: usize = 2 * SERVED_LIMIT;

/// All places, oldest first.
#[derive(Default)]
pub struct Places(Mutex<Vec<Arc<Occupant>>>);

struct Occupant {
    stream: TcpStream,
    /// The connection waits for its client, and can be closed without loss.
    waits: AtomicBool,
    closed: AtomicBool,
}

/// One connection's place; free again when dropped.
pub struct Place {
    places: Arc<Places>,
    occupant: Arc<Occupant>,
}

impl Places {
    /// A place for `stream`, if need be that of the oldest connection that waits for its client.
    pub fn take(places: &Arc<Places>, stream: &TcpStream) -> Option<Place> {
        let stream = stream.try_clone().ok()?;
        let mut taken = lock(&places.0);
        if taken.len() >= LIMIT {
            return None;
        }
        let is_open = |occupant: &&Arc<Occupant>| !occupant.closed.load(Ordering::Acquire);
        if taken.iter().filter(is_open).count() >= SERVED_LIMIT {
            let waits = |occupant: &&Arc<Occupant>| occupant.waits.load(Ordering::Acquire);
            let oldest = taken.iter().filter(is_open).find(waits)?;
            oldest.closed.store(true, Ordering::Release);
            // Ends its thread's read.
            let _ = oldest.stream.shutdown(Shutdown::Both);
        }
        let occupant = Arc::new(Occupant {
            stream,
            waits: AtomicBool::new(true),
            closed: AtomicBool::new(false),
        });
        taken.push(Arc::clone(&occupant));
        drop(taken);
        Some(Place {
            places: Arc::clone(places),
            occupant,
        })
    }
}

impl Place {
    /// Says whether the connection waits for its client now.
    pub fn set_waits(&self, waits: bool) {
        self.occupant.waits.store(waits, Ordering::Release);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.places.0).retain(|occupant| !Arc::ptr_eq(occupant, &self.occupant));
    }
}
