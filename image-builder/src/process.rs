//! A Linux process under supervision: its output by lines, a deadline, an orderly stop. It does not outlive us.

use crate::command::Error;
use qemu::guard;
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use std::cell::Cell;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// A line may be this long; a longer one is cut into several.
const LONGEST_LINE: u64 = 1 << 20;
/// Lines read and not yet asked for; past them, a process waits that writes faster than we show.
const LINES_AHEAD: usize = 256;
/// How often a process is looked at that is silent.
const LOOK: Duration = Duration::from_millis(20);
/// For the rest of its output once a process has ended; a process of its own that it left behind may hold the pipe open for ever.
const LAST_LINES_LIMIT: Duration = Duration::from_secs(5);

/// What happened next.
#[derive(Debug)]
pub enum Event {
    /// A line of its standard output, without the line's end.
    Line(String),
    Interrupted,
    Deadline,
    /// It ended, and all it wrote has been told.
    Ended(ExitStatus),
}

/// What the thread that reads the output tells the one that waits.
enum Message {
    Line(String),
    OutputEnded,
}

/// A running process. Dropping it kills it, and what it started in its process group.
pub struct Process {
    child: Mutex<Child>,
    /// Also the number of its process group.
    pid: Option<Pid>,
    started: Instant,
    messages: Receiver<Message>,
    interrupted: Arc<AtomicBool>,
    output_ended: Cell<bool>,
    ended: Cell<Option<Instant>>,
}

/// Ends a wait for events from another thread.
pub struct Interrupter(Arc<AtomicBool>);

impl Interrupter {
    pub fn interrupt(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A process with all that it started and that stayed in its process group.
#[derive(Clone, Copy)]
pub struct Group(Option<Pid>);

impl Group {
    /// Asks all of it to stop, and kills what is still there at the end of `grace`.
    pub fn stop(self, grace: Duration) {
        let until = Instant::now() + grace;
        self.signal(Signal::TERM);
        while self.is_there() && Instant::now() < until {
            thread::sleep(LOOK);
        }
        self.kill();
    }

    pub fn kill(self) {
        self.signal(Signal::KILL);
    }

    fn signal(self, signal: Signal) {
        // No such group: all of it has ended.
        let _ = self.0.map(|group| kill_process_group(group, signal));
    }

    fn is_there(self) -> bool {
        self.0.is_some_and(|group| test_kill_process_group(group).is_ok())
    }
}

impl Process {
    /// Starts `program` in `folder`, with one more environment variable. Its errors go where ours go.
    ///
    /// It has a process group of its own: Ctrl-C reaches us alone, and we ask it to stop, once.
    pub fn start(
        program: &Path,
        arguments: &[OsString],
        folder: &Path,
        (variable, value): (&str, &Path),
    ) -> Result<Self, Error> {
        let mut command = guard::command(program)?;
        command.args(arguments).current_dir(folder).env(variable, value);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let started = Instant::now();
        let mut child = guard::spawn(command, &program.display().to_string())?;
        let (sender, messages) = sync_channel(LINES_AHEAD);
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || {
                follow(BufReader::new(output), &sender);
                let _ = sender.send(Message::OutputEnded);
            });
        }
        Ok(Self {
            pid: i32::try_from(child.id()).ok().and_then(Pid::from_raw),
            child: Mutex::new(child),
            started,
            messages,
            interrupted: Arc::default(),
            output_ended: Cell::new(false),
            ended: Cell::new(None),
        })
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    pub fn interrupter(&self) -> Interrupter {
        Interrupter(self.interrupted.clone())
    }

    pub fn group(&self) -> Group {
        Group(self.pid)
    }

    /// The next event, or [`Event::Deadline`] once `until` has come.
    pub fn next(&self, until: Option<Instant>) -> Result<Event, Error> {
        loop {
            if self.interrupted.swap(false, Ordering::Relaxed) {
                return Ok(Event::Interrupted);
            }
            let left = until.map_or(LOOK, |until| until.saturating_duration_since(Instant::now()).min(LOOK));
            match self.messages.recv_timeout(left) {
                Ok(Message::Line(line)) => return Ok(Event::Line(line)),
                Ok(Message::OutputEnded) => self.output_ended.set(true),
                Err(RecvTimeoutError::Timeout) => {}
                // The output has ended before the process.
                Err(RecvTimeoutError::Disconnected) => thread::sleep(left),
            }
            if let Some(status) = self.status()? {
                let ended = self.ended.get().unwrap_or_else(Instant::now);
                self.ended.set(Some(ended));
                // Its last lines may still be on their way through the pipe; the end of the output comes after them.
                if self.output_ended.get() || ended.elapsed() > LAST_LINES_LIMIT {
                    return Ok(Event::Ended(status));
                }
            } else if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(Event::Deadline);
            }
        }
    }

    /// Sends SIGTERM, which the agent takes as a request to stop in order.
    pub fn ask_to_stop(&self) -> Result<(), Error> {
        // Held meanwhile: nobody else may reap it, so the number is still its own.
        let mut child = self.child();
        if child.try_wait().map_err(Error::io("wait for", "the app"))?.is_some() {
            return Ok(());
        }
        let sent = self.pid.map_or(Ok(()), |pid| kill_process(pid, Signal::TERM));
        sent.map_err(|error| Error::io("stop", "the app")(error.into()))
    }

    /// Kills it and all of its process group.
    pub fn kill(&self) -> Result<ExitStatus, Error> {
        self.group().kill();
        self.child().wait().map_err(Error::io("kill", "the app"))
    }

    fn status(&self) -> Result<Option<ExitStatus>, Error> {
        self.child().try_wait().map_err(Error::io("wait for", "the app"))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.status(), Ok(Some(_))) {
            // It may end by itself in between; then there is nothing to kill.
            let _ = self.kill();
        }
    }
}

fn follow(mut output: impl BufRead, sender: &SyncSender<Message>) {
    let mut line = Vec::new();
    let mut read =
        |line: &mut Vec<u8>| -> io::Result<usize> { output.by_ref().take(LONGEST_LINE).read_until(b'\n', line) };
    while read(&mut line).is_ok_and(|count| count > 0) {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']).to_owned();
        if sender.send(Message::Line(text)).is_err() {
            return;
        }
        line.clear();
    }
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

    /// The output goes on after the process has ended, as it does when its reader had no time yet.
    #[test]
    fn no_line_is_lost_at_the_end() {
        let process = start("(sleep 0.3; echo last) & echo first");
        let mut lines = Vec::new();
        while let Event::Line(line) = process.next(soon()).unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, ["first", "last"]);
    }

    #[test]
    fn a_process_is_killed_with_what_it_started() {
        let process = start("sleep 600 & echo $!; wait");
        let Event::Line(sleep) = process.next(soon()).unwrap() else {
            panic!("no line")
        };
        drop(process);
        let until = Instant::now() + Duration::from_secs(20);
        let alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{sleep}/stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        while alive() {
            assert!(Instant::now() < until, "process {sleep} is left behind");
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn an_interruption_is_an_event() {
        let process = start("exec sleep 600");
        let interrupter = process.interrupter();
        thread::spawn(move || interrupter.interrupt());
        assert!(matches!(process.next(soon()).unwrap(), Event::Interrupted));
    }
}
