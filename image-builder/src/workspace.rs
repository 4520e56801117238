//! Where this checkout is: its kernel-glue is compiled into every image, and its target/ receives them.

use std::fmt;
use std::path::{Path, PathBuf};

/// Names the checkout for a `cartridge` binary that was moved out of it; `./cartridge` sets it.
pub const HOME_VARIABLE: &str = "CARTRIDGE_HOME";

/// The checkout that holds kernel-glue/ and apps/.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Absolute, without symbolic links.
    pub root: PathBuf,
}

#[derive(Debug)]
pub enum Error {
    NotFound,
    NotACheckout(PathBuf),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotFound => write!(
                f,
                "cannot find the cartridge checkout from here\n  next: start ./cartridge at its top, or set {HOME_VARIABLE} to its folder"
            ),
            Error::NotACheckout(path) => write!(
                f,
                "{HOME_VARIABLE} is {}, which has no kernel-glue/Cargo.toml and image-builder/\n  next: set it to the folder that holds ./cartridge",
                path.display()
            ),
        }
    }
}

impl Workspace {
    /// Finds the checkout: [`HOME_VARIABLE`], or else the folders above this binary.
    pub fn find() -> Result<Self, Error> {
        if let Some(home) = std::env::var_os(HOME_VARIABLE) {
            return Self::at(Path::new(&home)).ok_or(Error::NotACheckout(home.into()));
        }
        let binary = std::env::current_exe().map_err(|_| Error::NotFound)?;
        binary.ancestors().find_map(Self::at).ok_or(Error::NotFound)
    }

    fn at(path: &Path) -> Option<Self> {
        let root = path.canonicalize().ok()?;
        (root.join("kernel-glue/Cargo.toml").is_file() && root.join("image-builder").is_dir()).then_some(Self { root })
    }

    /// Where guest code is compiled; one folder for all apps, so std is built once.
    pub fn build_folder(&self) -> PathBuf {
        self.root.join("target/cartridge/build")
    }

    /// Where the image of the app `name` and what belongs to it are kept.
    pub fn image_folder(&self, name: &str) -> PathBuf {
        self.root.join("target/cartridge").join(name)
    }

    /// `path` as seen from the top of the checkout, or unchanged when it is elsewhere.
    pub fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}
