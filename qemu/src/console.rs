//! The guest's console as it comes in: lines with their time, waiters, a bound on what is kept.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A line longer than this is cut, so that a guest that never ends its line cannot fill the host's memory.
const LINE_MAX: usize = 64 * 1024;
/// Bytes of console kept; the oldest lines go first.
const KEPT_MAX: usize = 64 * 1024 * 1024;

/// One line of the guest's console, without its end-of-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Counts from 0 at the start of QEMU.
    pub number: usize,
    /// Since QEMU was started.
    pub at: Duration,
    /// Bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// Called with each line as it comes in, on the console's own thread.
pub(crate) type Tee = Arc<dyn Fn(&Line) + Send + Sync>;

/// Why a wait came to nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotSeen {
    Deadline,
    Closed,
    Interrupted,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Line>,
    kept: usize,
    next_number: usize,
    partial: Vec<u8>,
    closed: bool,
    interrupted: bool,
    said: String,
}

/// Shared by the threads that read QEMU's output and by whoever waits for a line.
pub(crate) struct Console {
    started: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

impl Console {
    pub fn new(started: Instant) -> Arc<Console> {
        Arc::new(Console {
            started,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Reads the console until its end. Runs on a thread of its own, so that QEMU never blocks on a full pipe.
    pub fn follow(&self, mut from: impl Read, tee: Option<Tee>) {
        // However this ends, a tee that panics included: whoever waits for the guest's end must not wait for ever.
        let _closing = Closing(self);
        let mut buffer = [0; 4096];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => self.take_bytes(&buffer[..count], tee.as_ref()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let last = self.state().end_line(self.started);
        self.tell(last, tee.as_ref());
    }

    /// Keeps what QEMU writes on its own standard error, up to a bound.
    pub fn follow_qemu(&self, mut from: impl Read) {
        let mut buffer = [0; 1024];
        while let Ok(count) = from.read(&mut buffer) {
            if count == 0 {
                break;
            }
            let mut state = self.state();
            if state.said.len() < LINE_MAX {
                state.said.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        }
    }

    fn take_bytes(&self, bytes: &[u8], tee: Option<&Tee>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = {
                let mut state = self.state();
                state.partial.extend_from_slice(piece);
                let complete = piece.ends_with(b"\n") || state.partial.len() >= LINE_MAX;
                complete.then(|| state.end_line(self.started)).flatten()
            };
            self.tell(line, tee);
        }
    }

    fn tell(&self, line: Option<Line>, tee: Option<&Tee>) {
        let Some(line) = line else { return };
        self.changed.notify_all();
        if let Some(tee) = tee {
            tee(&line);
        }
    }

    /// The first line for which `wanted` holds, those already there included.
    pub fn wait_for(&self, until: Instant, mut wanted: impl FnMut(&str) -> bool) -> Result<Line, NotSeen> {
        let mut next = 0usize;
        let mut state = self.state();
        loop {
            let first = state.lines.front().map_or(state.next_number, |line| line.number);
            for line in state.lines.iter().skip(next.saturating_sub(first)) {
                if wanted(&line.text) {
                    return Ok(line.clone());
                }
            }
            next = next.max(state.next_number);
            if state.closed {
                return Err(NotSeen::Closed);
            }
            state = self.sleep(state, until)?;
        }
    }

    /// Until QEMU closed its output, which it does when it ends.
    pub fn wait_closed(&self, until: Instant) -> Result<(), NotSeen> {
        let mut state = self.state();
        while !state.closed {
            state = self.sleep(state, until)?;
        }
        Ok(())
    }

    /// As [`Console::wait_closed`], deaf to interruption: for watch-dogs and for ending QEMU. True when it closed.
    pub fn wait_closed_regardless(&self, until: Instant) -> bool {
        let mut state = self.state();
        while !state.closed {
            let now = Instant::now();
            if now >= until {
                return false;
            }
            state = self
                .changed
                .wait_timeout(state, until - now)
                .unwrap_or_else(|poison| poison.into_inner())
                .0;
        }
        true
    }

    fn sleep<'a>(&'a self, state: MutexGuard<'a, State>, until: Instant) -> Result<MutexGuard<'a, State>, NotSeen> {
        if state.interrupted {
            return Err(NotSeen::Interrupted);
        }
        let now = Instant::now();
        if now >= until {
            return Err(NotSeen::Deadline);
        }
        Ok(self
            .changed
            .wait_timeout(state, until - now)
            .unwrap_or_else(|poison| poison.into_inner())
            .0)
    }

    pub fn interrupt(&self) {
        self.state().interrupted = true;
        self.changed.notify_all();
    }

    /// Forgets an interruption, so that the guest can still be stopped in order.
    pub fn resume(&self) {
        self.state().interrupted = false;
    }

    pub fn lines(&self) -> Vec<Line> {
        self.state().lines.iter().cloned().collect()
    }

    /// The last line that is more than blanks.
    pub fn last_words(&self) -> Option<String> {
        let state = self.state();
        let last = state.lines.iter().rev().find(|line| !line.text.trim().is_empty());
        last.map(|line| line.text.clone())
    }

    /// Everything kept, the line in progress included.
    pub fn text(&self) -> String {
        let state = self.state();
        let mut text: String = state.lines.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect();
        text.push_str(&String::from_utf8_lossy(&state.partial));
        text
    }

    pub fn tail(&self, count: usize) -> Vec<String> {
        let state = self.state();
        let skip = state.lines.len().saturating_sub(count);
        let mut tail: Vec<String> = state.lines.iter().skip(skip).map(|line| line.text.clone()).collect();
        if !state.partial.is_empty() {
            tail.push(String::from_utf8_lossy(&state.partial).into_owned());
        }
        tail
    }

    pub fn said(&self) -> String {
        self.state().said.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

/// Marks the console as closed when dropped.
struct Closing<'a>(&'a Console);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.changed.notify_all();
    }
}

impl State {
    fn end_line(&mut self, started: Instant) -> Option<Line> {
        if self.partial.is_empty() {
            return None;
        }
        let text = String::from_utf8_lossy(&self.partial)
            .trim_end_matches(['\r', '\n'])
            .to_owned();
        self.partial.clear();
        let line = Line {
            number: self.next_number,
            at: started.elapsed(),
            text,
        };
        self.next_number += 1;
        self.kept += line.text.len() + size_of::<Line>();
        self.lines.push_back(line.clone());
        while self.kept > KEPT_MAX {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.kept -= oldest.text.len() + size_of::<Line>();
        }
        Some(line)
    }
}

/// Ends a guest's waits from another thread, for Ctrl-C.
#[derive(Clone)]
pub struct Interrupter(pub(crate) Arc<Console>);

impl Interrupter {
    /// Waits in progress and later ones return [`crate::Reason::Interrupted`], until [`crate::Guest::stop`].
    pub fn interrupt(&self) {
        self.0.interrupt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn lines_are_split_numbered_and_found() {
        let console = Console::new(Instant::now());
        console.follow(&b"one\r\ntwo\n\xffthree"[..], None);
        assert_eq!(console.wait_for(soon(), |line| line == "two").unwrap().number, 1);
        assert_eq!(console.wait_for(soon(), |line| line == "four"), Err(NotSeen::Closed));
        assert_eq!(console.text(), "one\ntwo\n\u{fffd}three\n");
        assert_eq!(console.tail(1), ["\u{fffd}three"]);
    }

    #[test]
    fn a_wait_ends_at_its_deadline_and_on_interruption() {
        let console = Console::new(Instant::now());
        let past = Instant::now();
        assert_eq!(console.wait_for(past, |_| true), Err(NotSeen::Deadline));
        console.interrupt();
        assert_eq!(console.wait_closed(soon()), Err(NotSeen::Interrupted));
        console.resume();
        assert_eq!(console.wait_closed(past), Err(NotSeen::Deadline));
    }

    #[test]
    fn a_tee_that_panics_does_not_keep_the_console_open() {
        let console = Console::new(Instant::now());
        let followed = console.clone();
        let tee: Tee = Arc::new(|_| panic!("standard output is gone"));
        assert!(
            std::thread::spawn(move || followed.follow(&b"one\n"[..], Some(tee)))
                .join()
                .is_err()
        );
        assert_eq!(console.wait_closed(soon()), Ok(()));
    }

    #[test]
    fn an_endless_line_is_cut() {
        let console = Console::new(Instant::now());
        console.follow(&vec![b'x'; LINE_MAX + 10][..], None);
        assert_eq!(console.lines().len(), 2);
    }
}
