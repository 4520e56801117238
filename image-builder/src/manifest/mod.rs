//! `cartridge.toml`: what an app is called, listens on and needs. Every mistake in it is reported, each with its line and a hint.

mod check;
mod problem;

pub use check::is_name;
pub use problem::{Error, Problem};

use crate::blob::Files;
use std::fs;
use std::path::Path;

pub const FILE_NAME: &str = "cartridge.toml";
/// Memory of a machine whose manifest names none, in MiB.
pub const DEFAULT_MEMORY: u32 = 16;
/// Where the agent finds the defaults inside an image, and inside the folder that `dev` makes.
pub const DEFAULTS_PATH: &str = "run/cartridge/defaults";

/// A checked manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub name: String,
    pub version: String,
    /// TCP ports the app listens on; the cartridge is ready when each accepts.
    pub ports: Vec<u16>,
    /// MiB of RAM that `run` gives the machine.
    pub memory: u32,
    /// A folder below the app's whose files are compiled into the image.
    pub files: Option<String>,
    /// Launch parameters that hold where the payload says nothing, sorted by key.
    pub defaults: Vec<(String, String)>,
}

impl Manifest {
    /// Reads `folder`/cartridge.toml; `name` and `version` of Cargo.toml stand in for absent ones.
    pub fn read(folder: &Path, name: &str, version: &str) -> Result<Self, Error> {
        let path = folder.join(FILE_NAME);
        let text = fs::read_to_string(&path).map_err(|error| Error::Read(path.clone(), error))?;
        let (manifest, mut problems) = check::parse(&text, name, version);
        if let Some(files) = manifest.files.as_ref().filter(|files| !folder.join(files).is_dir()) {
            problems.push(
                Problem::at_key(&text, "files", format!("the folder `{files}` does not exist"))
                    .hint(format!("make {} or remove the line", folder.join(files).display())),
            );
        }
        match problems.is_empty() {
            true => Ok(manifest),
            false => Err(Error::Invalid(path, problems)),
        }
    }

    /// The defaults as launch parameters: `KEY=VALUE,KEY=VALUE`.
    pub fn launch_params(&self) -> String {
        let mut pairs = vec![
            format!("CARTRIDGE_NAME={}", self.name),
            format!("CARTRIDGE_VERSION={}", self.version),
        ];
        if !self.ports.is_empty() {
            let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
            pairs.push(format!("PORTS={}", ports.join("|")));
        }
        pairs.extend(self.defaults.iter().map(|(key, value)| format!("{key}={value}")));
        pairs.join(",")
    }

    /// What is compiled into the image of the app in `folder`: its files, and the defaults.
    pub fn files(&self, folder: &Path) -> Result<Files, crate::blob::Error> {
        let mut files = Files::default();
        if let Some(name) = &self.files {
            files.insert_folder(name, &folder.join(name))?;
        }
        files.insert(DEFAULTS_PATH, self.launch_params().into_bytes());
        Ok(files)
    }
}
