//! A mosquitto of a test's own: on a free port of the loopback, with users and with sessions that outlive a crash.

use super::witness::Witness;
use crate::{port, signal};
use anyhow::{Context, Result, ensure};
use qemu::guard;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Who may connect: the member and the platform.
pub const USER: &str = "member";
pub const PASSWORD: &str = "hunter2-of-the-broker";
/// Until it listens, has saved its sessions, or is gone.
const LIMIT: Duration = Duration::from_secs(20);
/// What it logs when it has opened its port.
const RUNNING: &str = " running";
const LOOK: Duration = Duration::from_millis(5);

pub struct Broker {
    pub port: u16,
    folder: TempDir,
    child: Option<Child>,
    is_frozen: bool,
}

impl Broker {
    /// Starts one, and waits until it accepts connections.
    pub fn start() -> Result<Broker> {
        let mut broker = Broker::absent()?;
        broker.restart()?;
        Ok(broker)
    }

    /// One that is not running yet: its port is known, and nobody listens there.
    pub fn absent() -> Result<Broker> {
        let broker = Broker {
            port: port::free()?,
            folder: TempDir::new()?,
            child: None,
            is_frozen: false,
        };
        let passwords = broker.path("passwords");
        fs::write(&passwords, format!("{USER}:{PASSWORD}\n"))?;
        let mut command = Command::new("mosquitto_passwd");
        let output = command.arg("-U").arg(&passwords).output();
        let output = output.context("mosquitto_passwd; next: apt-get install mosquitto")?;
        ensure!(output.status.success(), "{command:?}: {output:?}");
        // It would otherwise change to a user who may not enter our folder. It saves its sessions when it is told to, so
        // that a test knows what a kill loses; and it sends at once, so that what a member is measured by is the member's.
        let configuration = format!(
            "listener {port} 127.0.0.1\nuser root\nallow_anonymous false\npassword_file {passwords}\npersistence true\n\
             persistence_location {folder}/\nautosave_interval 0\nlog_dest file {log}\n\
             log_type all\nconnection_messages true\nmax_queued_messages 10000\nset_tcp_nodelay true\n",
            port = broker.port,
            passwords = passwords.display(),
            folder = broker.folder.path().display(),
            log = broker.path("log").display(),
        );
        fs::write(broker.path("configuration"), configuration)?;
        Ok(broker)
    }

    /// Starts it (again), with the sessions it had saved.
    pub fn restart(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "it is running");
        let before = self.witness().count(RUNNING);
        let mut command = guard::command(program()).map_err(|error| anyhow::anyhow!("{error}"))?;
        command.arg("-c").arg(self.path("configuration"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = guard::spawn(command, "mosquitto").map_err(|error| anyhow::anyhow!("{error}"))?;
        self.child = Some(child);
        self.is_frozen = false;
        // A connection that only looks would count among those of the member.
        self.wait_for("mosquitto runs", LIMIT, |log| {
            (log.count(RUNNING) > before).then_some(())
        })
    }

    /// Kills it, as a host that fails does. It knows later what it had saved before.
    pub fn crash(&mut self) -> Result<()> {
        let mut child = self.child.take().context("it is not running")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Has it save its sessions, then kills it.
    pub fn crash_when_saved(&mut self) -> Result<()> {
        self.save()?;
        self.crash()
    }

    /// Kills it, and all that it knew of sessions is lost.
    pub fn crash_and_forget(&mut self) -> Result<()> {
        self.crash()?;
        match fs::remove_file(self.path("mosquitto.db")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Stops it in order: it closes every connection.
    pub fn stop(&mut self) -> Result<()> {
        let pid = self.pid()?;
        signal::send("TERM", pid)?;
        let child = self.child.as_mut().context("it is not running")?;
        let ended = within(LIMIT, || !matches!(child.try_wait(), Ok(None)));
        ensure!(ended, "still there {LIMIT:?} after SIGTERM");
        self.child = None;
        Ok(())
    }

    /// Lets it do nothing from now on; its connections stay, and its system still takes bytes for it.
    pub fn freeze(&mut self) -> Result<()> {
        signal::send("STOP", self.pid()?)?;
        self.is_frozen = true;
        Ok(())
    }

    pub fn thaw(&mut self) -> Result<()> {
        signal::send("CONT", self.pid()?)?;
        self.is_frozen = false;
        Ok(())
    }

    /// What it logged, over all its runs.
    pub fn witness(&self) -> Witness {
        Witness::read(&self.path("log"))
    }

    /// Waits until its log says what `wanted` looks for.
    pub fn wait_for<T>(&self, what: &str, limit: Duration, wanted: impl Fn(&Witness) -> Option<T>) -> Result<T> {
        let mut found = None;
        within(limit, || {
            found = wanted(&self.witness());
            found.is_some()
        });
        found.with_context(|| {
            format!(
                "{what}: not within {limit:?}; mosquitto's log:\n{}",
                self.witness().text()
            )
        })
    }

    /// Waits until something lies unread at its door, as it does once a peer has written to a frozen one.
    pub fn wait_unread(&self, limit: Duration) -> Result<()> {
        ensure!(
            within(limit, || unread(self.port) > 0),
            "nobody wrote to the broker within {limit:?}"
        );
        Ok(())
    }

    /// Has it save its sessions, as they are now.
    pub fn save(&self) -> Result<()> {
        // It writes another file and gives it this name when it is whole.
        let file = self.path("mosquitto.db");
        let version = || {
            fs::metadata(&file)
                .ok()
                .map(|meta| (meta.ino(), meta.mtime(), meta.mtime_nsec()))
        };
        let before = version();
        signal::send("USR1", self.pid()?)?;
        ensure!(
            within(LIMIT, || version() != before),
            "it did not save its sessions within {LIMIT:?}"
        );
        Ok(())
    }

    fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("it is not running")?.id())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.child.is_some() {
            let _ = self.crash();
        }
    }
}

/// Debian has it among the system's programs, which are not on every user's PATH.
fn program() -> &'static str {
    const DEBIAN: &str = "/usr/sbin/mosquitto";
    if Path::new(DEBIAN).exists() {
        DEBIAN
    } else {
        "mosquitto"
    }
}

/// Bytes that peers of a port of this host have sent and nobody has read: the receive queues of /proc/net/tcp (proc(5)).
fn unread(port: u16) -> u64 {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let local = format!(":{port:04X}");
    let queues = table.lines().filter_map(|line| {
        // `sl local_address rem_address st tx_queue:rx_queue ...`; state 01 is ESTABLISHED, 08 is CLOSE_WAIT.
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_ours = words.get(1)?.ends_with(&local) && ["01", "08"].contains(words.get(3)?);
        let (_, received) = words.get(4)?.split_once(':')?;
        is_ours.then(|| u64::from_str_radix(received, 16).ok()).flatten()
    });
    queues.sum()
}

/// Looks again and again until `check` holds or the time is over.
fn within(limit: Duration, mut check: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if check() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        thread::sleep(LOOK);
    }
}
