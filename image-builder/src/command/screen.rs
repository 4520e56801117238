//! Standard output that may go away: `./cartridge run apps/site | grep -m1 ready` closes it while a guest still runs. Then the
//! guest is to stop in order, and not to be forgotten.

use crate::fault::Reader;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard};

/// The exit status of a shell's command that ended because nobody read its output any more (SIGPIPE).
pub const OUTPUT_CLOSED: u8 = 141;

/// Shows the lines of a console; those of a fault report as [`Reader`] tells them.
pub struct Screen(Mutex<State>);

struct State {
    reader: Reader,
    closed: bool,
    on_close: Option<Box<dyn FnOnce() + Send>>,
}

impl Screen {
    pub fn new(reader: Reader) -> Self {
        Self(Mutex::new(State {
            reader,
            closed: false,
            on_close: None,
        }))
    }

    /// Does `action` once the output is closed; at once, if it is already.
    pub fn on_close(&self, action: impl FnOnce() + Send + 'static) {
        let mut state = self.state();
        match state.closed {
            true => action(),
            false => state.on_close = Some(Box::new(action)),
        }
    }

    /// Whether nobody reads any more.
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// A line of the console.
    pub fn show(&self, line: &str) {
        let mut state = self.state();
        let lines = state.reader.line(line);
        state.print(&lines);
    }

    /// A line of ours.
    pub fn say(&self, line: String) {
        self.state().print(&[line]);
    }

    /// A report that the guest's end cut short.
    pub fn finish(&self) {
        let mut state = self.state();
        let lines = state.reader.finish();
        state.print(&lines);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

impl State {
    fn print(&mut self, lines: &[String]) {
        if self.closed || lines.iter().all(|line| print(line)) {
            return;
        }
        self.closed = true;
        if let Some(action) = self.on_close.take() {
            action();
        }
    }
}

/// Tells the user something beside the results. Where nobody listens, nothing is lost by going on.
pub fn note(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "cartridge: {text}");
}

/// Writes a line to standard output; false when that is closed.
pub fn print(line: &str) -> bool {
    writeln!(io::stdout(), "{line}").is_ok()
}
