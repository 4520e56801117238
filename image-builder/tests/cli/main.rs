//! The `cartridge` command as its users meet it: help, suggestions, exit statuses, the first lines of its errors, its JSON; and
//! the script that starts it.

mod json;
mod local;
mod new;
mod run;
mod start;
mod usage;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// For what is built, booted or stopped here, on a busy machine; a first build of std is among it.
const LIMIT: Duration = Duration::from_secs(600);
/// Between a cause and its effect, where nothing has to be built.
const SOON: Duration = Duration::from_secs(30);

/// The checkout.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("image-builder/ lies in the checkout")
}

/// A command line of `cartridge` in this checkout.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cartridge"));
    command
        .args(arguments)
        .current_dir(root())
        .env("CARTRIDGE_HOME", root())
        .stdin(Stdio::null());
    command
}

/// Runs `cartridge`; gives its exit status, standard output and standard error.
fn cartridge(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command(arguments).output().expect("cartridge starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// Held by tests that add to the checkout, listen on the app's own port or use much of the machine: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A `cartridge` that runs meanwhile. Dropping it kills it.
struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let (sender, lines) = channel();
        let (output, errors) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let other = sender.clone();
        thread::spawn(move || send_lines(BufReader::new(output), |line| sender.send(line).is_ok()));
        thread::spawn(move || send_lines(BufReader::new(errors), |line| other.send(line).is_ok()));
        Self {
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// The first line, of what comes from now on, with `text` in it.
    fn wait_for(&mut self, text: &str) -> String {
        let until = Instant::now() + LIMIT;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line with {text:?}: {:#?}", self.seen);
            };
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for the end; gives the exit status.
    fn wait(&mut self) -> i32 {
        let until = Instant::now() + SOON;
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                self.seen.extend(self.lines.iter());
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < until, "it did not end: {:#?}", self.seen);
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends the signal with this name, as `INT`, to a process of ours. By the shell's own `kill`: the program of that name is in a
/// package that not every system has.
fn signal(pid: u32, name: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
    assert!(status.expect("sh starts").success());
}

fn send_lines(from: impl BufRead, send: impl Fn(String) -> bool) {
    for line in from.lines().map_while(Result::ok) {
        if !send(line) {
            return;
        }
    }
}

/// Waits until `check` holds.
fn eventually(what: &str, check: impl Fn() -> bool) {
    let until = Instant::now() + SOON;
    while !check() {
        assert!(Instant::now() < until, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}
