//! The events that a member's app was given, as it tells them on a connection of its own. (The console is no witness for the
//! app's lines: the agent's threads run above the app's, and a line of theirs may break one of the app's in two.)

use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// For the program to answer on a connection. One that was made before the guest listened may be answered seconds later.
const ANSWER: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(10);
const GREETING: &str = "following";

pub struct Feed(Arc<Lines>);

#[derive(Default)]
struct Lines {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Feed {
    /// Connects as soon as the program takes orders. What happened before comes, too.
    pub fn follow(control: SocketAddr, limit: Duration) -> Result<Feed> {
        let end = Instant::now() + limit;
        let mut reader = loop {
            match greet(control) {
                Ok(reader) => break reader,
                Err(error) if Instant::now() > end => return Err(error).context("the program takes no orders"),
                Err(_) => thread::sleep(PAUSE),
            }
        };
        // It says nothing for as long as nothing happens.
        reader.get_ref().set_read_timeout(None)?;
        let lines = Arc::<Lines>::default();
        let theirs = Arc::clone(&lines);
        thread::spawn(move || {
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
                let text = line.trim_end().to_owned();
                theirs.lines.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                theirs.more.notify_all();
                line.clear();
            }
        });
        Ok(Feed(lines))
    }

    /// How many events have `text` in them.
    pub fn count(&self, text: &str) -> usize {
        let lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|line| line.contains(text)).count()
    }

    /// Waits until one has.
    pub fn wait_for(&self, text: &str, limit: Duration) -> Result<()> {
        let lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let is_missing = |lines: &mut Vec<String>| !lines.iter().any(|line| line.contains(text));
        let waited = self.0.more.wait_timeout_while(lines, limit, is_missing);
        let (lines, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        let last = &lines[lines.len().saturating_sub(20)..];
        ensure!(
            !waited.timed_out(),
            "no event with {text:?} within {limit:?}; the last are {last:#?}"
        );
        Ok(())
    }
}

fn greet(control: SocketAddr) -> Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect_timeout(&control, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(b"follow\n")?;
    let (mut reader, mut line) = (BufReader::new(stream), String::new());
    reader.read_line(&mut line)?;
    ensure!(line.trim_end() == GREETING, "{line:?} instead of {GREETING}");
    Ok(reader)
}
