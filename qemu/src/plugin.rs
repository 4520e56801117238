//! Counting guest instructions: compiles the plugin once and asks it.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use tempfile::TempDir;
use xshell::{Shell, cmd};

use crate::error::{Error, Reason};
use crate::guard;

const SOURCE: &str = include_str!("../plugin/count.c");
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Guest instructions since reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// On all virtual CPUs, firmware included.
    pub total: u64,
    /// Executed where firmware and option ROMs lie.
    pub firmware: u64,
}

/// The plugin of one guest.
pub(crate) struct Counter {
    library: PathBuf,
    socket: PathBuf,
    _folder: TempDir,
}

impl Counter {
    /// Compiles the plugin unless that was done before, and makes a place for its socket.
    pub fn prepare() -> Result<Counter, Error> {
        let library = compile()?;
        let folder = tempfile::Builder::new()
            .prefix("cartridge-count")
            .tempdir()
            .map_err(|source| Error::io("make a folder for the plugin's socket", source))?;
        Ok(Counter {
            library,
            socket: folder.path().join("socket"),
            _folder: folder,
        })
    }

    pub fn library(&self) -> &Path {
        &self.library
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn read(&self) -> Result<Counts, Error> {
        let mut line = String::new();
        UnixStream::connect(&self.socket)
            .and_then(|mut stream| {
                stream.set_read_timeout(Some(ANSWER_LIMIT))?;
                stream.read_to_string(&mut line)
            })
            .map_err(|source| Error::io("ask the counting plugin", source))?;
        parse(&line).ok_or_else(|| Error::setting(format!("the counting plugin answered {line:?}")))
    }
}

fn parse(line: &str) -> Option<Counts> {
    let value = |name: &str| {
        line.split_ascii_whitespace()
            .find_map(|word| word.strip_prefix(name)?.parse().ok())
    };
    Some(Counts {
        total: value("total=")?,
        firmware: value("firmware=")?,
    })
}

/// The plugin as a shared library, kept under a name that changes with its source.
fn compile() -> Result<PathBuf, Error> {
    let mut hasher = DefaultHasher::new();
    SOURCE.hash(&mut hasher);
    let folder = target_folder();
    let library = folder.join(format!("count-{:016x}.so", hasher.finish()));
    if library.exists() {
        return Ok(library);
    }
    guard::require("cc", "install a C compiler (Debian: apt-get install gcc libc6-dev)")?;
    let failed = |what: &str| {
        let what = what.to_owned();
        move |source| Error::io(what, source)
    };
    fs::create_dir_all(&folder).map_err(failed("make the plugin's folder"))?;
    // Two runs may compile at once: each in a folder of its own, and the rename is atomic.
    let work = tempfile::tempdir_in(&folder).map_err(failed("make a folder to compile the plugin in"))?;
    let (source, made) = (work.path().join("count.c"), work.path().join("count.so"));
    fs::write(&source, SOURCE).map_err(failed("write the plugin's source"))?;
    let shell = Shell::new().map_err(tool("cc"))?;
    let command = cmd!(
        shell,
        "cc -std=gnu11 -Wall -Wextra -O2 -shared -fPIC -o {made} {source} -lpthread"
    );
    let output = command.quiet().ignore_status().output().map_err(tool("cc"))?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Reason::Tool {
            program: "cc".to_owned(),
            output,
        }
        .into());
    }
    fs::rename(&made, &library).map_err(failed("put the compiled plugin in its place"))?;
    Ok(library)
}

pub(crate) fn tool(program: &'static str) -> impl Fn(xshell::Error) -> Error {
    move |error| {
        Reason::Tool {
            program: program.to_owned(),
            output: error.to_string(),
        }
        .into()
    }
}

/// Cargo's target folder of the running program, or the system's folder for temporary files.
fn target_folder() -> PathBuf {
    let program = std::env::current_exe().ok();
    let target = program
        .as_deref()
        .and_then(|path| path.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists()));
    target.map_or_else(std::env::temp_dir, Path::to_path_buf).join("qemu")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_compiles_once() {
        let first = compile().unwrap();
        assert!(first.exists());
        assert_eq!(compile().unwrap(), first);
    }

    #[test]
    fn counts_are_read_from_the_plugins_line() {
        assert_eq!(parse("total=12 firmware=3\n"), Some(Counts { total: 12, firmware: 3 }));
        assert_eq!(parse("total=12"), None);
    }
}
