//! Ctrl-C and its relatives: the first asks for an orderly stop, the second ends at once.

use super::Error;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Iterator;
use std::process;
use std::sync::{Arc, Mutex};
use std::thread;

type Action = Box<dyn FnOnce() + Send>;

/// Signals caught from here on, by a thread of their own.
pub struct Signals {
    action: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    seen: bool,
    action: Option<Action>,
}

impl Signals {
    pub fn catch() -> Result<Self, Error> {
        let mut signals = Iterator::new([SIGINT, SIGTERM, SIGHUP]).map_err(Error::io("catch", "signals"))?;
        let action = Arc::new(Mutex::new(State::default()));
        let shared = action.clone();
        thread::spawn(move || {
            for signal in signals.forever() {
                let mut state = shared.lock().unwrap_or_else(|poison| poison.into_inner());
                if std::mem::replace(&mut state.seen, true) {
                    // Children are tied to this process and end with it.
                    process::exit(128 + signal);
                }
                if let Some(action) = state.action.take() {
                    action();
                }
            }
        });
        Ok(Self { action })
    }

    /// Does `action` at the first signal; at once, if that came already.
    pub fn on_first(&self, action: impl FnOnce() + Send + 'static) {
        let mut state = self.action.lock().unwrap_or_else(|poison| poison.into_inner());
        match state.seen {
            true => action(),
            false => state.action = Some(Box::new(action)),
        }
    }
}
