//! `test`: everything that must hold, or one suite of it.

use super::arguments::{Arguments, Next};
use super::run::INTERRUPTED;
use super::screen::{note, print};
use super::signals::Signals;
use super::{Command, Error, nearest, test_lint};
use crate::process::{self, Event, Group, Process};
use crate::workspace::{HOME_VARIABLE, Workspace};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub const COMMAND: Command = Command {
    name: "test",
    help: HELP,
    run,
};

const HELP: &str = "\
run the tests, or one suite of them

usage: ./cartridge test [SUITE...] [--list] [-- ARGUMENTS FOR THE TEST PROGRAMS]

  SUITE      as `--list` names them; default: all
  --list     show the suites and what each is about

At the end comes a line for each suite, with its counts and its time, and as the last `N passed, N failed`; the exit
status is 1 if anything failed. After `--`, words go to the test programs: a part of a test's name, --nocapture, ...
Ctrl-C ends the tests and all that they started.
";

/// For one suite; far more than any needs on a slow machine.
const LIMIT: Duration = Duration::from_secs(20 * 60);
/// The same with words for the test programs: a million inputs for a fuzzer, say.
const OWN_LIMIT: Duration = Duration::from_secs(12 * 60 * 60);
/// For test programs, and what they started, to end in order once they are to stop.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Has cargo start each test program tied to itself, as it is tied to us: none outlives a `cartridge` that was killed.
const TIED: &str = "target.'cfg(unix)'.runner";

/// Suites whose tests wait for most of their time, for pauses and time limits to pass, and so for each other only without need: so
/// many at once, whatever the number of processors.
const WAITING: [&str; 3] = ["brokers", "metadata", "outages"];
const AT_ONCE: &str = "--test-threads=6";

/// A suite: `cargo test` with arguments, or the checks of the source.
pub struct Suite {
    name: String,
    about: String,
    /// Cargo's arguments; none for [`test_lint`].
    cargo: Option<Vec<String>>,
}

/// What came out so far.
#[derive(Default)]
pub struct Count {
    pub passed: u64,
    pub failed: u64,
    /// Marked `#[ignore]`, or without the tool they need.
    pub skipped: u64,
}

/// What can go on while suites run: the signals that end them, and the process group to end then.
struct Watch {
    signals: Signals,
    running: Arc<Mutex<Option<Group>>>,
}

/// How a suite came out.
#[derive(PartialEq)]
enum Outcome {
    Complete,
    /// Its user ended it, or nobody reads what it says.
    Interrupted,
}

fn run(mut arguments: Arguments) -> Result<ExitCode, Error> {
    let (mut names, mut list, mut rest) = (Vec::new(), false, Vec::new());
    while let Some(next) = arguments.next()? {
        match next {
            Next::Value(value) => names.push(value.to_string_lossy().into_owned()),
            Next::Option(option) if option == "--list" => list = true,
            Next::Option(option) => return Err(arguments.unknown_option(&option, &["--list", "--help"])),
            Next::Rest(words) => rest = words,
        }
    }
    let workspace = Workspace::find()?;
    let suites = suites(&workspace.root)?;
    if list {
        for suite in &suites {
            print(&format!("{:<14} {}", suite.name, suite.about));
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(unknown) = names
        .iter()
        .find(|name| suites.iter().all(|suite| suite.name != **name))
    {
        let near = nearest(unknown, suites.iter().map(|suite| suite.name.as_str()));
        let hint = near.map_or("./cartridge test --list shows them".into(), |near| {
            format!("did you mean {near}?")
        });
        return Err(arguments.usage(format!("there is no suite {unknown}"), hint));
    }
    let wanted = |suite: &&Suite| names.is_empty() || names.contains(&suite.name);
    run_all(&workspace, suites.iter().filter(wanted), &rest)
}

fn run_all<'s>(
    workspace: &Workspace,
    suites: impl Iterator<Item = &'s Suite>,
    rest: &[OsString],
) -> Result<ExitCode, Error> {
    let started = Instant::now();
    let watch = Watch::start()?;
    let (mut all, mut lines, mut outcome) = (Count::default(), Vec::new(), Outcome::Complete);
    for suite in suites {
        print(&format!("\n== {}: {}", suite.name, suite.about));
        let (mut count, begun) = (Count::default(), Instant::now());
        match &suite.cargo {
            Some(words) => outcome = run_cargo(workspace, words, &suite.words(rest), &watch, &mut count)?,
            None => test_lint::run(workspace, &mut count)?,
        }
        lines.push(count.line(&suite.name, begun.elapsed()));
        all.add(&count);
        if outcome == Outcome::Interrupted {
            lines.push("interrupted: the suites after it did not run".into());
            break;
        }
    }
    print(&format!(
        "\n{}\nin {:.0} s",
        lines.join("\n"),
        started.elapsed().as_secs_f64()
    ));
    print(&format!("{} passed, {} failed", all.passed, all.failed));
    Ok(match outcome {
        Outcome::Interrupted => INTERRUPTED.into(),
        Outcome::Complete => u8::from(all.failed > 0).into(),
    })
}

impl Suite {
    /// The words for its test program; the user's count.
    fn words(&self, rest: &[OsString]) -> Vec<OsString> {
        let is_told = rest
            .iter()
            .any(|word| word.to_string_lossy().starts_with("--test-threads"));
        let waits = WAITING.contains(&&*self.name) && !is_told;
        let own = waits.then(|| AT_ONCE.into());
        own.into_iter().chain(rest.iter().cloned()).collect()
    }
}

impl Count {
    fn add(&mut self, other: &Count) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// `boot            12 passed, 0 failed,   93.1 s`, and what was left out if anything was.
    fn line(&self, suite: &str, took: Duration) -> String {
        let seconds = took.as_secs_f64();
        let mut line = format!(
            "{suite:<14} {:>4} passed, {} failed, {seconds:>6.1} s",
            self.passed, self.failed
        );
        if self.skipped > 0 {
            line += &format!(", {} skipped", self.skipped);
        }
        line
    }
}

impl Watch {
    fn start() -> Result<Self, Error> {
        let signals = Signals::catch()?;
        let running: Arc<Mutex<Option<Group>>> = Arc::default();
        let last = running.clone();
        // What tests started is in their process group, or tied to a program that is.
        signals.on_second(move || {
            if let Some(group) = *last.lock().unwrap_or_else(PoisonError::into_inner) {
                group.kill();
            }
        });
        Ok(Self { signals, running })
    }

    fn watch(&self, process: &Process) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(process.group());
        let interrupter = process.interrupter();
        self.signals.on_first(move || interrupter.interrupt());
    }
}

/// The suites in the order they run: quick ones first.
fn suites(root: &Path) -> Result<Vec<Suite>, Error> {
    let suite = |name: &str, about: &str, words: &str| Suite {
        name: name.into(),
        about: about.into(),
        cargo: Some(words.split_whitespace().map(String::from).collect()),
    };
    let mut suites = vec![
        Suite {
            name: "lint".into(),
            about: test_lint::ABOUT.into(),
            cargo: None,
        },
        suite(
            "unit",
            "Every crate on its own: parsers, formats, state machines, rings.",
            "--workspace --exclude cartridge-tests --exclude image-builder --exclude qemu",
        ),
        suite(
            "builder",
            "Manifests, the file blob, the ELF writer, symbols, bytes per crate.",
            "-p image-builder --bins",
        ),
        suite(
            "qemu",
            "The launcher: command lines, console, QMP, deadlines.",
            "-p qemu",
        ),
        suite(
            "cli",
            "The cartridge command and its script: help, errors with suggestions, JSON, new, run, dev, its local platform, what it installs.",
            "-p image-builder --test cli",
        ),
        suite(
            "fuzz",
            "Every input from outside under a fuzzer, for a short while; longer: -- --executions 1000000 [TARGET].",
            "-p cartridge-fuzz --features suite --test fuzz",
        ),
    ];
    let folder = root.join("tests/tests");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .map_err(Error::io("list", &folder))?
        .flatten()
        .collect();
    files.sort_by_key(|entry| entry.file_name());
    for path in files
        .iter()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
    {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        suites.push(suite(
            &name,
            &about(&path)?,
            &format!("-p cartridge-tests --test {name}"),
        ));
    }
    suites.push(suite(
        "helpers",
        "What the tests themselves are made of.",
        "-p cartridge-tests --lib",
    ));
    Ok(suites)
}

/// A test file's own first line of documentation.
fn about(path: &Path) -> Result<String, Error> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    Ok(text
        .lines()
        .find_map(|line| line.strip_prefix("//! "))
        .unwrap_or_default()
        .into())
}

/// Runs `cargo test WORDS`, adding up what its test programs say.
fn run_cargo(
    workspace: &Workspace,
    words: &[String],
    rest: &[OsString],
    watch: &Watch,
    count: &mut Count,
) -> Result<Outcome, Error> {
    let runner = format!("{TIED}={:?}", qemu::guard::TIED);
    let mut arguments: Vec<OsString> = ["test", "--no-fail-fast", "--config", &runner]
        .map(OsString::from)
        .into();
    arguments.extend(words.iter().map(OsString::from));
    arguments.push("--".into());
    arguments.extend_from_slice(rest);
    let home = (HOME_VARIABLE, workspace.root.as_path());
    let cargo = Process::start(Path::new("cargo"), &arguments, &workspace.root, home)?;
    watch.watch(&cargo);
    let limit = if rest.is_empty() { LIMIT } else { OWN_LIMIT };
    let end = Instant::now() + limit;
    let failed_before = count.failed;
    let outcome = loop {
        match cargo.next(Some(end))? {
            Event::Line(line) => {
                if let Some((passed, failed, ignored)) = result(&line) {
                    count.passed += passed;
                    count.failed += failed;
                    count.skipped += ignored;
                }
                if !print(&line) {
                    cargo.group().stop(STOP_LIMIT);
                    break Outcome::Interrupted;
                }
            }
            Event::Ended(status) if process::exit_status(status) == 0 => return Ok(Outcome::Complete),
            Event::Ended(_) => break Outcome::Complete,
            Event::Interrupted => {
                note("ending the tests; Ctrl-C again kills them");
                cargo.group().stop(STOP_LIMIT);
                break Outcome::Interrupted;
            }
            Event::Deadline => {
                print(&format!("the suite did not end within {} min", limit.as_secs() / 60));
                cargo.group().stop(STOP_LIMIT);
                break Outcome::Complete;
            }
        }
    };
    // It did not compile, or a program of it died: that counts, too.
    count.failed += u64::from(count.failed == failed_before);
    Ok(outcome)
}

/// The numbers in `test result: ok. 23 passed; 0 failed; 1 ignored; ...`.
fn result(line: &str) -> Option<(u64, u64, u64)> {
    let rest = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let mut numbers = rest
        .split("; ")
        .map(|part| part.split(' ').next().and_then(|number| number.parse().ok()));
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_test_programs_are_read() {
        let line = "test result: FAILED. 23 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.13s";
        assert_eq!(result(line), Some((23, 2, 1)));
        assert_eq!(result("test a ... ok"), None);
    }

    #[test]
    fn suites_that_wait_run_more_tests_at_once_unless_their_user_says_how_many() {
        let words = |name: &str, rest: &[&str]| {
            let rest: Vec<OsString> = rest.iter().map(OsString::from).collect();
            let (name, about) = (name.into(), String::new());
            let cargo = None;
            Suite { name, about, cargo }.words(&rest)
        };
        assert_eq!(words("outages", &["frozen"]), [AT_ONCE, "frozen"]);
        assert_eq!(words("outages", &["--test-threads", "1"]), ["--test-threads", "1"]);
        assert_eq!(words("boot", &["x"]), ["x"]);
    }

    #[test]
    fn what_was_left_out_is_shown() {
        let mut count = Count::default();
        count.add(&Count {
            passed: 3,
            failed: 1,
            skipped: 0,
        });
        let took = Duration::from_millis(1540);
        assert_eq!(
            count.line("boot", took),
            "boot              3 passed, 1 failed,    1.5 s"
        );
        count.skipped = 2;
        assert!(count.line("boot", took).ends_with(" s, 2 skipped"));
    }
}
