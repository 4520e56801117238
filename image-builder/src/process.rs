//! A Linux process under supervision: its output by lines, a deadline, an orderly stop. It does not outlive us.

use crate::command::Error;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A line may be this long; a longer one is cut into several.
const LONGEST_LINE: u64 = 1 << 20;

/// What happened next.
#[derive(Debug)]
pub enum Event {
    /// A line of its standard output, without the line's end.
    Line(String),
    Interrupted,
    Deadline,
    Ended(ExitStatus),
}

/// A running process. Dropping it kills it.
pub struct Process {
    child: Mutex<Child>,
    events: Receiver<Event>,
    sender: Sender<Event>,
    asked: AtomicBool,
}

/// Ends a wait for events from another thread.
pub struct Interrupter(Sender<Event>);

impl Interrupter {
    pub fn interrupt(&self) {
        // Nobody listens any more when the process has ended.
        let _ = self.0.send(Event::Interrupted);
    }
}

impl Process {
    /// Starts `program` in `folder`, with one more environment variable. Its errors go where ours go.
    ///
    /// `setpriv --pdeathsig` has Linux end it should we be killed; where that program is missing, only an orderly end of ours ends it.
    pub fn start(
        program: &Path,
        arguments: &[OsString],
        folder: &Path,
        (variable, value): (&str, &Path),
    ) -> Result<Self, Error> {
        let mut command = match has_setpriv() {
            true => Command::new("setpriv"),
            false => Command::new(program),
        };
        if has_setpriv() {
            command.args(["--pdeathsig", "KILL"]).arg(program);
        }
        command.args(arguments).current_dir(folder).env(variable, value);
        // A group of its own: Ctrl-C reaches us alone, and we ask it to stop, once.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(Error::io("start", program))?;
        let (sender, events) = channel();
        if let Some(output) = child.stdout.take() {
            let sender = sender.clone();
            thread::spawn(move || follow(BufReader::new(output), &sender));
        }
        Ok(Self {
            child: Mutex::new(child),
            events,
            sender,
            asked: AtomicBool::new(false),
        })
    }

    pub fn interrupter(&self) -> Interrupter {
        Interrupter(self.sender.clone())
    }

    /// The next event, or [`Event::Deadline`] once `until` has come.
    pub fn next(&self, until: Option<Instant>) -> Result<Event, Error> {
        loop {
            let step = Duration::from_millis(50);
            let left = until.map_or(step, |until| until.saturating_duration_since(Instant::now()).min(step));
            match self.events.recv_timeout(left) {
                Ok(event) => return Ok(event),
                Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => {}
            }
            if let Some(status) = self.child().try_wait().map_err(Error::io("wait for", "the app"))? {
                // Its last lines may still be on their way through the pipe.
                return match self.events.recv_timeout(step) {
                    Ok(event) => Ok(event),
                    Err(_) => Ok(Event::Ended(status)),
                };
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(Event::Deadline);
            }
        }
    }

    pub fn asked_to_stop(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Sends SIGTERM, which the agent takes as a request to stop in order.
    pub fn ask_to_stop(&self) -> Result<(), Error> {
        self.asked.store(true, Ordering::Relaxed);
        let mut child = self.child();
        if child.try_wait().map_err(Error::io("wait for", "the app"))?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let sent = pid.map_or(Ok(()), |pid| kill_process(pid, Signal::TERM));
        sent.map_err(|error| Error::io("stop", "the app")(error.into()))
    }

    pub fn kill(&self) -> Result<ExitStatus, Error> {
        let mut child = self.child();
        child
            .kill()
            .and_then(|()| child.wait())
            .map_err(Error::io("kill", "the app"))
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child().try_wait(), Ok(Some(_))) {
            // It may end by itself in between; then there is nothing to kill.
            let _ = self.kill();
        }
    }
}

fn follow(mut output: impl BufRead, sender: &Sender<Event>) {
    use std::io::Read;
    let mut line = Vec::new();
    while output
        .by_ref()
        .take(LONGEST_LINE)
        .read_until(b'\n', &mut line)
        .is_ok_and(|count| count > 0)
    {
        let text = String::from_utf8_lossy(&line)
            .trim_end_matches(['\n', '\r'])
            .to_string();
        if sender.send(Event::Line(text)).is_err() {
            return;
        }
        line.clear();
    }
}

fn has_setpriv() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("setpriv").is_file())
}

/// The exit status as a shell gives it: 128 and the signal's number for a process that a signal ended.
pub fn exit_status(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str) -> Process {
        let arguments = ["-c".into(), script.into()];
        Process::start(
            Path::new("/bin/sh"),
            &arguments,
            Path::new("/"),
            ("CARTRIDGE_DIR", Path::new("/x")),
        )
        .unwrap()
    }

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(20))
    }

    #[test]
    fn output_comes_by_lines_and_then_the_status() {
        let process = start("echo $CARTRIDGE_DIR; pwd; exit 7");
        let mut lines = Vec::new();
        let status = loop {
            match process.next(soon()).unwrap() {
                Event::Line(line) => lines.push(line),
                Event::Ended(status) => break status,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            (lines, exit_status(status)),
            (vec!["/x".to_string(), "/".to_string()], 7)
        );
    }

    #[test]
    fn a_process_is_asked_to_stop_and_its_signal_is_its_status() {
        let process = start("echo up; exec sleep 600");
        assert!(matches!(process.next(soon()).unwrap(), Event::Line(line) if line == "up"));
        assert!(matches!(process.next(Some(Instant::now())).unwrap(), Event::Deadline));
        process.ask_to_stop().unwrap();
        let Event::Ended(status) = process.next(soon()).unwrap() else {
            panic!("still there")
        };
        assert_eq!(exit_status(status), 128 + 15);
    }

    #[test]
    fn an_interruption_is_an_event() {
        let process = start("exec sleep 600");
        let interrupter = process.interrupter();
        thread::spawn(move || interrupter.interrupt());
        assert!(matches!(process.next(soon()).unwrap(), Event::Interrupted));
    }
}
