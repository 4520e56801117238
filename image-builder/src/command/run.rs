//! `run`: boots an app's image under QEMU.

use super::arguments::{Arguments, Next};
use super::platform::{self, Platform};
use super::screen::{OUTPUT_CLOSED, Screen, note};
use super::signals::Signals;
use super::{Command, Error, build, ready};
use crate::blob::Files;
use crate::control_plane::{ControlPlane, Place};
use crate::elf;
use crate::fault::Reader;
use crate::manifest::{DEFAULT_MEMORY, DEFAULTS_PATH};
use crate::member::{self, Member};
use qemu::{Accel, Firmware, Guest, Launch, Machine};
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

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
                                (default: each of the payload's or the manifest's ports, under the same number or a free one)
  --payload FILE                launch parameters (KEY=VALUE,KEY=VALUE or JSON) for the agent
  --control-plane local|none    with a message broker and a stand-in for Apache Stratos, which shows the member's life and can be
                                talked to (type `help`); the member finds all that a platform would tell it (default: none)
  --topology FILE               the platform knows these members, too (JSON of a CompleteTopologyEvent)
  --json                        what the platform has to say is one JSON object a line
  --accel auto|kvm|tcg          default: auto, KVM where a probe proves that it works
  --timeout SECS                end the guest after so long (exit status 124)
  --until-ready                 stop the guest once it is ready; at most 60 s unless --timeout says otherwise
  --locked                      fail rather than change Cargo.lock

Shows the console, then `ready http://127.0.0.1:PORT after N ms`; its exit status is the guest's.
Ctrl-C asks the guest to stop (with a control plane by its clean-up event; else on q35 and pc; a microvm has no power button and is ended at once), a second one kills it.
";

const OPTIONS: [&str; 14] = [
    platform::OPTIONS[0],
    platform::OPTIONS[1],
    platform::OPTIONS[2],
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

/// For what was asked to stop, beyond the time that its payload gives it for its work: to stop, and to say so.
const STOP_MARGIN: Duration = Duration::from_secs(20);
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
    platform: Platform,
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
    /// The launch parameters compiled in.
    defaults: Vec<u8>,
    memory: u32,
}

/// How long a member may take to stop in order.
pub fn stop_grace(member: &Member) -> Duration {
    member.drain + STOP_MARGIN
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
                platform if options.platform.take(&mut arguments, platform)? => {}
                unknown => return Err(arguments.unknown_option(unknown, &OPTIONS)),
            },
        }
    }
    let app = arguments.required(app, "app", "apps/hello")?;
    let platform = options.platform.options(&arguments)?;
    let image = find_image(Path::new(&app), options.locked)?;
    let payload = options.payload.as_deref().map(member::payload).transpose()?;
    let payload = payload.unwrap_or_default();
    let member = Member::new(&image.defaults, &payload);
    let launch = describe(&image, &member, &options)?;
    let started = Started {
        signals: Signals::catch()?,
        screen: Arc::new(Screen::new(Reader::new(image.twin))),
    };
    let Some(platform) = platform else {
        return started.boot(launch, &member, None, &options);
    };
    let screen = started.screen.clone();
    let parameters = (&image.defaults[..], &payload[..], &member.ports[..]);
    let plane = ControlPlane::start(&platform, Place::Guest, parameters, move |line| screen.say(line))?;
    started.boot_member(launch, &member, &plane, &options)
}

/// An image file is taken as it is; anything else is an app to build.
fn find_image(given: &Path, locked: bool) -> Result<Image, Error> {
    if !given.is_file() {
        let app = build::build(given, locked)?;
        return Ok(Image {
            path: app.built.image,
            twin: app.built.twin,
            defaults: app.manifest.launch_params().into_bytes(),
            memory: app.manifest.memory,
        });
    }
    Ok(Image {
        path: given.into(),
        twin: given.with_extension("debug.elf"),
        defaults: defaults(given)?.unwrap_or_default(),
        memory: DEFAULT_MEMORY,
    })
}

/// The launch parameters compiled into an image; none in one without an agent.
pub fn defaults(image: &Path) -> Result<Option<Vec<u8>>, Error> {
    let bytes = std::fs::read(image).map_err(Error::io("read", image))?;
    let program = elf::read::Executable::parse(&bytes).map_err(|error| Error::Elf(image.into(), error))?;
    let mut segments = program.segments.iter();
    let files = segments.find_map(|segment| Files::find(segment.data, DEFAULTS_PATH));
    Ok(files.and_then(|files| files.get(DEFAULTS_PATH).map(<[u8]>::to_vec)))
}

fn describe(image: &Image, member: &Member, options: &Options) -> Result<Launch, Error> {
    let mut launch = Launch::new(&image.path);
    launch.machine = options.machine.unwrap_or(Machine::Microvm);
    launch.firmware = options.firmware;
    launch.accel = options.accel.unwrap_or(Accel::Auto);
    launch.memory_mib = options.memory.unwrap_or(image.memory);
    launch.cpus = options.cpus.unwrap_or(1);
    launch.payload.clone_from(&options.payload);
    for (host, guest) in forwards(&member.ports, &options.ports) {
        launch = launch.forward(host, guest);
    }
    if !options.arguments.is_empty() {
        launch.kernel_arguments = kernel_arguments(&options.arguments)?;
    }
    Ok(launch)
}

/// The forwards asked for, and one for every other port of the member.
fn forwards(ports: &[u16], asked: &[(u16, u16)]) -> Vec<(u16, u16)> {
    let mut forwards = asked.to_vec();
    for guest in ports.iter().copied() {
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

/// What is caught and shown of a guest.
struct Started {
    signals: Signals,
    screen: Arc<Screen>,
}

impl Started {
    /// With the payload that the platform makes of the user's.
    fn boot_member(
        self,
        mut launch: Launch,
        member: &Member,
        plane: &ControlPlane,
        options: &Options,
    ) -> Result<ExitCode, Error> {
        let payload = payload_file(&plane.payload)?;
        launch.payload = Some(payload.path().into());
        let left_behind = payload.path().to_path_buf();
        self.signals.on_second(move || _ = fs::remove_file(left_behind));
        let status = self.boot(launch, member, Some(plane), options);
        plane.ended();
        status
    }

    fn boot(
        self,
        launch: Launch,
        member: &Member,
        plane: Option<&ControlPlane>,
        options: &Options,
    ) -> Result<ExitCode, Error> {
        let (screen, shown) = (&self.screen, self.screen.clone());
        let guest = launch.on_line(move |line| shown.show(&line.text)).start()?;
        guest.notices().iter().for_each(note);
        let (interrupter, same, again) = (guest.interrupter(), guest.interrupter(), guest.interrupter());
        self.signals.on_first(move || interrupter.interrupt());
        screen.on_close(move || same.interrupt());
        if let Some(plane) = plane {
            plane.launched();
            plane.take_commands(move || again.interrupt());
        }
        let watch = Watch {
            guest: &guest,
            screen,
            plane,
            grace: stop_grace(member),
            until_ready: options.until_ready,
        };
        let status = watch.follow(member, options.timeout);
        screen.finish();
        status
    }
}

/// A payload, readable by nobody else, for as long as the guest runs.
fn payload_file(payload: &[u8]) -> Result<NamedTempFile, Error> {
    let folder = std::env::temp_dir();
    let file = tempfile::Builder::new().prefix("cartridge-").tempfile();
    let mut file = file.map_err(Error::io("make a file in", &folder))?;
    file.write_all(payload).map_err(Error::io("write", &folder))?;
    Ok(file)
}

/// A guest, and what it is watched for.
struct Watch<'a> {
    guest: &'a Guest,
    screen: &'a Screen,
    plane: Option<&'a ControlPlane>,
    /// For an orderly stop.
    grace: Duration,
    until_ready: bool,
}

impl Watch<'_> {
    /// Until the guest ends, is stopped, or is ready where that is all that was asked for; gives the exit status.
    fn follow(&self, member: &Member, timeout: Option<Duration>) -> Result<ExitCode, Error> {
        let guest = self.guest;
        let usual = if self.until_ready { READY_LIMIT } else { A_YEAR };
        let limit = timeout.unwrap_or(usual);
        let end = guest.started() + limit;
        let ready = guest.wait_for("lifecycle state Active", limit, ready::is_active);
        if let Ok(line) = &ready {
            self.screen.say(ready::line(url_port(guest, &member.ports), line.at));
            if self.until_ready {
                let seen = self.plane.is_none_or(ControlPlane::sees_active);
                self.end()?;
                return Ok(if seen { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
        }
        let ended = match ready {
            Ok(_) => guest.wait(end.saturating_duration_since(Instant::now())),
            Err(error) if error.is_deadline() || error.is_interrupted() => return self.stop(error),
            Err(_) => guest.wait(REAP_LIMIT),
        };
        match ended {
            Ok(exit) => Ok(ended_by_itself(&exit, self.until_ready)),
            Err(error) => self.stop(error),
        }
    }

    /// Stops a guest that still runs; gives the exit status for `why`.
    fn stop(&self, why: qemu::Error) -> Result<ExitCode, Error> {
        if why.is_interrupted() {
            let (what, status) = match self.screen.is_closed() {
                true => ("nobody reads the output any more; stopping the guest", OUTPUT_CLOSED),
                false => ("stopping the guest; Ctrl-C again kills it", INTERRUPTED),
            };
            note(what);
            let exit = self.end()?;
            let own = exit.status.and_then(|status| u8::try_from(status).ok());
            return Ok(own.unwrap_or(status).into());
        }
        if why.is_deadline() {
            note(match self.until_ready {
                true => "time is up, and the guest is not ready; next: its last lines say what it waits for",
                false => "time is up",
            });
            self.end()?;
            return Ok(TIMED_OUT.into());
        }
        Err(why.into())
    }

    /// In order, as far as the guest can: by its control plane, else by its power button.
    fn end(&self) -> Result<qemu::Exit, Error> {
        if self.plane.is_some_and(ControlPlane::ask_to_leave)
            && let Some(exit) = self.guest.wait_regardless(self.grace)?
        {
            return Ok(exit);
        }
        Ok(self.guest.stop(self.grace)?)
    }
}

/// The host port of the first of the app's ports, or of whatever is forwarded.
fn url_port(guest: &Guest, ports: &[u16]) -> Option<u16> {
    let app = ports.iter().find_map(|port| guest.address(*port).ok());
    let any = || guest.forwards().first().map(|(_, address)| *address);
    app.or_else(any).map(|address| address.port())
}

/// The exit status of a guest that ended without being asked.
fn ended_by_itself(exit: &qemu::Exit, ready_wanted: bool) -> ExitCode {
    let status = exit.status.map(|status| u8::try_from(status).unwrap_or(1));
    if status.is_none() {
        note(exit.describe());
    } else if ready_wanted {
        note("the guest ended before it was ready");
    }
    let status = status.unwrap_or(1);
    ExitCode::from(if ready_wanted { status.max(1) } else { status })
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
    fn arguments_with_blanks_are_refused() {
        assert_eq!(kernel_arguments(&["a".into(), "b=c".into()]).unwrap(), "-- a b=c");
        assert!(kernel_arguments(&["a b".into()]).is_err());
    }
}
