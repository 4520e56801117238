//! Why a command failed, in words for its user.

use crate::advice;
use std::fmt;
use std::io;
use std::path::PathBuf;

#[derive(Debug)]
pub enum Error {
    /// The command line makes no sense; `hint` says what would.
    Usage {
        command: &'static str,
        what: String,
        hint: String,
    },
    Workspace(crate::workspace::Error),
    Package(crate::package::Error),
    Manifest(crate::manifest::Error),
    Toolchain(crate::toolchain::Error),
    Compile(crate::compile::Error),
    Elf(PathBuf, crate::elf::Error),
    Qemu(Box<qemu::Error>),
    Symbols(String),
    Exists(PathBuf),
    /// An app without an image; its folder as given.
    NotBuilt(PathBuf),
    /// A file that was to hold a topology, and what is wrong with it.
    Topology(PathBuf, String),
    /// A program that said why itself.
    Failed(&'static str),
    Io {
        doing: String,
        path: PathBuf,
        error: io::Error,
    },
}

impl Error {
    pub fn io(doing: impl Into<String>, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let (doing, path) = (doing.into(), path.into());
        move |error| Self::Io { doing, path, error }
    }

    /// 2 for a command line that makes no sense, 1 for everything else.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Usage { .. } => 2,
            _ => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage { command, what, hint } => {
                let space = if command.is_empty() { "" } else { ": " };
                write!(f, "{command}{space}{what}\n  {hint}")
            }
            Self::Workspace(error) => error.fmt(f),
            Self::Package(error) => error.fmt(f),
            Self::Manifest(error) => error.fmt(f),
            Self::Toolchain(error) => error.fmt(f),
            Self::Compile(error) => error.fmt(f),
            Self::Elf(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Qemu(error) => error.fmt(f),
            Self::Symbols(what) => write!(f, "the symbols cannot be read: {what}\n  next: build the app again"),
            Self::Exists(path) => write!(f, "{} exists already\n  next: choose another name", path.display()),
            Self::NotBuilt(app) => write!(
                f,
                "{app} has no image yet\n  next: ./cartridge build {app}",
                app = app.display()
            ),
            Self::Topology(path, why) => write!(
                f,
                "{}: this is no topology: {why}\n  next: docs/control-plane.md shows one, and mosquitto_sub -t topology/CompleteTopologyEvent prints one",
                path.display()
            ),
            Self::Failed(what) => write!(f, "`{what}` failed, as it says above\n  next: mend that and try again"),
            Self::Io { doing, path, error } => {
                write!(f, "cannot {doing} {}: {error}{}", path.display(), advice::next(error))
            }
        }
    }
}

impl From<qemu::Error> for Error {
    fn from(error: qemu::Error) -> Self {
        Self::Qemu(Box::new(error))
    }
}

macro_rules! from {
    ($($variant:ident($inner:ty)),* $(,)?) => {
        $(impl From<$inner> for Error {
            fn from(error: $inner) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

from!(
    Workspace(crate::workspace::Error),
    Package(crate::package::Error),
    Manifest(crate::manifest::Error),
    Toolchain(crate::toolchain::Error),
    Compile(crate::compile::Error),
);
