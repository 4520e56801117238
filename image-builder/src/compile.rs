//! From an app's package to its image: two cargo steps, a link with kernel-glue, and the ELF writer.
//!
//! 1. kernel-glue is compiled as a library for `x86_64-unknown-hermit`, std with it.
//! 2. The unchanged app is compiled for the same target; rustc gets kernel-glue by `--extern force:`, its linker script, and the app's
//!    files as a binary input. Link-time optimisation sees everything at once.
//!
//! What rustc links is kept as the twin, with symbols and line tables; the image is written from its loaded segments ([`crate::elf`]).
//! Cargo does not watch linker inputs: each is copied under a name with its digest, so that a change of content is a change of command.

use crate::elf::{self, read::Executable};
use crate::manifest::Manifest;
use crate::package::Package;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use xshell::{Cmd, Shell, cmd};

pub const TARGET: &str = "x86_64-unknown-hermit";

/// How guest code is optimised. `s` is the programs' and smoltcp's level (`z` makes smoltcp larger and a request a third dearer); one
/// codegen unit and fat link-time optimisation let unused kernel parts vanish; aborting panics need no unwind tables; line tables exist
/// only in the twin.
const PROFILE: [&str; 7] = [
    "profile.release.opt-level=\"s\"",
    "profile.release.lto=\"fat\"",
    "profile.release.codegen-units=1",
    "profile.release.panic=\"abort\"",
    "profile.release.debug=\"line-tables-only\"",
    "profile.release.strip=\"none\"",
    "profile.release.incremental=false",
];
/// Our own crates, smaller: measured on hello, `z` takes 17 KB off kernel-glue for a tenth more instructions a request. Where a panic of
/// theirs happened stands in the fault report, which the twin turns into function and line, so their images need no file names.
const SMALL: &str = "opt-level=\"z\"";
/// Comparisons instead of jump tables are 2.1 KB smaller, measured on hello, and no slower.
const NO_LOCATIONS: &str = "rustflags=[\"-Zlocation-detail=none\",\"-Cjump-tables=no\"]";
/// What makes the link small, all of it measured on hello: only calls of the smallest functions are replaced by their bodies (LLVM's own
/// threshold at level `s` is 50; below 10 it grows again), functions with the same contents become one, copies of more than 32 bytes are
/// calls, and nothing is kept in a register (or moved there out of a loop) only to save time: 3.7 KB for the last four, without a change
/// in the instructions a request takes. Not among them is LLVM's outliner: 2.2 KB smaller, but a third fewer requests under emulation.
const SMALL_LINK: [&str; 6] = [
    "-Cllvm-args=-inline-threshold=10",
    "-Clink-arg=--icf=all",
    "-Cllvm-args=-max-store-memcpy=2",
    "-Cllvm-args=-disable-machine-licm",
    "-Cllvm-args=-enable-misched=false",
    "-Cllvm-args=-split-spill-mode=size",
];
/// What the kernel's step sets for single packages.
const KERNEL_PACKAGES: [(&str, &str); 6] = [
    ("kernel-glue", SMALL),
    ("kernel-glue", NO_LOCATIONS),
    ("smoltcp", NO_LOCATIONS),
    ("linked_list_allocator", NO_LOCATIONS),
    ("rlsf", NO_LOCATIONS),
    ("rand_chacha", NO_LOCATIONS),
];
/// What both steps set for the packages of std, as they share one std; with [`AGENT_PACKAGES`], 10 KB off hello. (Where a panic inside
/// std happened says nothing about the program; a panic it blames on its caller still names the caller's line.)
const STD_PACKAGES: [(&str, &str); 6] = [
    ("core", SMALL),
    ("core", NO_LOCATIONS),
    ("alloc", SMALL),
    ("alloc", NO_LOCATIONS),
    ("std", SMALL),
    ("std", NO_LOCATIONS),
];
/// What the app's step sets for single packages.
const AGENT_PACKAGES: [(&str, &str); 6] = [
    ("serde-json-core", SMALL),
    ("serde-json-core", NO_LOCATIONS),
    ("cartridge-agent", SMALL),
    ("cartridge-agent", NO_LOCATIONS),
    ("cartridge-agent-core", SMALL),
    ("cartridge-agent-core", NO_LOCATIONS),
];
/// Settings of the caller that would change what is built.
const FOREIGN_VARIABLES: [&str; 8] = [
    "RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTUP_TOOLCHAIN",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CARGO_MAKEFLAGS",
];

/// A finished build.
#[derive(Clone, Debug)]
pub struct Built {
    /// NAME.elf, what boots; absolute.
    pub image: PathBuf,
    /// NAME.debug.elf, the same program with symbols and line tables; absolute.
    pub twin: PathBuf,
    pub bytes: u64,
    /// Lower-case hexadecimal SHA-256 of the image.
    pub sha256: String,
}

#[derive(Debug)]
pub enum Error {
    Cargo(&'static str),
    Io(&'static str, PathBuf, io::Error),
    Files(crate::blob::Error),
    Elf(PathBuf, elf::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Cargo(what) => write!(
                f,
                "{what} does not compile for {TARGET}; cargo says why above\n  next: mend that and build again"
            ),
            Error::Io(doing, path, error) => write!(
                f,
                "cannot {doing} {}: {error}{}",
                path.display(),
                crate::advice::next(error)
            ),
            Error::Files(error) => error.fmt(f),
            Error::Elf(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

/// Adds what was being done, and to which file.
fn io_error<'p>(doing: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> Error + 'p {
    move |error| Error::Io(doing, path.into(), error)
}

/// One build: all that its steps share.
pub struct Compiler<'a> {
    pub shell: &'a Shell,
    pub workspace: &'a Workspace,
    pub toolchain: &'a Toolchain,
    /// Fail rather than let cargo change a Cargo.lock.
    pub locked: bool,
}

impl Compiler<'_> {
    pub fn build(&self, package: &Package, manifest: &Manifest) -> Result<Built, Error> {
        let folder = self.workspace.image_folder(&manifest.name);
        fs::create_dir_all(&folder).map_err(io_error("make", &folder))?;
        let _lock = lock(&folder.join("lock"))?;
        let library = self.kernel_library()?;
        let inputs = self.inputs(&folder.join("link"), &library, package, manifest)?;
        let program = self.program(package, &inputs)?;
        self.finish(&folder, &manifest.name, &program)
    }

    /// Compiles kernel-glue; gives its library.
    fn kernel_library(&self) -> Result<PathBuf, Error> {
        let manifest = self.workspace.root.join("Cargo.toml");
        let build = self
            .cargo("build", &manifest, &KERNEL_PACKAGES)
            .args(["--package", "kernel-glue"]);
        build.run().map_err(|_| Error::Cargo("kernel-glue"))?;
        Ok(self.release_folder().join("libkernel_glue.rlib"))
    }

    /// Compiles kernel-glue; gives the compiler's warnings about it, those of earlier compilations included.
    pub fn kernel_warnings(&self) -> Result<Vec<String>, Error> {
        let manifest = self.workspace.root.join("Cargo.toml");
        let build = self.cargo("build", &manifest, &KERNEL_PACKAGES).args([
            "--package",
            "kernel-glue",
            "--message-format=json",
        ]);
        let messages = build.read().map_err(|_| Error::Cargo("kernel-glue"))?;
        let messages = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let warnings = messages.filter(|message| message["message"]["level"] == "warning");
        Ok(warnings
            .filter_map(|message| Some(message["message"]["rendered"].as_str()?.into()))
            .collect())
    }

    /// Compiles the app and links it; gives the linked program.
    fn program(&self, package: &Package, inputs: &Inputs) -> Result<PathBuf, Error> {
        let Inputs { library, script, files } = inputs;
        let manifest = package.folder.join("Cargo.toml");
        let binary = &package.binary;
        let deps = self.release_folder().join("deps");
        let link_args =
            ["--gc-sections", "-znostart-stop-gc", "--build-id=none"].map(|arg| format!("-Clink-arg={arg}"));
        self.cargo("rustc", &manifest, &AGENT_PACKAGES)
            .args(["--bin", binary, "--", "-Zunstable-options", "--extern"])
            .arg(prefixed("force:kernel_glue=", library))
            .arg("-L")
            .arg(prefixed("dependency=", &deps))
            .arg(prefixed("-Clink-arg=-T", script))
            .args(link_args)
            .args(SMALL_LINK)
            .arg("-Clink-arg=--format=binary")
            .arg(prefixed("-Clink-arg=", files))
            .arg("-Clink-arg=--format=default")
            .arg(format!("--remap-path-prefix={}=app", package.workspace.display()))
            .run()
            .map_err(|_| Error::Cargo("the app"))?;
        Ok(self.release_folder().join(binary))
    }

    /// Keeps the twin, writes the image.
    fn finish(&self, folder: &Path, name: &str, program: &Path) -> Result<Built, Error> {
        let twin = folder.join(format!("{name}.debug.elf"));
        let image = folder.join(format!("{name}.elf"));
        let linked = fs::read(program).map_err(io_error("read", program))?;
        let executable = Executable::parse(&linked).map_err(|error| Error::Elf(program.into(), error))?;
        let bytes = elf::write::image(&executable).map_err(|error| Error::Elf(program.into(), error))?;
        replace(&twin, &linked)?;
        replace(&image, &bytes)?;
        Ok(Built {
            image,
            twin,
            bytes: bytes.len() as u64,
            sha256: hex(&Sha256::digest(&bytes)),
        })
    }

    /// Copies what goes into the link under names with digests, and removes those of earlier builds.
    fn inputs(&self, folder: &Path, library: &Path, package: &Package, manifest: &Manifest) -> Result<Inputs, Error> {
        fs::create_dir_all(folder).map_err(io_error("make", folder))?;
        let script = self.workspace.root.join("kernel-glue/link.ld");
        let library_bytes = fs::read(library).map_err(io_error("read", library))?;
        let script_bytes = fs::read(&script).map_err(io_error("read", &script))?;
        let files = manifest
            .files(&package.folder)
            .and_then(|files| files.encode())
            .map_err(Error::Files)?;
        let inputs = Inputs {
            library: input(folder, "libkernel_glue", "rlib", &library_bytes)?,
            script: input(folder, "link", "ld", &script_bytes)?,
            files: input(folder, "cartridge-files", "bin", &files)?,
        };
        for entry in fs::read_dir(folder).map_err(io_error("list", folder))?.flatten() {
            if ![&inputs.library, &inputs.script, &inputs.files].contains(&&entry.path()) {
                // A file left over only takes room.
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(inputs)
    }

    /// `cargo VERB` with everything the two steps must have in common: the same std is built once for both.
    fn cargo(&self, verb: &str, manifest: &Path, packages: &[(&str, &str)]) -> Cmd<'_> {
        let Toolchain { cargo, rustc, .. } = self.toolchain;
        let target_folder = self.workspace.build_folder();
        let mut command = cmd!(
            self.shell,
            "{cargo} {verb} --manifest-path {manifest} --release --target {TARGET}"
        )
        .arg("--target-dir")
        .arg(target_folder)
        .args([
            "-Zbuild-std=std,panic_abort",
            "-Zbuild-std-features=compiler-builtins-mem,optimize_for_size",
            "-Zprofile-rustflags",
        ])
        .args(PROFILE.iter().flat_map(|setting| ["--config", setting]))
        .quiet();
        for (package, setting) in STD_PACKAGES.iter().chain(packages) {
            command = command.args(["--config", &format!("profile.release.package.{package}.{setting}")]);
        }
        if self.locked {
            command = command.arg("--locked");
        }
        for name in FOREIGN_VARIABLES {
            command = command.env_remove(name);
        }
        if let Some(linker) = &self.toolchain.linker {
            command = command.env("CARGO_TARGET_X86_64_UNKNOWN_HERMIT_LINKER", linker);
        }
        command
            .env("RUSTC", rustc)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_ENCODED_RUSTFLAGS", self.rust_flags().join("\x1f"))
    }

    /// Flags of every guest crate: fixed addresses, no unwind tables, and no path of this machine in what is built.
    fn rust_flags(&self) -> Vec<String> {
        let mut flags: Vec<String> = ["-Crelocation-model=static", "-Cforce-unwind-tables=no"]
            .map(String::from)
            .into();
        let registry = cargo_home().join("registry/src");
        let mut remaps = vec![
            (registry.clone(), "crates"),
            (cargo_home().join("git/checkouts"), "crates"),
        ];
        // The folder of each registry has a name of its own; later flags win.
        let mut registries: Vec<PathBuf> = fs::read_dir(&registry)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        registries.sort();
        remaps.extend(registries.into_iter().map(|folder| (folder, "crates")));
        remaps.push((self.workspace.root.clone(), "cartridge"));
        let library = &self.toolchain.library;
        remaps.extend(
            [library.canonicalize().ok(), Some(library.clone())]
                .into_iter()
                .flatten()
                .map(|path| (path, "library")),
        );
        flags.extend(
            remaps
                .iter()
                .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())),
        );
        flags
    }

    fn release_folder(&self) -> PathBuf {
        self.workspace.build_folder().join(TARGET).join("release")
    }
}

/// What the link of an app takes in, each under a name with its digest.
struct Inputs {
    library: PathBuf,
    script: PathBuf,
    files: PathBuf,
}

/// Where cargo keeps crates.
pub fn cargo_home() -> PathBuf {
    let home = || std::env::home_dir().unwrap_or_default().join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

fn input(folder: &Path, stem: &str, extension: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
    let digest = hex(&Sha256::digest(bytes));
    let path = folder.join(format!("{stem}-{}.{extension}", &digest[..12]));
    if !path.is_file() {
        replace(&path, bytes)?;
    }
    Ok(path)
}

/// Writes a file so that nobody ever sees half of it.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    fs::write(&new, bytes).map_err(io_error("write", &new))?;
    fs::rename(&new, path).map_err(io_error("write", path))
}

/// Held while an app is built: another `cartridge build` of it waits instead of mixing its files with ours.
fn lock(path: &Path) -> Result<File, Error> {
    let file = File::create(path).map_err(io_error("make", path))?;
    file.lock().map_err(io_error("lock", path))?;
    Ok(file)
}

fn prefixed(prefix: &str, path: &Path) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from(prefix);
    text.push(path);
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
