//! `build`: an app becomes an image.

use super::arguments::{Arguments, Next};
use super::{Command, Error, shell};
use crate::compile::{Built, Compiler};
use crate::manifest::Manifest;
use crate::package::Package;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub const COMMAND: Command = Command {
    name: "build",
    help: HELP,
    run,
};

const HELP: &str = "\
build an app's bootable image

usage: ./cartridge build APP [--json] [--locked]

  APP        the folder of an app (Cargo.toml and cartridge.toml), or its name under apps/
  --json     print one JSON object about the image on standard output (docs/CLI.md)
  --locked   fail rather than change Cargo.lock

The image is target/cartridge/NAME/NAME.elf; NAME.debug.elf beside it is the same program with symbols.
";

/// An image and where it came from.
pub struct App {
    pub workspace: Workspace,
    pub manifest: Manifest,
    pub toolchain: Toolchain,
    pub built: Built,
    pub took: Duration,
}

fn run(mut arguments: Arguments) -> Result<ExitCode, Error> {
    let (mut app, mut json, mut locked) = (None, false, false);
    while let Some(next) = arguments.next()? {
        match next {
            Next::Option(option) if option == "--json" => json = true,
            Next::Option(option) if option == "--locked" => locked = true,
            Next::Option(option) => return Err(arguments.unknown_option(&option, &["--json", "--locked", "--help"])),
            Next::Value(value) => arguments.only(&mut app, value, "app")?,
            Next::Rest(_) => return Err(arguments.unknown_option("--", &[])),
        }
    }
    let app = arguments.required(app, "app", "apps/hello")?;
    let app = build(Path::new(&app), locked)?;
    match json {
        true => println!("{}", describe(&app)),
        false => println!(
            "{} {}: {} ({} bytes, {:.1} s)",
            app.manifest.name,
            app.manifest.version,
            app.workspace.relative(&app.built.image).display(),
            app.built.bytes,
            app.took.as_secs_f64()
        ),
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads, checks and compiles the app that `app` names.
pub fn build(app: &Path, locked: bool) -> Result<App, Error> {
    let started = Instant::now();
    let shell = shell()?;
    let workspace = Workspace::find()?;
    let package = Package::read(&shell, &workspace.root, app)?;
    let manifest = Manifest::read(&package.folder, &package.name, &package.version)?;
    let toolchain = Toolchain::find(&shell)?;
    let compiler = Compiler {
        shell: &shell,
        workspace: &workspace,
        toolchain: &toolchain,
        locked,
    };
    let built = compiler.build(&package, &manifest)?;
    Ok(App {
        workspace,
        manifest,
        toolchain,
        built,
        took: started.elapsed(),
    })
}

/// The compiler's warnings about kernel-glue.
pub fn kernel_warnings(workspace: &Workspace) -> Result<Vec<String>, Error> {
    let shell = shell()?;
    let toolchain = Toolchain::find(&shell)?;
    let compiler = Compiler {
        shell: &shell,
        workspace,
        toolchain: &toolchain,
        locked: true,
    };
    Ok(compiler.kernel_warnings()?)
}

/// The object that `build --json` prints.
fn describe(app: &App) -> serde_json::Value {
    json!({
        "name": app.manifest.name,
        "version": app.manifest.version,
        "image": app.workspace.relative(&app.built.image),
        "bytes": app.built.bytes,
        "sha256": app.built.sha256,
        "debug_image": app.workspace.relative(&app.built.twin),
        "kernel": "glue",
        "ports": app.manifest.ports,
        "memory_mib": app.manifest.memory,
        "toolchain": app.toolchain.version,
        "seconds": (app.took.as_secs_f64() * 1000.0).round() / 1000.0,
    })
}
