//! Runs the app of the tests as a process with a `CARTRIDGE_DIR` of its own, and reads its log.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// No step of a test takes longer, however busy the machine is.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub const TOKEN: &str = "a-token-of-24-characters";

pub struct Member {
    pub dir: PathBuf,
    child: Child,
    lines: Receiver<(Instant, String)>,
    /// Every line so far.
    pub log: Vec<String>,
}

impl Member {
    /// A member with this payload, and whatever `prepare` puts in its folder.
    pub fn start(payload: &str, prepare: impl FnOnce(&Path)) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("cartridge-agent-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("payload"), payload).unwrap();
        prepare(&dir);
        Self::launch(dir.clone(), Command::new(MEMBER).env("CARTRIDGE_DIR", &dir))
    }

    pub fn launch(dir: PathBuf, command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the app of the tests runs");
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send((Instant::now(), line)))
        });
        Self {
            dir,
            child,
            lines,
            log: Vec::new(),
        }
    }

    /// Waits for a line that contains `part`; gives it with the time it came.
    pub fn wait_for(&mut self, part: &str) -> (Instant, Value) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok((when, line)) => {
                    self.log.push(line.clone());
                    if line.contains(part) {
                        return (when, serde_json::from_str(&line).expect("a line of JSON"));
                    }
                }
                Err(error) => panic!("no line with {part} ({error}) in {:#?}", self.log),
            }
        }
    }

    pub fn wait_for_state(&mut self, state: &str) -> Instant {
        self.wait_for(&format!("\"state\":\"{state}\"")).0
    }

    /// True if no line with `part` comes within `time`.
    pub fn is_quiet_about(&mut self, part: &str, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((_, line)) => {
                    self.log.push(line);
                    if self.log.last().is_some_and(|line| line.contains(part)) {
                        return false;
                    }
                }
                Err(error) => return error == RecvTimeoutError::Timeout,
            }
        }
    }

    pub fn signal(&self, name: &str) {
        // The shell's own: the program of that name is not on every system.
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the process to end; afterwards the log is whole.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok((_, line)) => self.log.push(line),
                // Standard output is closed: the process has ended.
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("the member did not end: {:#?}", self.log),
            }
        }
    }

    /// The states in the log, in order.
    pub fn states(&self) -> Vec<String> {
        let lines = self
            .log
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
        lines
            .filter(|line| line["event"] == "lifecycle")
            .map(|line| line["state"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The app of the tests.
pub const MEMBER: &str = env!("CARGO_BIN_EXE_agent-test-member");

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    // Below the ports that Linux gives to outgoing connections: no client of another test sits on one meanwhile.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(89) % 8000;
    loop {
        let port = 12_000 + ((first + NEXT.fetch_add(1, Ordering::Relaxed)) % 8000) as u16;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

/// For tests that measure time, and for those that leave no processor to others: one of them at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection to `port` on loopback, waited for.
pub fn connect(port: u16) -> TcpStream {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => {
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                return stream;
            }
            Err(error) => assert!(Instant::now() < deadline, "port {port}: {error}"),
        }
    }
}

/// One request with the token; the status and the whole answer.
pub fn ask(port: u16, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
    let mut stream = connect(port);
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (status(&answer), answer)
}

pub fn get(port: u16, path: &str) -> (u16, String) {
    ask(port, "GET", path, TOKEN, "")
}

pub fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("no status in {answer:?}"))
}
