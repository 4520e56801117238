//! Who is inside: counts the connections, limits them, and empties the house at a stop.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Connections served at a time. Each costs a thread, a stack page or two, and socket buffers: 256 fit into 16 MiB.
pub const MAX_CONNECTIONS: usize = 256;
/// How long a connection may be idle while there is room, and when more than half of the places are taken.
const IDLE: Duration = Duration::from_secs(60);
const IDLE_WHEN_BUSY: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Gate {
    state: Mutex<State>,
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    stopping: bool,
    next: u64,
    inside: HashMap<u64, Arc<TcpStream>>,
}

/// One connection's place inside, given back when dropped.
pub struct Pass {
    gate: Arc<Gate>,
    number: u64,
    stream: Arc<TcpStream>,
}

impl Gate {
    /// Lets a connection in, or gives it back when all places are taken or the server stops.
    pub fn enter(self: &Arc<Gate>, stream: TcpStream) -> Result<Pass, TcpStream> {
        let mut state = self.state();
        if state.stopping || state.inside.len() >= MAX_CONNECTIONS {
            return Err(stream);
        }
        let (number, stream) = (state.next, Arc::new(stream));
        state.next += 1;
        state.inside.insert(number, Arc::clone(&stream));
        Ok(Pass {
            gate: Arc::clone(self),
            number,
            stream,
        })
    }

    /// Lets nobody in any more and ends everyone's input: idle connections close, answers under way are finished.
    pub fn stop(&self) {
        let mut state = self.state();
        state.stopping = true;
        for stream in state.inside.values() {
            let _ = stream.shutdown(Shutdown::Read); // a connection that is already gone needs no ending
        }
    }

    /// Waits until everyone has left; false when `limit` passed first.
    pub fn wait_empty(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut state = self.state();
        while !state.inside.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .emptied
                .wait_timeout(state, left)
                .unwrap_or_else(|e| e.into_inner())
                .0;
        }
        true
    }

    pub fn stopping(&self) -> bool {
        self.state().stopping
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Pass {
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn stopping(&self) -> bool {
        self.gate.stopping()
    }

    /// How long this connection may now wait for its next request.
    pub fn idle_limit(&self) -> Duration {
        let busy = self.gate.state().inside.len() > MAX_CONNECTIONS / 2;
        if busy { IDLE_WHEN_BUSY } else { IDLE }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.inside.remove(&self.number);
        if state.inside.is_empty() {
            self.gate.emptied.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn limits_the_number_inside() {
        let gate = Arc::new(Gate::default());
        let passes: Vec<_> = (0..MAX_CONNECTIONS)
            .map(|_| gate.enter(pair().1).ok().unwrap())
            .collect();
        assert!(gate.enter(pair().1).is_err());
        assert_eq!(passes[0].idle_limit(), IDLE_WHEN_BUSY);
        drop(passes);
        assert_eq!(gate.enter(pair().1).ok().unwrap().idle_limit(), IDLE);
        assert!(gate.wait_empty(Duration::ZERO));
    }

    #[test]
    fn a_stop_ends_idle_reads() {
        let gate = Arc::new(Gate::default());
        let (_client, server) = pair();
        let pass = gate.enter(server).ok().unwrap();
        let reader = std::thread::spawn(move || pass.stream().read(&mut [0; 1]).unwrap());
        assert!(!gate.wait_empty(Duration::from_millis(10)));
        gate.stop();
        assert_eq!(reader.join().unwrap(), 0);
        assert!(gate.wait_empty(Duration::from_secs(5)));
        assert!(gate.enter(pair().1).is_err());
    }
}
