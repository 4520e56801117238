//! `bench`: what a boot and a request cost. The measuring itself is in the crate qemu.

use super::arguments::{Arguments, Next};
use super::screen::note;
use super::{Command, Error, build, run as run_command};
use crate::member::Member;
use qemu::measure::{self, BootOptions, BootReport, HttpOptions, HttpReport, Ready};
use qemu::{Accel, Firmware, Launch, Machine};
use serde::Serialize;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub const COMMAND: Command = Command {
    name: "bench",
    help: HELP,
    run,
};

const HELP: &str = "\
measure what booting and serving cost

usage: ./cartridge bench boot|http [APP] [OPTIONS]

  boot                          guest instructions and time to ready and to the first HTTP 200, and the least RAM
  http                          requests a second and guest instructions a request, for each number of clients
  APP                           default: apps/hello
  --machine microvm|q35|pc      default: microvm
  --firmware qboot|seabios      default: qboot on microvm, SeaBIOS elsewhere
  --memory MIB                  default: the manifest's
  --accel auto|kvm|tcg          for times (default: auto); instructions are always counted under TCG
  --path PATH                   what is asked for (default: /)
  --runs N                      boot: boots that are timed (default: 5); http: loads, of which the median is told (default: 1)
  --clients N,N                 http: numbers of keep-alive connections (default: 1,32)
  --seconds N                   http: length of each load (default: 5)
  --compare IMAGE               measure another image as well, by turns with the app; one without an agent will do
  --json                        one JSON object on standard output (docs/CLI.md)

Compare by instructions: they depend little on the host's load (a boot that waits for the network on a busy host has more).
Times are for reporting, or for one run with --compare; never across hosts.
";

const OPTIONS: [&str; 11] = [
    "--machine",
    "--firmware",
    "--memory",
    "--accel",
    "--path",
    "--runs",
    "--clients",
    "--seconds",
    "--compare",
    "--json",
    "--help",
];

#[derive(Default)]
struct Options {
    machine: Option<Machine>,
    firmware: Option<Firmware>,
    memory: Option<u32>,
    accel: Option<Accel>,
    path: Option<String>,
    runs: Option<usize>,
    clients: Option<Vec<u32>>,
    seconds: Option<u32>,
    compare: Option<PathBuf>,
    json: bool,
}

/// An image to measure: the app's, or the one it is compared with.
struct Subject {
    name: String,
    launch: Launch,
    guest_port: u16,
    ready: Ready,
}

fn run(mut arguments: Arguments) -> Result<ExitCode, Error> {
    let (mut what, mut app, mut options) = (None, None, Options::default());
    while let Some(next) = arguments.next()? {
        match next {
            Next::Value(value) if what.is_none() => what = Some(value),
            Next::Value(value) => arguments.only(&mut app, value, "app")?,
            Next::Rest(_) => return Err(arguments.unknown_option("--", &[])),
            Next::Option(option) => read_option(&mut arguments, &option, &mut options)?,
        }
    }
    let what = arguments.required(what, "measurement", "boot")?;
    if what != "boot" && what != "http" {
        return Err(arguments.usage(
            format!("there is no measurement `{}`", what.display()),
            "the measurements are boot and http",
        ));
    }
    let app = build::build(Path::new(&app.unwrap_or_else(|| OsString::from("hello"))), false)?;
    let Some(port) = app.manifest.ports.first().copied() else {
        let hint = "give it `ports = [8080]` in its cartridge.toml";
        return Err(arguments.usage(format!("{} listens on no port", app.manifest.name), hint));
    };
    let mut subjects = vec![Subject {
        name: format!("{} {}", app.manifest.name, app.manifest.version),
        launch: launch(&app.built.image, port, app.manifest.memory, &options),
        guest_port: port,
        ready: Ready::agent(),
    }];
    if let Some(image) = &options.compare {
        subjects.push(other(image, port, app.manifest.memory, &options)?);
    }
    match what == "boot" {
        true => boot(&app, &subjects, &options),
        false => http(&app, &subjects, &options),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn launch(image: &Path, port: u16, memory: u32, options: &Options) -> Launch {
    let mut launch = Launch::new(image).forward(0, port);
    launch.machine = options.machine.unwrap_or(Machine::Microvm);
    launch.firmware = options.firmware;
    launch.memory_mib = options.memory.unwrap_or(memory);
    launch.accel = options.accel.unwrap_or(Accel::Auto);
    launch
}

/// What the app is compared with, on the same machine. Where it holds no defaults, it has no agent to say that it is ready, and
/// listens where the app does.
fn other(image: &Path, port: u16, memory: u32, options: &Options) -> Result<Subject, Error> {
    let defaults = run_command::defaults(image)?;
    let ready = if defaults.is_some() {
        Ready::agent()
    } else {
        Ready::Answer
    };
    let ports = Member::new(&defaults.unwrap_or_default(), b"").ports;
    let guest_port = ports.first().copied().unwrap_or(port);
    Ok(Subject {
        name: image.display().to_string(),
        launch: launch(image, guest_port, memory, options),
        guest_port,
        ready,
    })
}

fn read_option(arguments: &mut Arguments, option: &str, options: &mut Options) -> Result<(), Error> {
    match option {
        "--machine" => options.machine = Some(arguments.word(option)?),
        "--firmware" => options.firmware = Some(arguments.word(option)?),
        "--accel" => options.accel = Some(arguments.word(option)?),
        "--memory" => options.memory = Some(arguments.parse(option, "a number of MiB")?),
        "--path" => options.path = Some(arguments.parse(option, "a path")?),
        "--runs" => options.runs = Some(arguments.parse(option, "a number of boots")?),
        "--seconds" => options.seconds = Some(arguments.parse(option, "a number of seconds")?),
        "--clients" => {
            let list: String = arguments.parse(option, "a list of numbers")?;
            let clients: Result<Vec<u32>, _> = list.split(',').map(str::parse).collect();
            let clients = clients.ok().filter(|clients| !clients.contains(&0));
            let wrong = || {
                arguments.usage(
                    format!("{option} {list} is not a list of numbers"),
                    "write it like --clients 1,32",
                )
            };
            options.clients = Some(clients.ok_or_else(wrong)?);
        }
        "--compare" => options.compare = Some(arguments.value()?.into()),
        "--json" => options.json = true,
        unknown => return Err(arguments.unknown_option(unknown, &OPTIONS)),
    }
    Ok(())
}

fn boot(app: &build::App, subjects: &[Subject], options: &Options) -> Result<(), Error> {
    let mut reports = Vec::new();
    for subject in subjects {
        let mut wanted = BootOptions {
            guest_port: subject.guest_port,
            ready: subject.ready.clone(),
            ..BootOptions::default()
        };
        wanted.path = options.path.clone().unwrap_or(wanted.path);
        wanted.runs = options.runs.unwrap_or(wanted.runs);
        let mut progress = |step: &str| note(format_args!("{}: {step}", subject.name));
        reports.push(measure::boot(&subject.launch, &wanted, &mut progress)?);
    }
    if options.json {
        let mut object = with_app(app, &reports[0]);
        if let Some(report) = reports.get(1) {
            object["compare"] = compared(&subjects[1], &serde_json::to_value(report).unwrap_or_default())?;
        }
        println!("{object}");
        return Ok(());
    }
    for (subject, report) in subjects.iter().zip(&reports) {
        print_boot(subject, report);
    }
    Ok(())
}

fn http(app: &build::App, subjects: &[Subject], options: &Options) -> Result<(), Error> {
    let clients = options.clients.clone().unwrap_or(HttpOptions::default().clients);
    let mut reports = vec![Vec::new(); subjects.len()];
    // By turns, so that all of them meet the same host.
    for clients in clients {
        let mut rounds = vec![Vec::new(); subjects.len()];
        let turns = std::iter::repeat_n(subjects, options.runs.unwrap_or(1).max(1))
            .flatten()
            .enumerate();
        for (turn, subject) in turns {
            let mut wanted = HttpOptions {
                guest_port: subject.guest_port,
                clients: vec![clients],
                ready: subject.ready.clone(),
                ..HttpOptions::default()
            };
            wanted.path = options.path.clone().unwrap_or(wanted.path);
            wanted.seconds = options.seconds.unwrap_or(wanted.seconds);
            let mut progress = |step: &str| note(format_args!("{}: {step}", subject.name));
            rounds[turn % subjects.len()].extend(measure::http(&subject.launch, &wanted, &mut progress)?);
        }
        for (reports, round) in reports.iter_mut().zip(rounds) {
            reports.extend(median(round));
        }
    }
    if options.json {
        let launch = &subjects[0].launch;
        let place =
            json!({ "machine": launch.machine, "firmware": launch.firmware(), "memory_mib": launch.memory_mib });
        let mut object = with_app(app, &place);
        object["results"] = json!(reports[0]);
        if let Some(reports) = reports.get(1) {
            object["compare"] = compared(&subjects[1], &json!({ "results": reports }))?;
        }
        println!("{object}");
        return Ok(());
    }
    for (subject, reports) in subjects.iter().zip(&reports) {
        print_http(subject, reports);
    }
    Ok(())
}

/// The report in the middle, by requests a second.
fn median(mut reports: Vec<HttpReport>) -> Option<HttpReport> {
    reports.sort_by(|one, other| one.requests_per_second.total_cmp(&other.requests_per_second));
    let middle = reports.len().saturating_sub(1) / 2;
    reports.into_iter().nth(middle)
}

/// The object under `compare`: which image, and its report.
fn compared(subject: &Subject, report: &Value) -> Result<Value, Error> {
    let image = &subject.launch.image;
    let bytes = std::fs::metadata(image).map_err(Error::io("read", image))?.len();
    Ok(after(json!({ "image": image, "image_bytes": bytes }), report))
}

/// The report, after the name and version of what was measured.
fn with_app(app: &build::App, report: &impl Serialize) -> Value {
    let report = serde_json::to_value(report).unwrap_or_default();
    after(
        json!({ "name": app.manifest.name, "version": app.manifest.version }),
        &report,
    )
}

/// The keys of the second object after those of the first.
fn after(mut first: Value, second: &Value) -> Value {
    if let (Value::Object(first), Value::Object(second)) = (&mut first, second) {
        first.extend(second.clone());
    }
    first
}

fn print_boot(subject: &Subject, report: &BootReport) {
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    let rows = [
        (
            "machine",
            format!(
                "{}, {}, {} MiB, {}",
                report.machine, report.firmware, report.memory_mib, report.accel
            ),
        ),
        ("image", format!("{} bytes", grouped(report.image_bytes))),
        ("least RAM", or_none(report.min_ram_mib.map(|mib| format!("{mib} MiB")))),
        (
            "instructions to ready",
            or_none(report.instructions_to_ready.map(grouped)),
        ),
        ("instructions to first 200", grouped(report.instructions_to_first_200)),
        ("  of these in firmware", grouped(report.firmware_instructions)),
        (
            "time to ready",
            or_none(report.wall_ms_to_ready.map(|ms| format!("{ms:.1} ms"))),
        ),
        (
            "time to first 200",
            format!("{:.1} ms (median of {})", report.wall_ms, report.wall_runs_ms.len()),
        ),
    ];
    println!("{}", subject.name);
    for (what, value) in rows {
        println!("  {what:<26} {value}");
    }
}

fn print_http(subject: &Subject, reports: &[HttpReport]) {
    let (name, launch) = (&subject.name, &subject.launch);
    println!("{name} on {}, {} MiB", launch.machine, launch.memory_mib);
    println!(
        "  {:>8} {:>12} {:>16} {:>10} {:>10} {:>8} {:>6}",
        "clients", "requests/s", "instructions/req", "p50 ms", "p99 ms", "errors", "accel"
    );
    for report in reports {
        println!(
            "  {:>8} {:>12} {:>16} {:>10.3} {:>10.3} {:>8} {:>6}",
            report.clients,
            grouped(report.requests_per_second as u64),
            grouped(report.instructions_per_request as u64),
            report.latency_p50_ms,
            report.latency_p99_ms,
            report.errors,
            report.accel.to_string(),
        );
    }
}

/// `1234567` as `1 234 567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!((grouped(7), grouped(1234567)), ("7".into(), "1 234 567".into()));
    }
}
