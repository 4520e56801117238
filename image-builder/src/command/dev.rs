//! `dev`: the same app and agent as an ordinary Linux process.

use super::arguments::{Arguments, Next};
use super::platform::{self, Platform};
use super::run::{INTERRUPTED, READY_LIMIT, TIMED_OUT, stop_grace};
use super::screen::{OUTPUT_CLOSED, note, print};
use super::signals::Signals;
use super::{Command, Error, ready, shell};
use crate::control_plane::{ControlPlane, Place};
use crate::manifest::{DEFAULTS_PATH, Manifest};
use crate::member::{self, Member};
use crate::package::Package;
use crate::process::{self, Event, Process};
use crate::workspace::Workspace;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use xshell::{Shell, cmd};

pub const COMMAND: Command = Command {
    name: "dev",
    help: HELP,
    run,
};

const HELP: &str = "\
run an app as a Linux process, with its agent

usage: ./cartridge dev APP [OPTIONS] [-- ARGUMENTS FOR THE APP]

  --payload FILE     launch parameters (KEY=VALUE,KEY=VALUE or JSON) for the agent
  --control-plane local|none
                     with a message broker and a stand-in for Apache Stratos, which shows the member's life and can be talked to
                     (type `help`); the member finds all that a platform would tell it (default: none)
  --topology FILE    the platform knows these members, too (JSON of a CompleteTopologyEvent)
  --json             what the platform has to say is one JSON object a line
  --timeout SECS     end the app after so long (exit status 124)
  --until-ready      stop the app once it is ready; at most 60 s unless --timeout says otherwise
  --release          compile with optimisation
  --port HOST:GUEST  accepted as in `run`; a process has no ports of its own, so HOST must be GUEST

The app runs in its own folder, so the files of its manifest have the same relative paths as in an image.
Shows its output, then `ready http://127.0.0.1:PORT after N ms`; its exit status is the app's.
Ctrl-C asks it to stop (with a control plane by its clean-up event), a second one kills it.
";

const OPTIONS: [&str; 9] = [
    platform::OPTIONS[0],
    platform::OPTIONS[1],
    platform::OPTIONS[2],
    "--payload",
    "--timeout",
    "--until-ready",
    "--release",
    "--port",
    "--help",
];
/// The variable that names the folder with the agent's files.
const FOLDER_VARIABLE: &str = "CARTRIDGE_DIR";

#[derive(Default)]
struct Options {
    payload: Option<PathBuf>,
    platform: Platform,
    timeout: Option<Duration>,
    until_ready: bool,
    release: bool,
    arguments: Vec<OsString>,
}

fn run(mut arguments: Arguments) -> Result<ExitCode, Error> {
    let (mut app, mut options) = (None, Options::default());
    while let Some(next) = arguments.next()? {
        match next {
            Next::Rest(rest) => options.arguments = rest,
            Next::Value(value) => arguments.only(&mut app, value, "app")?,
            Next::Option(option) => match option.as_str() {
                "--payload" => options.payload = Some(arguments.value()?.into()),
                "--timeout" => options.timeout = Some(arguments.seconds(&option)?),
                "--until-ready" => options.until_ready = true,
                "--release" => options.release = true,
                "--port" => same_port(&mut arguments, &option)?,
                platform if options.platform.take(&mut arguments, platform)? => {}
                unknown => return Err(arguments.unknown_option(unknown, &OPTIONS)),
            },
        }
    }
    let app = arguments.required(app, "app", "apps/hello")?;
    let platform = options.platform.options(&arguments)?;
    let shell = shell()?;
    let package = Package::read(&shell, &Workspace::find()?.root, Path::new(&app))?;
    let manifest = Manifest::read(&package.folder, &package.name, &package.version)?;
    let program = compile(&shell, &package, options.release)?;
    let payload = options.payload.as_deref().map(member::payload).transpose()?;
    let given = payload.clone().unwrap_or_default();
    let defaults = manifest.launch_params().into_bytes();
    let member = Member::new(&defaults, &given);
    let signals = Signals::catch()?;
    let start = |platform| {
        let parameters = (&defaults[..], &given[..], &member.ports[..]);
        ControlPlane::start(&platform, Place::Process, parameters, |line| _ = print(&line))
    };
    let plane = platform.map(start).transpose()?;
    let folder = match &plane {
        Some(plane) => agent_folder(&manifest, None, Some(&plane.payload))?,
        None => agent_folder(&manifest, options.payload.as_deref(), payload.as_deref())?,
    };
    let left_behind = folder.path().to_path_buf();
    signals.on_second(move || _ = fs::remove_dir_all(left_behind));
    let process = Process::start(
        &program,
        &options.arguments,
        &package.folder,
        (FOLDER_VARIABLE, folder.path()),
    )?;
    let (interrupter, same) = (process.interrupter(), process.interrupter());
    signals.on_first(move || interrupter.interrupt());
    if let Some(plane) = &plane {
        plane.launched();
        plane.take_commands(move || same.interrupt());
    }
    let status = supervise(&process, &member, plane.as_ref(), &options);
    drop(process);
    if let Some(plane) = plane {
        plane.ended();
    }
    status
}

fn same_port(arguments: &mut Arguments, option: &str) -> Result<(), Error> {
    let (host, guest) = arguments.ports(option)?;
    if host == guest {
        return Ok(());
    }
    let what = format!("{option} {host}:{guest}: a Linux process listens on port {guest} itself");
    Err(arguments.usage(
        what,
        format!("leave the option out and use port {guest}, or use `run`, which forwards ports"),
    ))
}

/// Builds the app for this machine; gives its program.
fn compile(shell: &Shell, package: &Package, release: bool) -> Result<PathBuf, Error> {
    let (manifest, binary) = (package.folder.join("Cargo.toml"), &package.binary);
    let release = release.then_some("--release");
    let build = cmd!(
        shell,
        "cargo build --manifest-path {manifest} --bin {binary} {release...}"
    )
    .quiet();
    build.run().map_err(|_| Error::Failed("cargo build"))?;
    let profile = if release.is_some() { "release" } else { "debug" };
    Ok(package.target_folder.join(profile).join(binary))
}

/// The files that an image would offer its agent; the folder goes with its handle. The payload's bytes may come of a file.
fn agent_folder(manifest: &Manifest, file: Option<&Path>, payload: Option<&[u8]>) -> Result<TempDir, Error> {
    let folder = tempfile::Builder::new()
        .prefix("cartridge-")
        .tempdir()
        .map_err(Error::io("make", std::env::temp_dir()))?;
    let name = Path::new(DEFAULTS_PATH).file_name().unwrap_or_default();
    let defaults = folder.path().join(name);
    fs::write(&defaults, manifest.launch_params()).map_err(Error::io("write", &defaults))?;
    if let Some(bytes) = payload {
        let path = folder.path().join("payload");
        let file = file.and_then(|file| file.canonicalize().ok());
        let made = match file.filter(|file| file.is_file()) {
            // Not copied: it may hold secrets, and whoever is killed removes nothing.
            Some(file) => symlink(file, &path),
            // A pipe can be read once only, and what a platform has added is in no file.
            None => fs::write(&path, bytes),
        };
        made.map_err(Error::io("write", &path))?;
    }
    Ok(folder)
}

/// Why the app is to stop before it ends by itself.
#[derive(Clone, Copy, PartialEq)]
enum Stopping {
    Ready,
    Interrupted,
    OutputClosed,
    TimeIsUp,
}

impl Stopping {
    /// The exit status when the app's own does not count.
    fn status(self) -> u8 {
        match self {
            Stopping::Ready => 0,
            Stopping::Interrupted => INTERRUPTED,
            Stopping::OutputClosed => OUTPUT_CLOSED,
            Stopping::TimeIsUp => TIMED_OUT,
        }
    }
}

/// Shows the app's output until it ends; gives the exit status.
fn supervise(
    process: &Process,
    member: &Member,
    plane: Option<&ControlPlane>,
    options: &Options,
) -> Result<ExitCode, Error> {
    let (started, grace) = (process.started(), stop_grace(member));
    let limit = options.timeout.or(options.until_ready.then_some(READY_LIMIT));
    let mut end = limit.map(|limit| started + limit);
    let (mut ready, mut unseen, mut stopping) = (false, false, None);
    loop {
        let event = process.next(end)?;
        let mut why = None;
        match event {
            Event::Line(line) => {
                let mut shown = print(&line);
                if !ready && ready::is_active(&line) {
                    ready = true;
                    shown &= print(&ready::line(member.ports.first().copied(), started.elapsed()));
                    why = options.until_ready.then_some(Stopping::Ready);
                }
                if !shown {
                    why = Some(Stopping::OutputClosed);
                }
            }
            Event::Interrupted => why = Some(Stopping::Interrupted),
            Event::Deadline if stopping.is_none() => why = Some(Stopping::TimeIsUp),
            Event::Deadline => {
                note(format_args!(
                    "the app did not stop within {} s; it is killed",
                    grace.as_secs()
                ));
                process.kill()?;
                return Ok(stopping.map_or(TIMED_OUT, Stopping::status).max(1).into());
            }
            Event::Ended(status) => {
                let own = process::exit_status(status);
                return Ok(match stopping {
                    // An orderly stop has the app's own status, as in a virtual machine.
                    Some(Stopping::Interrupted | Stopping::OutputClosed) | None if options.until_ready => {
                        own.max(1).into()
                    }
                    Some(Stopping::Interrupted | Stopping::OutputClosed) | None => own.into(),
                    Some(Stopping::Ready) if unseen => ExitCode::FAILURE,
                    Some(why) => why.status().into(),
                });
            }
        }
        if let (None, Some(why)) = (stopping, why) {
            match why {
                Stopping::Ready => {}
                Stopping::Interrupted => note("stopping the app; Ctrl-C again kills it"),
                Stopping::OutputClosed => note("nobody reads the output any more; stopping the app"),
                Stopping::TimeIsUp if options.until_ready => {
                    note("time is up, and the app is not ready; next: its last lines say what it waits for");
                }
                Stopping::TimeIsUp => note("time is up"),
            }
            if why == Stopping::Ready && !plane.is_none_or(ControlPlane::sees_active) {
                unseen = true;
            }
            stopping = Some(why);
            if !plane.is_some_and(ControlPlane::ask_to_leave) {
                process.ask_to_stop()?;
            }
            end = Some(Instant::now() + grace);
        }
    }
}
