//! `inspect`: what is in an image.

use super::arguments::{Arguments, Next};
use super::screen::print;
use super::{Command, Error, shell};
use crate::blob::Files;
use crate::elf::{self, read::Executable};
use crate::manifest::{DEFAULTS_PATH, Manifest};
use crate::package::Package;
use crate::sizes::{self, Share};
use crate::workspace::Workspace;
use cartridge_agent_core::parameters::Parameters;
use serde_json::{Value, json};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub const COMMAND: Command = Command {
    name: "inspect",
    help: HELP,
    run,
};

const HELP: &str = "\
show what is in an image

usage: ./cartridge inspect IMAGE|APP [--json]

  IMAGE      an image, or an app that was built (its name, or its folder under apps/)
  --json     one JSON object on standard output (docs/CLI.md)

Segments with their permissions, the entry point, the files and defaults compiled in, and bytes per crate
(these from NAME.debug.elf beside the image).
";

/// All there is to show.
struct Report {
    path: PathBuf,
    bytes: u64,
    entry: u64,
    pvh_entry: Option<u64>,
    segments: Vec<Value>,
    files: Files,
    /// Absent without the twin.
    shares: Option<Vec<Share>>,
}

fn run(mut arguments: Arguments) -> Result<ExitCode, Error> {
    let (mut image, mut json) = (None, false);
    while let Some(next) = arguments.next()? {
        match next {
            Next::Option(option) if option == "--json" => json = true,
            Next::Option(option) => return Err(arguments.unknown_option(&option, &["--json", "--help"])),
            Next::Value(value) => arguments.only(&mut image, value, "image")?,
            Next::Rest(_) => return Err(arguments.unknown_option("--", &[])),
        }
    }
    let image = arguments.required(image, "image", "target/cartridge/hello/hello.elf")?;
    let report = inspect(&find(Path::new(&image))?)?;
    let text = if json {
        report.json().to_string()
    } else {
        report.to_string()
    };
    // Where nobody reads to the end (`| head`), there is no harm in that.
    print(text.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// The image itself, or that of the app with this name.
fn find(given: &Path) -> Result<PathBuf, Error> {
    if given.is_file() {
        return Ok(given.into());
    }
    let workspace = Workspace::find()?;
    let package = Package::read(&shell()?, &workspace.root, given)?;
    let manifest = Manifest::read(&package.folder, &package.name, &package.version)?;
    let image = workspace
        .image_folder(&manifest.name)
        .join(format!("{}.elf", manifest.name));
    match image.is_file() {
        true => Ok(image),
        false => Err(Error::NotBuilt(given.into())),
    }
}

fn inspect(path: &Path) -> Result<Report, Error> {
    let image = std::fs::read(path).map_err(Error::io("read the image", path))?;
    let program = Executable::parse(&image).map_err(|error| Error::Elf(path.into(), error))?;
    let files = program
        .segments
        .iter()
        .find_map(|segment| Files::find(segment.data, DEFAULTS_PATH))
        .unwrap_or_default();
    let twin = path.with_extension("debug.elf");
    let shares = match twin.is_file() {
        true => Some(sizes::shares(&image, &program, &twin)?),
        false => None,
    };
    Ok(Report {
        path: path.into(),
        bytes: image.len() as u64,
        entry: program.entry,
        pvh_entry: program.pvh_entry(),
        segments: program.segments.iter().map(segment).collect(),
        files,
        shares,
    })
}

fn segment(segment: &elf::Segment<'_>) -> Value {
    json!({
        "type": segment.kind_name(),
        "permissions": segment.permissions(),
        "address": segment.virtual_address,
        "file_bytes": segment.data.len(),
        "memory_bytes": segment.memory_size,
    })
}

impl Report {
    fn defaults(&self) -> Vec<(&str, &str)> {
        let text = self.files.get(DEFAULTS_PATH).unwrap_or_default();
        Parameters::new(text, b"").iter().collect()
    }

    fn json(&self) -> Value {
        let defaults: serde_json::Map<String, Value> = self
            .defaults()
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        let files: Vec<Value> = self
            .files
            .iter()
            .map(|(path, data)| json!({ "path": path, "bytes": data.len() }))
            .collect();
        let share = |share: &Share| json!({ "name": share.name, "bytes": share.bytes });
        json!({
            "image": self.path,
            "bytes": self.bytes,
            "entry": self.entry,
            "pvh_entry": self.pvh_entry,
            "segments": self.segments,
            "files": files,
            "defaults": defaults,
            "crates": self.shares.as_ref().map(|shares| shares.iter().map(share).collect::<Vec<_>>()),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} bytes", self.path.display(), self.bytes)?;
        let pvh = self
            .pvh_entry
            .map_or("no PVH entry note".into(), |entry| format!("PVH entry {entry:#x}"));
        writeln!(f, "entry {:#x}, {pvh}\n", self.entry)?;
        writeln!(
            f,
            "  {:8} {:5} {:>10} {:>12} {:>12}",
            "segment", "perm", "address", "file bytes", "memory bytes"
        )?;
        for segment in &self.segments {
            let number = |key: &str| segment[key].as_u64().unwrap_or_default();
            writeln!(
                f,
                "  {:8} {:5} {:>10} {:>12} {:>12}",
                segment["type"].as_str().unwrap_or_default(),
                segment["permissions"].as_str().unwrap_or_default(),
                format!("{:#x}", number("address")),
                number("file_bytes"),
                number("memory_bytes"),
            )?;
        }
        writeln!(f, "\n  {:>10} file", "bytes")?;
        for (path, data) in self.files.iter() {
            writeln!(f, "  {:>10} {path}", data.len())?;
        }
        writeln!(f, "\n  defaults")?;
        for (key, value) in self.defaults() {
            writeln!(f, "    {key}={value}")?;
        }
        match &self.shares {
            None => writeln!(
                f,
                "\n  bytes per crate: no {} here",
                self.path.with_extension("debug.elf").display()
            ),
            Some(shares) => {
                writeln!(f, "\n  {:>10} {:>6} crate", "bytes", "share")?;
                for Share { name, bytes } in shares {
                    writeln!(
                        f,
                        "  {bytes:>10} {:>5.1}% {name}",
                        *bytes as f64 * 100.0 / self.bytes.max(1) as f64
                    )?;
                }
                writeln!(f, "  {:>10} {:>5}  all of the image", self.bytes, "")
            }
        }
    }
}
