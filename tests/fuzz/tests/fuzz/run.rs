//! One target under the fuzzer.

use super::engine::{folder, top};
use super::options::Options;
use cartridge_fuzz::Target;
use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a target is fuzzed without `--executions`, and how many inputs at most: the quick ones try the same on every machine.
const SECONDS: u64 = 2;
const INPUTS: u64 = 200_000;

/// One input takes no longer. Most take microseconds; a machine that is shared takes its time.
const INPUT_SECONDS: u64 = 20;

/// For all of a target.
const SHORT_LIMIT: Duration = Duration::from_secs(180);
const LONG_LIMIT: Duration = Duration::from_secs(6 * 3600);

/// What the process may have, in MiB: its corpus and its tables, besides the little that each target may (`bounds`).
const MEMORY: u64 = 1024;

/// Lines that are kept of what it says.
const LINES: usize = 60;

/// Runs it; gives what is to be said of it, or what was found.
pub fn run(engine: &Path, target: &Target, options: &Options) -> Result<String, String> {
    let started = Instant::now();
    let place = Place::of(target, options).map_err(|error| format!("target/fuzz: {error}"))?;
    let limit = match options.executions {
        Some(_) => LONG_LIMIT,
        None => SHORT_LIMIT,
    };
    let (child, lines) = watch(command(engine, target, options, &place), started + limit)?;
    let end = if child.is_some_and(|status| status == 0) {
        figures(&lines, options)
    } else {
        None
    };
    match end {
        Some(end) => Ok(format!("ok ({end}, {:.0} s)", started.elapsed().as_secs_f64())),
        None => Err(found(target, child, &lines)),
    }
}

/// Where a target's inputs are.
struct Place {
    /// What the fuzzer found to be new ways through the code. With `--executions` it is kept from run to run.
    ways: PathBuf,
    kept: PathBuf,
    dictionary: PathBuf,
    /// What the names of saved inputs begin with.
    finds: PathBuf,
}

impl Place {
    fn of(target: &Target, options: &Options) -> std::io::Result<Place> {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let kind = if options.executions.is_some() { "long" } else { "short" };
        let ways = folder().join(kind).join(target.name);
        if options.executions.is_none() && ways.exists() {
            fs::remove_dir_all(&ways)?;
        }
        fs::create_dir_all(&ways)?;
        let finds = folder().join("finds");
        fs::create_dir_all(&finds)?;
        Ok(Place {
            ways,
            kept: own.join("corpus").join(target.name),
            dictionary: own.join("dictionaries").join(target.name).with_extension("dict"),
            finds: finds.join(format!("{}-", target.name)),
        })
    }
}

fn command(engine: &Path, target: &Target, options: &Options, place: &Place) -> Command {
    let [tie, words @ ..] = qemu::guard::TIED;
    let mut command = Command::new(tie);
    command
        .args(words)
        .arg(engine)
        .env("FUZZ_TARGET", target.name)
        .env("RUST_BACKTRACE", "1")
        .envs(memory_folder().map(|folder| ("TMPDIR", folder)))
        .current_dir(top())
        .arg(format!("-artifact_prefix={}", place.finds.display()))
        .arg(format!("-max_len={}", target.longest))
        .arg(format!("-timeout={INPUT_SECONDS}"))
        .arg(format!("-rss_limit_mb={MEMORY}"));
    if let Some(input) = &options.input {
        command.arg(input);
        return command;
    }
    command.arg(format!("-seed={}", options.seed));
    if place.dictionary.exists() {
        command.arg(format!("-dict={}", place.dictionary.display()));
    }
    match options.executions {
        Some(executions) => command.arg(format!("-runs={executions}")),
        None => command
            .arg(format!("-runs={INPUTS}"))
            .arg(format!("-max_total_time={SECONDS}")),
    };
    command.arg(&place.ways).arg(&place.kept);
    command
}

/// Where archives are unpacked a million times: not on a disk, if there is another place.
fn memory_folder() -> Option<&'static str> {
    Some("/dev/shm").filter(|folder| Path::new(folder).is_dir())
}

/// Waits for its end, but not past `until`; gives its exit status, if it has one, and its last lines.
fn watch(mut command: Command, until: Instant) -> Result<(Option<i32>, Vec<String>), String> {
    let mut child: Child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start the fuzzer: {error}"))?;
    let (say, said) = channel();
    let errors = child.stderr.take().ok_or("it has no output")?;
    let reader = thread::spawn(move || {
        let mut lines = BufReader::new(errors).split(b'\n').map_while(Result::ok);
        while let Some(line) = lines.next()
            && say.send(String::from_utf8_lossy(&line).into_owned()).is_ok()
        {}
    });
    let mut lines = VecDeque::new();
    let is_late = loop {
        match said.recv_timeout(until.saturating_duration_since(Instant::now())) {
            // Words that it would have in a dictionary, of which there may be many.
            Ok(line) if line.starts_with('"') => {}
            Ok(line) => {
                lines.push_back(line);
                if lines.len() > LINES {
                    lines.pop_front();
                }
            }
            Err(RecvTimeoutError::Disconnected) => break false,
            Err(RecvTimeoutError::Timeout) => break true,
        }
    };
    if is_late {
        lines.push_back("it did not end in time".into());
        child
            .kill()
            .map_err(|error| format!("cannot end the fuzzer: {error}"))?;
    }
    let status = child.wait().map_err(|error| format!("no end of the fuzzer: {error}"))?;
    drop(said);
    _ = reader.join();
    Ok((status.code(), lines.into()))
}

/// `1000000 executions, 512 edges`, when it did all that it was asked to.
fn figures(lines: &[String], options: &Options) -> Option<String> {
    if options.input.is_some() {
        return Some("one input".into());
    }
    // `Done 1000000 runs in 12 second(s)` and `#1000000 DONE   cov: 512 ft: 1200 corp: ...`
    let word = |begin: &str, after: &str| {
        let line = lines
            .iter()
            .rev()
            .find(|line| line.starts_with(begin) && line.contains(after))?;
        line.split_once(after)?.1.split_whitespace().next()?.parse::<u64>().ok()
    };
    let executions = word("Done ", "Done ")?;
    let edges = word("#", "cov: ").unwrap_or(0);
    (executions >= options.executions.unwrap_or(1)).then(|| format!("{executions} executions, {edges} edges"))
}

/// What it said, and how to see it again.
fn found(target: &Target, status: Option<i32>, lines: &[String]) -> String {
    let mut text = String::new();
    // New ways through the code are no news here; nor are the fuzzer's own words about what it lacks, and its part of a backtrace.
    let is_news = |line: &&String| {
        !(line.is_empty() || line.starts_with(['#', '\t']) || line.starts_with("WARNING") || line.starts_with("INFO"))
    };
    let mut is_ours = true;
    for line in lines.iter().filter(is_news) {
        is_ours = is_ours && !line.contains("rust_fuzzer_test_input") || !line.starts_with(' ');
        if is_ours {
            text += &format!("  {line}\n");
        }
    }
    match status {
        Some(status) => text += &format!("  it ended with status {status}\n"),
        None => text += "  a signal ended it\n",
    }
    let saved = lines.iter().find_map(|line| line.split_once("Test unit written to "));
    if let Some((_, path)) = saved {
        let top = top();
        let shown = Path::new(path).strip_prefix(&top).unwrap_or(Path::new(path));
        text += &format!(
            "  again: ./cartridge test fuzz -- --input {} {}\n",
            shown.display(),
            target.name
        );
    }
    text
}
