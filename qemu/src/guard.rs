//! Starting a child that cannot outlive this process.
//!
//! The child is started through `setpriv --pdeathsig KILL` (util-linux): Linux then kills it when the thread that started it
//! ends, however this process dies (prctl(2), PR_SET_PDEATHSIG). Two consequences are handled here:
//! - the signal follows the *thread*, so every child is started by one thread that lives as long as the process;
//! - a parent that died before the prctl would be missed, so a shell compares its parent with us before it becomes the program.
//!
//! The child has a process group of its own: Ctrl-C in the terminal reaches us, and we end the child in order.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::error::{Error, Reason};

/// `$1` is our process id; the rest is the program and its arguments.
const CHECK_PARENT: &str = "test \"$PPID\" = \"$1\" || exit 125; shift; exec \"$@\"";

struct Job {
    command: Command,
    answer: Sender<io::Result<Child>>,
}

/// Words that, before a program and its arguments, tie it to whoever starts it: for starters that are not ours.
pub const TIED: [&str; 3] = ["setpriv", "--pdeathsig", "KILL"];

/// Words that, before a program and its arguments, end it after `seconds` (timeout(1), status 124) and tie it to whoever starts it.
/// timeout leaves the process group, so it does not hear of Ctrl-C: it is tied to its starter, and the program to it.
pub fn bounded(seconds: u64) -> Vec<String> {
    let limit = seconds.to_string();
    let words = [&TIED[..], &["timeout", &limit], &TIED];
    words.concat().into_iter().map(str::to_owned).collect()
}

/// What to do where there is no setpriv.
pub(crate) const SETPRIV_HINT: &str = "install util-linux (Debian: apt-get install util-linux)";

/// A command that will run `program` tied to the life of this process, in a process group of its own. Arguments,
/// environment, folder and streams are added as usual; then [`spawn`] starts it.
///
/// # Errors
/// Where setpriv is not installed.
pub fn command(program: impl AsRef<OsStr>) -> Result<Command, Error> {
    let [setpriv, words @ ..] = TIED;
    require(setpriv, SETPRIV_HINT)?;
    let mut command = Command::new(setpriv);
    command
        .args(words)
        .args(["sh", "-c", CHECK_PARENT, "sh"])
        .arg(std::process::id().to_string())
        .arg(program)
        .process_group(0);
    Ok(command)
}

/// Starts what [`command`] made; `name` is what an error calls it.
pub fn spawn(command: Command, name: &str) -> Result<Child, Error> {
    let (answer, child) = channel();
    let gone = || io::Error::other("the thread that starts children is gone");
    spawner()
        .send(Job { command, answer })
        .map_err(|_| gone())
        .and_then(|()| child.recv().map_err(|_| gone()))
        .flatten()
        .map_err(|source| Error::io(format!("start {name}"), source))
}

fn spawner() -> &'static Sender<Job> {
    static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (sender, jobs) = channel::<Job>();
        thread::spawn(move || {
            for mut job in jobs {
                // Where nobody waits any more, the Child is dropped; whoever asked is gone as well.
                let _ = job.answer.send(job.command.spawn());
            }
        });
        sender
    })
}

/// An error with `hint` unless `program` is on the PATH.
pub(crate) fn require(program: &str, hint: &str) -> Result<(), Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        return Ok(());
    }
    Err(Reason::Missing {
        program: program.to_owned(),
        hint: hint.to_owned(),
    }
    .into())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::process::is_alive;

    fn spawn_sleep() -> Child {
        let mut sleep = command("sleep").unwrap();
        sleep
            .arg("1000")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        spawn(sleep, "sleep").unwrap()
    }

    /// Not a test: the launcher that the next test kills.
    #[test]
    #[ignore = "started by another test"]
    fn launcher_to_be_killed() {
        let mut child = spawn_sleep();
        println!("\nstarted {}", child.id());
        child.wait().unwrap();
    }

    #[test]
    fn a_child_dies_with_a_launcher_that_is_killed() {
        let mut launcher = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "guard::tests::launcher_to_be_killed",
                "--ignored",
                "--nocapture",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(launcher.stdout.take().unwrap()).lines();
        let pid = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("started ")?.parse::<u32>().ok());
        let pid = pid.expect("the launcher names its child");
        assert!(is_alive(pid));
        launcher.kill().unwrap();
        launcher.wait().unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        while is_alive(pid) {
            assert!(Instant::now() < until, "process {pid} outlived its launcher");
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it() {
        let mut child = thread::spawn(spawn_sleep).join().unwrap();
        let (sender, ended) = channel::<()>();
        // A thread that ended takes its children along at once, if at all.
        assert!(ended.recv_timeout(Duration::from_millis(200)).is_err());
        drop(sender);
        assert!(child.try_wait().unwrap().is_none(), "the child died with the thread");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_missing_program_comes_with_advice() {
        let error = require("no-such-program", "install it").unwrap_err();
        assert_eq!(error.to_string(), "no-such-program is not installed; install it");
    }
}
