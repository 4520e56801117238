//! The Rust toolchain that compiles guest code: it needs the sources of std (rust-src) and LLVM's linker.
//!
//! std for `x86_64-unknown-hermit` is not shipped prebuilt, so cargo builds it (`-Zbuild-std`). Two places are looked at: the toolchain
//! that `rustc` on the PATH belongs to (rustup, with the component rust-src), and Debian's own (rustc-web, cargo-web, rust-web-src).

use std::fmt;
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};

/// The oldest compiler the workspace is tested with; the same as `rust-version` in Cargo.toml.
const OLDEST: (u32, u32) = (1, 91);
/// Where Debian's rustc has its sysroot.
const DEBIAN_SYSROOT: &str = "/usr";

/// A complete toolchain for guest code.
#[derive(Clone, Debug)]
pub struct Toolchain {
    pub cargo: PathBuf,
    pub rustc: PathBuf,
    /// `rustc --version`, for example `rustc 1.96.0 (ac68faa20 2026-05-25)`.
    pub version: String,
    /// The folder that holds std/, core/, alloc/ ..., as rustc names it (on Debian it is a symbolic link).
    pub library: PathBuf,
    /// The linker, or `None` when rustc finds its own rust-lld.
    pub linker: Option<PathBuf>,
}

#[derive(Debug)]
pub enum Error {
    /// What was looked at and what each lacks.
    Incomplete(Vec<String>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Error::Incomplete(found) = self;
        writeln!(f, "no Rust toolchain here can build a guest:")?;
        for line in found {
            writeln!(f, "  {line}")?;
        }
        write!(
            f,
            "  next: `rustup component add rust-src`, or on Debian `apt-get install rustc-web cargo-web rust-web-src lld`"
        )
    }
}

impl Toolchain {
    /// The first complete toolchain.
    pub fn find(shell: &Shell) -> Result<Self, Error> {
        let mut lacking = Vec::new();
        let mut candidates = Vec::new();
        if let Ok(sysroot) = cmd!(shell, "rustc --print sysroot").quiet().ignore_stderr().read() {
            candidates.push(PathBuf::from(sysroot));
        }
        if !candidates.iter().any(|sysroot| sysroot == Path::new(DEBIAN_SYSROOT)) {
            candidates.push(DEBIAN_SYSROOT.into());
        }
        for sysroot in candidates {
            match Self::at(shell, &sysroot) {
                Ok(toolchain) => return Ok(toolchain),
                Err(why) => lacking.push(format!("{}: {why}", sysroot.display())),
            }
        }
        Err(Error::Incomplete(lacking))
    }

    fn at(shell: &Shell, sysroot: &Path) -> Result<Self, String> {
        let rustc = sysroot.join("bin/rustc");
        let cargo = sysroot.join("bin/cargo");
        if !rustc.is_file() || !cargo.is_file() {
            return Err("no rustc and cargo".into());
        }
        let library = sysroot.join("lib/rustlib/src/rust/library");
        if !library.join("std/src/lib.rs").is_file() {
            return Err("the sources of std (rust-src) are missing".into());
        }
        let version = cmd!(shell, "{rustc} --version")
            .quiet()
            .read()
            .map_err(|error| error.to_string())?;
        match release(&version) {
            Some(found) if found >= OLDEST => {}
            _ => return Err(format!("{version} is older than {}.{}", OLDEST.0, OLDEST.1)),
        }
        let linker = linker(sysroot)?;
        Ok(Self {
            cargo,
            rustc,
            version,
            library,
            linker,
        })
    }
}

/// `None`: rustc has rust-lld beside its libraries and uses it for this target by itself.
fn linker(sysroot: &Path) -> Result<Option<PathBuf>, String> {
    let own = std::fs::read_dir(sysroot.join("lib/rustlib"))
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.path().join("bin/rust-lld").is_file());
    if own {
        return Ok(None);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("ld.lld"))
        .find(|file| file.is_file());
    found
        .map(Some)
        .ok_or_else(|| "no linker: neither rust-lld nor ld.lld (package lld)".into())
}

/// The release of `rustc 1.96.0 (...)`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split_whitespace().nth(1)?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::release;

    #[test]
    fn release_is_read_from_every_form_of_rustc_version() {
        assert_eq!(
            release("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"),
            Some((1, 96))
        );
        assert_eq!(release("rustc 1.97.0-nightly (abc 2026-06-01)"), Some((1, 97)));
        assert_eq!(release("nonsense"), None);
    }
}
