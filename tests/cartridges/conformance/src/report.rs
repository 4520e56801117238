//! Runs checks, each on a thread of its own with a time limit, and counts them.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// What a check says: nothing, or why it failed.
pub type Outcome = Result<(), String>;

/// One check: its name and what it does.
pub type Check = (&'static str, fn() -> Outcome);

/// A check that runs longer is reported and left behind.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Report {
    passed: usize,
    failed: usize,
}

impl Report {
    /// Runs the checks whose names contain `filter`, printing `ok GROUP/NAME` or `FAILED GROUP/NAME: why` for each.
    pub fn run(&mut self, group: &str, checks: &[Check], filter: &str) {
        for (name, check) in checks {
            let name = format!("{group}/{name}");
            if name.contains(filter) {
                self.record(&name, limited(*check));
            }
        }
    }

    /// Prints the count line; 0 if every check passed and there was one, else 1.
    pub fn finish(self) -> u8 {
        println!("conformance: {} ok, {} failed", self.passed, self.failed);
        u8::from(self.failed > 0 || self.passed == 0)
    }

    fn record(&mut self, name: &str, outcome: Outcome) {
        match outcome {
            Ok(()) => {
                println!("ok {name}");
                self.passed += 1;
            }
            Err(why) => {
                println!("FAILED {name}: {why}");
                self.failed += 1;
            }
        }
    }
}

fn limited(check: fn() -> Outcome) -> Outcome {
    let (done, result) = mpsc::channel();
    let runner = thread::Builder::new()
        .spawn(move || {
            // The receiver is gone only after the limit.
            let _ = done.send(check());
        })
        .map_err(|error| format!("no thread to run on: {error}"))?;
    match result.recv_timeout(LIMIT) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout) => Err(format!("still running after {LIMIT:?}")),
        Err(RecvTimeoutError::Disconnected) => {
            let _ = runner.join();
            Err("it panicked".into())
        }
    }
}

/// Fails the check unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($why:tt)+) => {
        match $condition {
            true => {}
            false => return Err(format!($($why)+)),
        }
    };
}

/// Fails the check unless both are equal.
#[macro_export]
macro_rules! ensure_eq {
    ($left:expr, $right:expr) => {
        match (&$left, &$right) {
            (left, right) if left == right => {}
            (left, right) => {
                return Err(format!(
                    "{} is {left:?}, expected {right:?} (line {})",
                    stringify!($left),
                    line!()
                ));
            }
        }
    };
}

/// Gives the success of an operation, or fails the check with its error.
#[macro_export]
macro_rules! tried {
    ($operation:expr) => {
        $operation.map_err(|error| format!("{}: {error:?} (line {})", stringify!($operation), line!()))?
    };
}
