//! `run`: boots an app's image under QEMU.

use super::arguments::{Arguments, Next};
use super::signals::Signals;
use super::{Command, Error, build, ready};
use crate::blob::Files;
use crate::elf;
use crate::fault::Reader;
use crate::manifest::{DEFAULT_MEMORY, DEFAULTS_PATH};
use qemu::{Accel, Firmware, Guest, Launch, Machine};
use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const COMMAND: Command = Command {
    name: "run",
    help: HELP,
    run,
};

const HELP: &str = "\
build an app and boot it in a virtual machine

usage: ./cartridge run APP|IMAGE [OPTIONS] [-- ARGUMENTS FOR THE APP]

  --machine microvm|q35|pc      QEMU's machine (default: microvm)
  --firmware qboot|seabios      default: qboot on microvm, SeaBIOS elsewhere
  --memory MIB                  default: the manifest's
  --cpus N                      virtual CPUs present (default: 1; the kernel uses one)
  --port HOST:GUEST             forward a TCP port of 127.0.0.1; repeatable; HOST 0: any free one
                                (default: the manifest's ports under the same number, or a free one)
  --payload FILE                launch parameters (KEY=VALUE,KEY=VALUE) for the agent
  --accel auto|kvm|tcg          default: auto, KVM where a probe proves that it works
  --timeout SECS                end the guest after so long (exit status 124)
  --until-ready                 stop the guest once it is ready; at most 60 s unless --timeout says otherwise
  --locked                      fail rather than change Cargo.lock

Shows the console, then `ready http://127.0.0.1:PORT after N ms`; its exit status is the guest's.
Ctrl-C asks the guest to stop, a second one kills it.
";

const OPTIONS: [&str; 11] = [
    "--machine",
    "--firmware",
    "--memory",
    "--cpus",
    "--port",
    "--payload",
    "--accel",
    "--timeout",
    "--until-ready",
    "--locked",
    "--help",
];

/// For a guest that was asked to stop: the agent's drain deadline and then some.
pub const STOP_GRACE: Duration = Duration::from_secs(30);
/// For `--until-ready` without `--timeout`.
pub const READY_LIMIT: Duration = Duration::from_secs(60);
/// A `run` without `--timeout` goes on until its user ends it; waits are this long at a time.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// For a guest whose console has ended.
const REAP_LIMIT: Duration = Duration::from_secs(5);
/// The exit status of timeout(1) when time is up.
pub const TIMED_OUT: u8 = 124;
/// The exit status of a shell's command that SIGINT ended.
pub const INTERRUPTED: u8 = 130;

/// What the command line asks for.
#[derive(Default)]
struct Options {
    machine: Option<Machine>,
    firmware: Option<Firmware>,
    memory: Option<u32>,
    cpus: Option<u32>,
    ports: Vec<(u16, u16)>,
    payload: Option<PathBuf>,
    accel: Option<Accel>,
    timeout: Option<Duration>,
    until_ready: bool,
    locked: bool,
    arguments: Vec<OsString>,
}

/// What is booted.
struct Image {
    path: PathBuf,
    twin: PathBuf,
    ports: Vec<u16>,
    memory: u32,
}

fn run(mut arguments: Arguments) -> Result<ExitCode, Error> {
    let (mut app, mut options) = (None, Options::default());
    while let Some(next) = arguments.next()? {
        match next {
            Next::Rest(rest) => options.arguments = rest,
            Next::Value(value) => arguments.only(&mut app, value, "app")?,
            Next::Option(option) => match option.as_str() {
                "--machine" => options.machine = Some(arguments.word(&option)?),
                "--firmware" => options.firmware = Some(arguments.word(&option)?),
                "--accel" => options.accel = Some(arguments.word(&option)?),
                "--memory" => options.memory = Some(arguments.parse(&option, "a number of MiB")?),
                "--cpus" => options.cpus = Some(arguments.parse(&option, "a number of CPUs")?),
                "--port" => options.ports.push(arguments.ports(&option)?),
                "--payload" => options.payload = Some(arguments.value()?.into()),
                "--timeout" => options.timeout = Some(arguments.seconds(&option)?),
                "--until-ready" => options.until_ready = true,
                "--locked" => options.locked = true,
                unknown => return Err(arguments.unknown_option(unknown, &OPTIONS)),
            },
        }
    }
    let app = arguments.required(app, "app", "apps/hello")?;
    let image = find_image(Path::new(&app), options.locked)?;
    let launch = describe(&image, &options)?;
    boot(launch, image, &options)
}

/// An image file is taken as it is; anything else is an app to build.
fn find_image(given: &Path, locked: bool) -> Result<Image, Error> {
    if !given.is_file() {
        let app = build::build(given, locked)?;
        let (ports, memory) = (app.manifest.ports, app.manifest.memory);
        return Ok(Image {
            path: app.built.image,
            twin: app.built.twin,
            ports,
            memory,
        });
    }
    let bytes = std::fs::read(given).map_err(Error::io("read", given))?;
    let program = elf::read::Executable::parse(&bytes).map_err(|error| Error::Elf(given.into(), error))?;
    let files = program
        .segments
        .iter()
        .find_map(|segment| Files::find(segment.data, DEFAULTS_PATH));
    let ports = files.and_then(|files| Some(ports_of(std::str::from_utf8(files.get(DEFAULTS_PATH)?).ok()?)));
    Ok(Image {
        path: given.into(),
        twin: given.with_extension("debug.elf"),
        ports: ports.unwrap_or_default(),
        memory: DEFAULT_MEMORY,
    })
}

/// The ports that launch parameters name.
fn ports_of(launch_params: &str) -> Vec<u16> {
    let ports = launch_params.split(',').find_map(|pair| pair.strip_prefix("PORTS="));
    ports
        .into_iter()
        .flat_map(|list| list.split('|'))
        .filter_map(|port| port.parse().ok())
        .collect()
}

fn describe(image: &Image, options: &Options) -> Result<Launch, Error> {
    let mut launch = Launch::new(&image.path);
    launch.machine = options.machine.unwrap_or(Machine::Microvm);
    launch.firmware = options.firmware;
    launch.accel = options.accel.unwrap_or(Accel::Auto);
    launch.memory_mib = options.memory.unwrap_or(image.memory);
    launch.cpus = options.cpus.unwrap_or(1);
    launch.payload.clone_from(&options.payload);
    for (host, guest) in forwards(&image.ports, &options.ports) {
        launch = launch.forward(host, guest);
    }
    if !options.arguments.is_empty() {
        launch.kernel_arguments = kernel_arguments(&options.arguments)?;
    }
    Ok(launch)
}

/// The forwards asked for, and one for every other port of the manifest.
fn forwards(manifest: &[u16], asked: &[(u16, u16)]) -> Vec<(u16, u16)> {
    let mut forwards = asked.to_vec();
    for guest in manifest.iter().copied() {
        if !asked.iter().any(|(_, port)| *port == guest) {
            forwards.push((if is_free(guest) { guest } else { 0 }, guest));
        }
    }
    forwards
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The kernel splits its command line at blanks and knows no quoting.
fn kernel_arguments(words: &[OsString]) -> Result<String, Error> {
    let mut line = String::from("--");
    for word in words {
        match word
            .to_str()
            .filter(|word| !word.is_empty() && !word.contains(char::is_whitespace))
        {
            Some(word) => line = line + " " + word,
            None => {
                let what = format!("the app's argument {word:?} cannot be passed");
                let hint = "arguments in a virtual machine hold no blanks: the kernel command line has no quoting";
                return Err(Error::Usage {
                    command: "run",
                    what,
                    hint: hint.into(),
                });
            }
        }
    }
    Ok(line)
}

fn boot(launch: Launch, image: Image, options: &Options) -> Result<ExitCode, Error> {
    let signals = Signals::catch()?;
    let Image { twin, ports, .. } = image;
    let screen = Arc::new(Screen(Mutex::new(Reader::new(twin))));
    let shown = screen.clone();
    let guest = launch.on_line(move |line| shown.show(&line.text)).start()?;
    for notice in guest.notices() {
        eprintln!("cartridge: {notice}");
    }
    let interrupter = guest.interrupter();
    signals.on_first(move || interrupter.interrupt());

    let status = follow(&guest, &ports, options);
    screen.finish();
    status
}

/// Until the guest ends, is stopped, or is ready where that is all that was asked for; gives the exit status.
fn follow(guest: &Guest, ports: &[u16], options: &Options) -> Result<ExitCode, Error> {
    let usual = if options.until_ready { READY_LIMIT } else { A_YEAR };
    let limit = options.timeout.unwrap_or(usual);
    let end = guest.started() + limit;
    let ready = guest.wait_for("lifecycle state Active", limit, ready::is_active);
    if let Ok(line) = &ready {
        println!("{}", ready::line(url_port(guest, ports), line.at));
        if options.until_ready {
            guest.stop(STOP_GRACE)?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    match ready {
        Ok(_) => finish(guest, guest.wait(end.saturating_duration_since(Instant::now())), false),
        Err(error) if error.is_deadline() || error.is_interrupted() => finish(guest, Err(error), options.until_ready),
        Err(_) => finish(guest, guest.wait(REAP_LIMIT), options.until_ready),
    }
}

/// The host port of the first of the app's ports, or of whatever is forwarded.
fn url_port(guest: &Guest, ports: &[u16]) -> Option<u16> {
    let app = ports.iter().find_map(|port| guest.address(*port).ok());
    let any = || guest.forwards().first().map(|(_, address)| *address);
    app.or_else(any).map(|address| address.port())
}

/// The exit status for how the wait came out, stopping a guest that still runs.
fn finish(guest: &Guest, ended: Result<qemu::Exit, qemu::Error>, ready_wanted: bool) -> Result<ExitCode, Error> {
    match ended {
        Ok(exit) => {
            let status = exit.status.map(|status| u8::try_from(status).unwrap_or(1));
            if status.is_none() {
                eprintln!("cartridge: {}", exit.describe());
            } else if ready_wanted {
                eprintln!("cartridge: the guest ended before it was ready");
            }
            Ok(ExitCode::from(if ready_wanted {
                status.unwrap_or(1).max(1)
            } else {
                status.unwrap_or(1)
            }))
        }
        Err(error) if error.is_interrupted() => {
            eprintln!("cartridge: stopping the guest; Ctrl-C again kills it");
            let exit = guest.stop(STOP_GRACE)?;
            Ok(exit
                .status
                .and_then(|status| u8::try_from(status).ok())
                .unwrap_or(INTERRUPTED)
                .into())
        }
        Err(error) if error.is_deadline() => {
            eprintln!(
                "cartridge: time is up{}",
                if ready_wanted {
                    ", and the guest is not ready"
                } else {
                    ""
                }
            );
            guest.stop(STOP_GRACE)?;
            Ok(TIMED_OUT.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Prints console lines; those of a fault report as [`Reader`] tells them.
struct Screen(Mutex<Reader>);

impl Screen {
    fn show(&self, line: &str) {
        let mut reader = self.0.lock().unwrap_or_else(|poison| poison.into_inner());
        reader.line(line).iter().for_each(|line| println!("{line}"));
    }

    /// A report that the guest's end cut short.
    fn finish(&self) {
        let mut reader = self.0.lock().unwrap_or_else(|poison| poison.into_inner());
        reader.finish().iter().for_each(|line| println!("{line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asked_forwards_replace_the_manifests_and_the_rest_stays() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(forwards(&[8080, port], &[(1234, 8080)]), [(1234, 8080), (0, port)]);
    }

    #[test]
    fn ports_are_read_from_launch_parameters() {
        assert_eq!(ports_of("CARTRIDGE_NAME=x,PORTS=8080|9443,A=b"), [8080, 9443]);
        assert!(ports_of("A=b").is_empty());
    }

    #[test]
    fn arguments_with_blanks_are_refused() {
        assert_eq!(kernel_arguments(&["a".into(), "b=c".into()]).unwrap(), "-- a b=c");
        assert!(kernel_arguments(&["a b".into()]).is_err());
    }
}
