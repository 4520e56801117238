//! `test`: everything that must hold, or one suite of it.

use super::arguments::{Arguments, Next};
use super::{Command, Error, nearest, test_lint};
use crate::process::{self, Event, Process};
use crate::workspace::{HOME_VARIABLE, Workspace};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
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

The last line is `N passed, N failed`; the exit status is 1 if anything failed. After `--`, words go to the test
programs: a part of a test's name, --nocapture, ...
";

/// For one suite; far more than any needs on a slow machine.
const LIMIT: Duration = Duration::from_secs(20 * 60);

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
            println!("{:<14} {}", suite.name, suite.about);
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
    let mut count = Count::default();
    let mut lines = Vec::new();
    for suite in suites {
        println!("\n== {}: {}", suite.name, suite.about);
        let (before, begun) = ((count.passed, count.failed), Instant::now());
        match &suite.cargo {
            Some(words) => run_cargo(workspace, words, rest, &mut count)?,
            None => test_lint::run(workspace, &mut count)?,
        }
        let (passed, failed) = (count.passed - before.0, count.failed - before.1);
        let seconds = begun.elapsed().as_secs_f64();
        lines.push(format!(
            "{:<14} {passed:>4} passed, {failed} failed, {seconds:>6.1} s",
            suite.name
        ));
    }
    println!("\n{}\nin {:.0} s", lines.join("\n"), started.elapsed().as_secs_f64());
    println!("{} passed, {} failed", count.passed, count.failed);
    Ok(ExitCode::from(u8::from(count.failed > 0)))
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
            "The cartridge command: help, errors with suggestions, its JSON.",
            "-p image-builder --test cli",
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
fn run_cargo(workspace: &Workspace, words: &[String], rest: &[OsString], count: &mut Count) -> Result<(), Error> {
    let mut arguments: Vec<OsString> = vec!["test".into(), "--no-fail-fast".into()];
    arguments.extend(words.iter().map(OsString::from));
    arguments.push("--".into());
    arguments.extend_from_slice(rest);
    let home = (HOME_VARIABLE, workspace.root.as_path());
    let cargo = Process::start(Path::new("cargo"), &arguments, &workspace.root, home)?;
    let end = Instant::now() + LIMIT;
    let failed_before = count.failed;
    loop {
        match cargo.next(Some(end))? {
            Event::Line(line) => {
                if let Some((passed, failed)) = result(&line) {
                    count.passed += passed;
                    count.failed += failed;
                }
                println!("{line}");
            }
            Event::Ended(status) if process::exit_status(status) == 0 => return Ok(()),
            Event::Ended(_) => break,
            Event::Interrupted => {}
            Event::Deadline => {
                println!("the suite did not end within {} min", LIMIT.as_secs() / 60);
                break;
            }
        }
    }
    // It did not compile, or a program of it died: that counts, too.
    count.failed += u64::from(count.failed == failed_before);
    Ok(())
}

/// The numbers in `test result: ok. 23 passed; 0 failed; ...`.
fn result(line: &str) -> Option<(u64, u64)> {
    let rest = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let mut numbers = rest
        .split("; ")
        .map(|part| part.split(' ').next().and_then(|number| number.parse().ok()));
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::result;

    #[test]
    fn results_of_test_programs_are_read() {
        let line = "test result: FAILED. 23 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.13s";
        assert_eq!(result(line), Some((23, 2)));
        assert_eq!(result("test a ... ok"), None);
    }
}
