//! `bench`: what a boot and a request cost. The measuring itself is in the crate qemu.

use super::arguments::{Arguments, Next};
use super::{Command, Error, build};
use qemu::measure::{self, BootOptions, BootReport, HttpOptions, HttpReport};
use qemu::{Accel, Firmware, Launch, Machine};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::Path;
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
  --runs N                      boot: boots that are timed (default: 5)
  --clients N,N                 http: numbers of keep-alive connections (default: 1,32)
  --seconds N                   http: length of each load (default: 5)
  --json                        one JSON object on standard output (docs/CLI.md)

Compare by instructions: they do not depend on the host's load. Times are for reporting, never across hosts.
";

const OPTIONS: [&str; 10] = [
    "--machine",
    "--firmware",
    "--memory",
    "--accel",
    "--path",
    "--runs",
    "--clients",
    "--seconds",
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
    json: bool,
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
    let mut launch = Launch::new(&app.built.image).forward(0, port);
    launch.machine = options.machine.unwrap_or(Machine::Microvm);
    launch.firmware = options.firmware;
    launch.memory_mib = options.memory.unwrap_or(app.manifest.memory);
    launch.accel = options.accel.unwrap_or(Accel::Auto);
    match what == "boot" {
        true => boot(&app, &launch, port, &options),
        false => http(&app, &launch, port, &options),
    }?;
    Ok(ExitCode::SUCCESS)
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
        "--json" => options.json = true,
        unknown => return Err(arguments.unknown_option(unknown, &OPTIONS)),
    }
    Ok(())
}

fn boot(app: &build::App, launch: &Launch, guest_port: u16, options: &Options) -> Result<(), Error> {
    let mut wanted = BootOptions {
        guest_port,
        ..BootOptions::default()
    };
    wanted.path = options.path.clone().unwrap_or(wanted.path);
    wanted.runs = options.runs.unwrap_or(wanted.runs);
    let report = measure::boot(launch, &wanted, &mut progress)?;
    match options.json {
        true => println!("{}", with_app(app, serde_json::to_value(&report))),
        false => print_boot(app, &report),
    }
    Ok(())
}

fn http(app: &build::App, launch: &Launch, guest_port: u16, options: &Options) -> Result<(), Error> {
    let mut wanted = HttpOptions {
        guest_port,
        ..HttpOptions::default()
    };
    wanted.path = options.path.clone().unwrap_or(wanted.path);
    wanted.clients = options.clients.clone().unwrap_or(wanted.clients);
    wanted.seconds = options.seconds.unwrap_or(wanted.seconds);
    let reports = measure::http(launch, &wanted, &mut progress)?;
    match options.json {
        true => {
            let results = serde_json::to_value(&reports).unwrap_or_default();
            let place = json!({ "machine": launch.machine, "firmware": launch.firmware(), "memory_mib": launch.memory_mib, "results": results });
            println!("{}", with_app(app, Ok(place)));
        }
        false => print_http(app, launch, &reports),
    }
    Ok(())
}

/// The report, after the name and version of what was measured.
fn with_app(app: &build::App, report: serde_json::Result<Value>) -> Value {
    let mut object = json!({ "name": app.manifest.name, "version": app.manifest.version });
    if let (Value::Object(object), Ok(Value::Object(report))) = (&mut object, report) {
        object.extend(report);
    }
    object
}

fn progress(step: &str) {
    eprintln!("cartridge: {step}");
}

fn print_boot(app: &build::App, report: &BootReport) {
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
    println!("{} {}", app.manifest.name, app.manifest.version);
    for (what, value) in rows {
        println!("  {what:<26} {value}");
    }
}

fn print_http(app: &build::App, launch: &Launch, reports: &[HttpReport]) {
    println!(
        "{} {} on {}, {} MiB",
        app.manifest.name, app.manifest.version, launch.machine, launch.memory_mib
    );
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
