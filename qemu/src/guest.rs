//! A running guest.

use std::net::SocketAddr;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::console::{Console, Interrupter, Line, NotSeen};
use crate::error::{Details, Error, Reason};
use crate::launch::{Forward, Launch, Network, no_forward, parse_forwards};
use crate::machine::{Accel, Firmware, Machine, NetworkCard};
use crate::plugin::{Counter, Counts};
use crate::process;
use crate::qmp::{Qmp, RunState};

/// For one QMP command to a QEMU that runs; longer only on a host that is badly overloaded.
const QMP_LIMIT: Duration = Duration::from_secs(5);
/// Between QEMU closing its output and its end as a process.
const REAP_LIMIT: Duration = Duration::from_secs(5);
/// Console lines shown with an error.
const TAIL: usize = 12;
/// The kernel's last console line.
const STATUS_PREFIX: &str = "cartridge: exit status ";

/// How a guest ended.
#[derive(Clone, Debug)]
pub struct Exit {
    /// From the console's last line, `cartridge: exit status N`; none when the guest was stopped from outside or died silently.
    pub status: Option<i32>,
    /// QEMU's own.
    pub qemu: ExitStatus,
    /// QEMU's word for why the machine stopped: `guest-shutdown`, `guest-reset`, `host-qmp-quit`, ...
    pub reason: Option<String>,
}

impl Exit {
    pub fn success(&self) -> bool {
        self.status == Some(0) && self.qemu.success()
    }

    pub fn describe(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or("no reason given");
        match self.status {
            Some(status) => format!("the cartridge's exit status is {status}; QEMU: {reason}, {}", self.qemu),
            None => format!("the cartridge reported no exit status; QEMU: {reason}, {}", self.qemu),
        }
    }
}

/// QEMU as a process that was just started.
pub(crate) struct Process {
    pub child: Child,
    pub console: Arc<Console>,
    pub started: Instant,
}

/// What was settled before QEMU started.
pub(crate) struct Setup {
    /// The shell command that starts the same guest.
    pub command: String,
    /// `Kvm` or `Tcg`.
    pub accel: Accel,
    pub notices: Vec<String>,
    pub counter: Option<Counter>,
}

/// A guest under QEMU. Dropping it kills and reaps QEMU.
pub struct Guest {
    child: Arc<Mutex<Child>>,
    pid: u32,
    console: Arc<Console>,
    started: Instant,
    setup: Setup,
    machine: Machine,
    qmp: Option<Qmp>,
    forwards: Vec<(Forward, SocketAddr)>,
}

impl Guest {
    pub(crate) fn new(process: Process, setup: Setup, launch: &Launch) -> Guest {
        let pid = process.child.id();
        let child = Arc::new(Mutex::new(process.child));
        if let Some(deadline) = launch.deadline {
            watch(&process.console, &child, process.started + deadline);
        }
        Guest {
            child,
            pid,
            console: process.console,
            started: process.started,
            setup,
            machine: launch.machine,
            qmp: None,
            forwards: Vec::new(),
        }
    }

    pub(crate) fn connected(&mut self, qmp: Qmp, launch: &Launch) -> Result<(), Error> {
        if launch.network == Network::User && launch.card() != NetworkCard::None {
            match qmp.human("info usernet", QMP_LIMIT) {
                Ok(usernet) => self.forwards = parse_forwards(&usernet),
                // QEMU greeted us, so it started: a guest that is this quick has already ended it.
                Err(error) if matches!(error.0.reason, Reason::Ended { .. } | Reason::Io { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.qmp = Some(qmp);
        Ok(())
    }

    /// Waits out a QEMU that did not answer QMP, so that the error holds all it said.
    pub(crate) fn failed_to_start(&mut self, error: Error, firmware: Firmware) -> Error {
        self.console
            .wait_closed_regardless(Instant::now() + Duration::from_secs(2));
        let mut error = match self.kill_and_reap() {
            Ok(status) => self.error(Reason::Ended {
                waiting_for: "its machine".to_owned(),
                how: status.to_string(),
            }),
            Err(_) => error,
        };
        error.next = cure(&error.said, firmware);
        error
    }

    /// The exact shell command, for a person to repeat.
    pub fn command(&self) -> &str {
        &self.setup.command
    }

    /// The accelerator in use: `Kvm` or `Tcg`.
    pub fn accel(&self) -> Accel {
        self.setup.accel
    }

    /// What the user should know about this launch, such as why KVM is not used.
    pub fn notices(&self) -> &[String] {
        &self.setup.notices
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    /// The host address forwarded to the guest's TCP port.
    pub fn address(&self, guest_port: u16) -> Result<SocketAddr, Error> {
        let found = self.forwards.iter().find(|(forward, _)| forward.guest == guest_port);
        found
            .map(|(_, address)| *address)
            .ok_or_else(|| no_forward(guest_port).with_command(&self.setup.command))
    }

    /// Every forward with the host address QEMU really uses.
    pub fn forwards(&self) -> &[(Forward, SocketAddr)] {
        &self.forwards
    }

    /// The first console line, past ones included, for which `wanted` holds.
    pub fn wait_for(&self, what: &str, limit: Duration, wanted: impl FnMut(&str) -> bool) -> Result<Line, Error> {
        let found = self.console.wait_for(Instant::now() + limit, wanted);
        found.map_err(|not_seen| self.not_seen(not_seen, what, limit))
    }

    /// All console lines so far (the oldest are dropped past 64 MiB).
    pub fn lines(&self) -> Vec<Line> {
        self.console.lines()
    }

    /// The console so far, a line in progress included.
    pub fn console(&self) -> String {
        self.console.text()
    }

    /// Waits for the guest to end by itself.
    pub fn wait(&self, limit: Duration) -> Result<Exit, Error> {
        match self.console.wait_closed(Instant::now() + limit) {
            Ok(()) => self.reap(),
            Err(not_seen) => Err(self.not_seen(not_seen, "end of the guest", limit)),
        }
    }

    /// As [`Guest::wait`], deaf to interruption; none when the guest still runs past `limit`.
    pub fn wait_regardless(&self, limit: Duration) -> Result<Option<Exit>, Error> {
        match self.console.wait_closed_regardless(Instant::now() + limit) {
            true => self.reap().map(Some),
            false => Ok(None),
        }
    }

    /// Whether QEMU is gone, or about to be.
    pub fn ended(&self) -> bool {
        self.console.wait_closed_regardless(Instant::now())
    }

    /// Ends waits from another thread.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(self.console.clone())
    }

    /// QMP commands beyond those here.
    pub fn qmp(&self) -> Result<&Qmp, Error> {
        self.qmp
            .as_ref()
            .ok_or_else(|| self.error(Reason::Setting("QMP is not connected".to_owned())))
    }

    /// Presses the power button.
    ///
    /// # Errors
    /// Also on a machine without one.
    pub fn powerdown(&self) -> Result<(), Error> {
        if !self.machine.has_power_button() {
            return Err(self.error(Reason::Setting(format!("{} has no power button", self.machine))));
        }
        self.qmp()?
            .powerdown(QMP_LIMIT)
            .map_err(|error| error.with_command(&self.setup.command))
    }

    /// Stops the guest: the power button where there is one, then, past `grace`, `quit`, then SIGKILL.
    pub fn stop(&self, grace: Duration) -> Result<Exit, Error> {
        self.console.resume();
        let asked = self.machine.has_power_button() && self.powerdown().is_ok();
        if asked && self.console.wait_closed_regardless(Instant::now() + grace) {
            return self.reap();
        }
        let quitting = self
            .qmp
            .as_ref()
            .is_some_and(|qmp| qmp.quit(Duration::from_secs(1)).is_ok());
        if quitting {
            self.console
                .wait_closed_regardless(Instant::now() + Duration::from_secs(2));
        }
        self.kill_and_reap().map(|qemu| self.exit(qemu))
    }

    /// Kills QEMU at once.
    pub fn kill(&self) -> Result<Exit, Error> {
        self.kill_and_reap().map(|qemu| self.exit(qemu))
    }

    /// CPU time QEMU used so far, in steps of 10 ms.
    pub fn cpu_time(&self) -> Result<Duration, Error> {
        process::cpu_time(self.pid)
    }

    /// QEMU's resident memory, the guest's touched pages included.
    pub fn resident_bytes(&self) -> Result<u64, Error> {
        process::resident_bytes(self.pid)
    }

    /// Guest instructions since reset.
    ///
    /// # Errors
    /// Unless the launch asked for [`Launch::count_instructions`].
    pub fn instructions(&self) -> Result<Counts, Error> {
        let Some(counter) = &self.setup.counter else {
            return Err(self.error(Reason::Setting("this launch does not count instructions".to_owned())));
        };
        counter.read().map_err(|error| error.with_command(&self.setup.command))
    }

    /// `reason` with this guest's circumstances.
    pub(crate) fn error(&self, reason: Reason) -> Error {
        let command = Some(self.setup.command.clone());
        let (said, console) = (self.console.said(), self.console.tail(TAIL));
        Details {
            reason,
            command,
            said,
            console,
            next: None,
        }
        .into()
    }

    fn not_seen(&self, not_seen: NotSeen, what: &str, limit: Duration) -> Error {
        let waiting_for = what.to_owned();
        if let Some(state) = self.halted_state() {
            return self.error(Reason::Halted { waiting_for, state });
        }
        self.error(match not_seen {
            NotSeen::Deadline => Reason::Deadline {
                waiting_for,
                after: limit,
            },
            NotSeen::Interrupted => Reason::Interrupted { waiting_for },
            NotSeen::Closed => {
                let how = self
                    .reap()
                    .map_or_else(|error| error.to_string(), |exit| exit.describe());
                Reason::Ended { waiting_for, how }
            }
        })
    }

    /// QEMU keeps the process when the accelerator fails, and only stops the machine.
    fn halted_state(&self) -> Option<String> {
        match self.qmp.as_ref()?.status(Duration::from_secs(1)).ok()? {
            RunState::Running | RunState::Shutdown => None,
            RunState::Paused => Some("paused".to_owned()),
            RunState::Other(state) => Some(state),
        }
    }

    /// After the console closed: QEMU is about to end, or is killed.
    fn reap(&self) -> Result<Exit, Error> {
        let until = Instant::now() + REAP_LIMIT;
        while Instant::now() < until {
            let ended = self
                .child()
                .try_wait()
                .map_err(|source| Error::io("wait for QEMU", source))?;
            if let Some(qemu) = ended {
                return Ok(self.exit(qemu));
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.kill()
    }

    fn kill_and_reap(&self) -> Result<ExitStatus, Error> {
        let mut child = self.child();
        if let Ok(Some(status)) = child.try_wait() {
            return Ok(status);
        }
        child
            .kill()
            .and_then(|()| child.wait())
            .map_err(|source| Error::io("kill QEMU", source))
    }

    fn exit(&self, qemu: ExitStatus) -> Exit {
        // The process is gone, so the reader is at the end of the pipe or about to be.
        self.console.wait_closed_regardless(Instant::now() + REAP_LIMIT);
        Exit {
            status: self.console.last_words().and_then(|line| status(&line)),
            qemu,
            reason: self.qmp.as_ref().and_then(Qmp::last_reason),
        }
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.kill_and_reap();
    }
}

/// What to do about what a QEMU said that did not start.
fn cure(said: &str, firmware: Firmware) -> Option<String> {
    // "Could not set up host forwarding rule 'tcp:127.0.0.1:8080-:80'"
    if let Some((_, rule)) = said.split_once("host forwarding rule 'tcp:127.0.0.1:") {
        let (host, guest) = rule.split_once('\'')?.0.split_once("-:")?;
        return Some(format!(
            "port {host} of 127.0.0.1 is taken: end what uses it, or forward another with --port HOST:{guest} (HOST 0: any free one)"
        ));
    }
    let package = match firmware {
        Firmware::Qboot => "qboot.rom comes with QEMU (Debian: apt-get install qemu-system-data)",
        Firmware::SeaBios => "SeaBIOS is a package of its own (Debian: apt-get install seabios)",
    };
    (said.contains(".rom") || said.contains("bios")).then(|| format!("the firmware is missing: {package}"))
}

/// The status that the kernel's last line names. Only that line counts: an app may print the same words at any time. What an app
/// left without a line's end may stand before them.
fn status(last_line: &str) -> Option<i32> {
    last_line.rsplit_once(STATUS_PREFIX)?.1.trim_end().parse().ok()
}

/// Kills QEMU at its deadline, whatever its owner does.
fn watch(console: &Arc<Console>, child: &Arc<Mutex<Child>>, until: Instant) {
    let (console, child) = (console.clone(), child.clone());
    thread::spawn(move || {
        if !console.wait_closed_regardless(until) {
            let _ = child.lock().unwrap_or_else(|poison| poison.into_inner()).kill();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(console: &str) -> Option<i32> {
        let end = Console::new(Instant::now());
        end.follow(console.as_bytes(), None);
        end.last_words().and_then(|line| status(&line))
    }

    #[test]
    fn the_exit_status_is_found_behind_output_without_a_line_end() {
        assert_eq!(status_of("up\ncartridge: exit status 7\n"), Some(7));
        assert_eq!(status_of("donecartridge: exit status 7\r\n\r\n  \n"), Some(7));
        assert_eq!(status_of("cartridge: exit status 1cartridge: exit status 0"), Some(0));
    }

    #[test]
    fn only_the_last_line_is_believed() {
        assert_eq!(status_of("cartridge: exit status 0\nand then it died\n"), None);
        assert_eq!(status_of("cartridge: exit status 0 or so\n"), None);
        assert_eq!(status_of(""), None);
    }
}
