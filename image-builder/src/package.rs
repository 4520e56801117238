//! The app as cargo sees it: which package, which binary, which version.

use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};

/// A package with one binary to build.
#[derive(Clone, Debug)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// The name of its binary target.
    pub binary: String,
    /// The folder with Cargo.toml and cartridge.toml; absolute.
    pub folder: PathBuf,
    /// The workspace it belongs to (its own folder when it has none); absolute.
    pub workspace: PathBuf,
    /// Where cargo puts what it builds for this machine; absolute.
    pub target_folder: PathBuf,
}

#[derive(Debug)]
pub enum Error {
    NoFolder {
        given: PathBuf,
        apps: Vec<String>,
        near: Option<String>,
    },
    NoCargoToml(PathBuf),
    Cargo(String),
    Unreadable(&'static str),
    NoBinary(PathBuf),
    ManyBinaries {
        folder: PathBuf,
        names: Vec<String>,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoFolder { given, apps, near } => {
                write!(f, "there is no app at {}", given.display())?;
                match near {
                    Some(near) => write!(f, "\n  did you mean {near}?"),
                    None if apps.is_empty() => write!(f, "\n  next: ./cartridge new NAME makes one"),
                    None => write!(
                        f,
                        "\n  apps here: {} (./cartridge new NAME makes another)",
                        apps.join(", ")
                    ),
                }
            }
            Error::NoCargoToml(folder) => {
                write!(
                    f,
                    "{} has no Cargo.toml: an app is an ordinary cargo package\n  next: ./cartridge new NAME makes one",
                    folder.display()
                )
            }
            Error::Cargo(said) => write!(
                f,
                "cargo cannot read the package:\n{said}\n  next: mend the Cargo.toml it names"
            ),
            Error::Unreadable(what) => write!(
                f,
                "`cargo metadata` gave no {what}: is this cargo far too new or too old?\n  next: install Rust 1.91 or newer"
            ),
            Error::NoBinary(folder) => {
                write!(f, "{} builds no binary\n  next: add src/main.rs", folder.display())
            }
            Error::ManyBinaries { folder, names } => write!(
                f,
                "{} builds several binaries ({})\n  next: set `default-run = \"{}\"` under [package] in its Cargo.toml",
                folder.display(),
                names.join(", "),
                names[0]
            ),
        }
    }
}

impl Package {
    /// Reads the package in the folder `app` names. Plain names are also looked for under `root`/apps.
    pub fn read(shell: &Shell, root: &Path, app: &Path) -> Result<Self, Error> {
        let folder = find_folder(root, app)?;
        let manifest = folder.join("Cargo.toml");
        if !manifest.is_file() {
            return Err(Error::NoCargoToml(folder));
        }
        let output = cmd!(
            shell,
            "cargo metadata --no-deps --offline --format-version 1 --manifest-path {manifest}"
        )
        .quiet()
        .ignore_status()
        .output()
        .map_err(|error| Error::Cargo(error.to_string()))?;
        if !output.status.success() {
            return Err(Error::Cargo(String::from_utf8_lossy(&output.stderr).trim_end().into()));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|_| Error::Unreadable("JSON"))?;
        Self::from_metadata(&metadata, &manifest, folder)
    }

    fn from_metadata(metadata: &Value, manifest: &Path, folder: PathBuf) -> Result<Self, Error> {
        let packages = metadata["packages"].as_array().ok_or(Error::Unreadable("packages"))?;
        let package = packages
            .iter()
            .find(|package| {
                package["manifest_path"]
                    .as_str()
                    .is_some_and(|path| Path::new(path) == manifest)
            })
            .ok_or_else(|| Error::NoBinary(folder.clone()))?;
        let text = |key: &'static str| package[key].as_str().map(String::from).ok_or(Error::Unreadable(key));
        let (name, version) = (text("name")?, text("version")?);
        let binaries: Vec<String> = package["targets"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|target| target["kind"][0] == "bin")
            .filter_map(|target| target["name"].as_str().map(String::from))
            .collect();
        let binary = match (&binaries[..], package["default_run"].as_str()) {
            (_, Some(default)) => default.into(),
            ([], None) => return Err(Error::NoBinary(folder)),
            ([one], None) => one.clone(),
            (many, None) if many.contains(&name) => name.clone(),
            _ => {
                return Err(Error::ManyBinaries {
                    folder,
                    names: binaries,
                });
            }
        };
        let workspace = metadata["workspace_root"]
            .as_str()
            .ok_or(Error::Unreadable("workspace_root"))?
            .into();
        let target_folder = metadata["target_directory"]
            .as_str()
            .ok_or(Error::Unreadable("target_directory"))?
            .into();
        Ok(Self {
            name,
            version,
            binary,
            folder,
            workspace,
            target_folder,
        })
    }
}

/// The folder of the app, absolute; `hello` finds apps/hello.
fn find_folder(root: &Path, app: &Path) -> Result<PathBuf, Error> {
    let under_apps = root.join("apps").join(app);
    let given = if app.is_dir() || !under_apps.is_dir() {
        app.to_path_buf()
    } else {
        under_apps
    };
    if let Ok(folder) = given.canonicalize()
        && folder.is_dir()
    {
        return Ok(folder);
    }
    let mut apps: Vec<String> = std::fs::read_dir(root.join("apps"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .map(|entry| format!("apps/{}", entry.file_name().to_string_lossy()))
        .collect();
    apps.sort();
    let wanted = app.to_string_lossy();
    let wanted = if wanted.contains('/') {
        wanted.into_owned()
    } else {
        format!("apps/{wanted}")
    };
    let near = crate::command::nearest(&wanted, apps.iter().map(String::as_str)).map(String::from);
    Err(Error::NoFolder {
        given: app.into(),
        apps,
        near,
    })
}
