//! Ctrl-C and its relatives: the first asks for an orderly stop, the second ends at once.

use super::Error;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Iterator;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

type Action = Box<dyn FnOnce() + Send>;

/// Signals caught from here on, by a thread of their own.
pub struct Signals(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    seen: bool,
    first: Option<Action>,
    second: Option<Action>,
}

impl Signals {
    pub fn catch() -> Result<Self, Error> {
        let mut signals = Iterator::new([SIGINT, SIGTERM, SIGHUP]).map_err(Error::io("catch", "signals"))?;
        let state = Arc::new(Mutex::new(State::default()));
        let caught = Self(state.clone());
        thread::spawn(move || {
            for signal in signals.forever() {
                let mut state = lock(&state);
                let second = std::mem::replace(&mut state.seen, true);
                let action = if second {
                    state.second.take()
                } else {
                    state.first.take()
                };
                // Not under the lock: what is done may take its time.
                drop(state);
                if let Some(action) = action {
                    action();
                }
                if second {
                    // Children are tied to this process and end with it.
                    process::exit(128 + signal);
                }
            }
        });
        Ok(caught)
    }

    /// Does `action` at the first signal; at once, if that came already.
    pub fn on_first(&self, action: impl FnOnce() + Send + 'static) {
        let mut state = lock(&self.0);
        match state.seen {
            true => action(),
            false => state.first = Some(Box::new(action)),
        }
    }

    /// Does `action` at the second signal, before this process ends without dropping anything: what would be left behind goes here.
    pub fn on_second(&self, action: impl FnOnce() + Send + 'static) {
        lock(&self.0).second = Some(Box::new(action));
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(|poison| poison.into_inner())
}
