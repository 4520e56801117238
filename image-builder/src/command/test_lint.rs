//! The suite `lint`: what holds of the source and of every image, whatever they do.

use super::screen::print;
use super::test::Count;
use super::{Error, build, shell};
use crate::compile::cargo_home;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;
use std::fs;
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};

pub const ABOUT: &str =
    "Formatting, clippy, unsafe only in kernel-glue and explained, no path of this machine in an image.";

/// The only crate that may hold unsafe code.
const UNSAFE_FOLDER: &str = "kernel-glue";
/// Says why a block of unsafe code is sound.
const REASON: &str = "SAFETY";
/// How many lines above an `unsafe` block its reason may start.
const REACH: usize = 14;
/// Longer files are about more than one thing.
const LONGEST_FILE: usize = 500;

/// A shorter path (`/`, the home of some containers) says nothing.
const SHORTEST_PLACE: usize = 4;

/// Gives what is wrong; `None` where the tool for it is not installed.
type Check = fn(&Shell, &Workspace) -> Result<Option<Vec<String>>, Error>;

pub fn run(workspace: &Workspace, count: &mut Count) -> Result<(), Error> {
    let shell = shell()?;
    shell.change_dir(&workspace.root);
    let checks: [(&str, Check); 6] = [
        ("formatted as `cargo fmt` does", formatted),
        ("clippy has nothing to say", clippy),
        ("the kernel compiles without a warning", kernel_warnings),
        ("unsafe only in kernel-glue, each block with its reason", unsafe_code),
        ("files are short", short_files),
        ("no path of this machine in an image", host_paths),
    ];
    for (name, check) in checks {
        let Some(complaints) = check(&shell, workspace)? else {
            print(&format!("lint {name} ... skipped, the tool is not installed"));
            count.skipped += 1;
            continue;
        };
        print(&format!(
            "lint {name} ... {}",
            if complaints.is_empty() { "ok" } else { "FAILED" }
        ));
        for complaint in &complaints {
            print(&format!("  {complaint}"));
        }
        match complaints.is_empty() {
            true => count.passed += 1,
            false => count.failed += 1,
        }
    }
    Ok(())
}

fn formatted(shell: &Shell, _: &Workspace) -> Result<Option<Vec<String>>, Error> {
    cargo(shell, "fmt", &["--all", "--check", "--", "--files-with-diff"])
}

fn clippy(shell: &Shell, _: &Workspace) -> Result<Option<Vec<String>>, Error> {
    cargo(
        shell,
        "clippy",
        &[
            "--quiet",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
    )
}

/// What kernel-glue has for the machine exists only on the guest's target, whose compiler may come without clippy.
fn kernel_warnings(_: &Shell, workspace: &Workspace) -> Result<Option<Vec<String>>, Error> {
    build::kernel_warnings(workspace).map(Some)
}

/// What a subcommand of cargo that must succeed said when it did not.
fn cargo(shell: &Shell, verb: &str, words: &[&str]) -> Result<Option<Vec<String>>, Error> {
    let there = cmd!(shell, "cargo {verb} --version").quiet().ignore_status().output();
    if !there.is_ok_and(|output| output.status.success()) {
        return Ok(None);
    }
    let command = cmd!(shell, "cargo {verb} {words...}").quiet().ignore_status();
    let output = command.output().map_err(|_| Error::Failed("cargo"))?;
    if output.status.success() {
        return Ok(Some(Vec::new()));
    }
    let text = [output.stdout, output.stderr].concat();
    let lines: Vec<String> = String::from_utf8_lossy(&text).lines().map(String::from).collect();
    Ok(Some(if lines.is_empty() {
        vec![format!("cargo {verb} failed")]
    } else {
        lines
    }))
}

fn unsafe_code(shell: &Shell, workspace: &Workspace) -> Result<Option<Vec<String>>, Error> {
    let mut complaints = Vec::new();
    for file in sources(shell)? {
        let text = read(workspace, &file)?;
        let kernel = file.starts_with(UNSAFE_FOLDER);
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| is_unsafe(line)) {
            let explained = lines[index.saturating_sub(REACH)..=index]
                .iter()
                .any(|line| line.contains(REASON));
            if !kernel || (!explained && line.contains("unsafe {")) {
                let what = if kernel {
                    "an unsafe block without `// SAFETY:`"
                } else {
                    "unsafe outside kernel-glue"
                };
                complaints.push(format!("{}:{}: {what}", file.display(), index + 1));
            }
        }
    }
    Ok(Some(complaints))
}

/// Whether a line of code opens unsafe code; an attribute that is unsafe to write counts, too.
fn is_unsafe(line: &str) -> bool {
    let code = code(line);
    let forms = [
        "unsafe {",
        "unsafe fn",
        "unsafe impl",
        "unsafe extern",
        "unsafe trait",
        "[unsafe(",
    ];
    forms.iter().any(|form| code.contains(form))
}

/// A line without what its strings hold and without its comment. (Strings over several lines are not looked for: a line of one
/// counts as code.)
fn code(line: &str) -> String {
    let (mut code, mut rest) = (String::new(), line.chars().peekable());
    while let Some(letter) = rest.next() {
        match letter {
            '/' if rest.peek() == Some(&'/') => break,
            // A character: its quote must not start a string.
            '\'' if rest.clone().nth(1) == Some('\'') => _ = rest.nth(1),
            '\'' if rest.peek() == Some(&'\\') => _ = rest.nth(2),
            '"' => {
                while let Some(inner) = rest.next()
                    && inner != '"'
                {
                    // An escaped character ends nothing.
                    _ = (inner == '\\').then(|| rest.next());
                }
            }
            _ => code.push(letter),
        }
    }
    code
}

fn short_files(shell: &Shell, workspace: &Workspace) -> Result<Option<Vec<String>>, Error> {
    let mut complaints = Vec::new();
    for file in sources(shell)? {
        let lines = read(workspace, &file)?.lines().count();
        if lines > LONGEST_FILE {
            complaints.push(format!("{}: {lines} lines, more than {LONGEST_FILE}", file.display()));
        }
    }
    Ok(Some(complaints))
}

/// Builds every app and looks for paths of this machine in its image.
fn host_paths(_: &Shell, workspace: &Workspace) -> Result<Option<Vec<String>>, Error> {
    let mut complaints = Vec::new();
    let roots = places(workspace)?;
    for app in apps(workspace)? {
        let image = build::build(&app, true)?.built.image;
        let bytes = fs::read(&image).map_err(Error::io("read", &image))?;
        let text = String::from_utf8_lossy(&bytes);
        let found = roots.iter().filter(|root| text.contains(root.as_str()));
        complaints.extend(found.map(|root| format!("{} contains {root}", workspace.relative(&image).display())));
    }
    Ok(Some(complaints))
}

/// Where sources and tools lie on this machine, and where they use to lie on others.
fn places(workspace: &Workspace) -> Result<Vec<String>, Error> {
    let library = Toolchain::find(&shell()?)?.library;
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let folders = [
        Some(workspace.root.clone()),
        std::env::home_dir(),
        Some(cargo_home()),
        variable("RUSTUP_HOME"),
        library.canonicalize().ok(),
        Some(library),
    ];
    let mut places: Vec<String> = [
        "/lib/rustlib/",
        "/usr/src/rustc",
        "/cargo/registry/",
        "/.cargo/",
        "/rustup/toolchains/",
    ]
    .map(String::from)
    .into();
    // With the slash: a folder's name alone may well be a word of the program.
    places.extend(
        folders
            .into_iter()
            .flatten()
            .map(|folder| format!("{}/", folder.display())),
    );
    places.retain(|place| place.len() >= SHORTEST_PLACE);
    places.sort();
    places.dedup();
    Ok(places)
}

fn apps(workspace: &Workspace) -> Result<Vec<PathBuf>, Error> {
    let folder = workspace.root.join("apps");
    let entries = fs::read_dir(&folder).map_err(Error::io("list", &folder))?;
    let mut apps: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    apps.retain(|app| app.join("Cargo.toml").is_file());
    apps.sort();
    Ok(apps)
}

/// The Rust files of this checkout, from its top.
fn sources(shell: &Shell) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    let mut folders = vec![shell.current_dir()];
    let root = shell.current_dir();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(Error::io("list", &folder))?.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.extend(path.strip_prefix(&root).map(Path::to_path_buf));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn read(workspace: &Workspace, file: &Path) -> Result<String, Error> {
    fs::read_to_string(workspace.root.join(file)).map_err(Error::io("read", file))
}

#[cfg(test)]
mod tests {
    use super::is_unsafe;

    #[test]
    fn unsafe_code_is_told_from_words_about_it() {
        assert!(is_unsafe("    let x = unsafe { *p };"));
        assert!(is_unsafe("#[unsafe(no_mangle)]"));
        assert!(is_unsafe("unsafe { asm!(\"out dx, al\", in(\"dx\") port) }"));
        assert!(is_unsafe("match c { '\"' => unsafe { f(\"x\") }, '\\'' => a }"));
        assert!(is_unsafe("print(\"a \\\" b\"); unsafe { f() }"));
        assert!(!is_unsafe("let text = \"unsafe { \\\" unsafe fn\";"));
        assert!(!is_unsafe("f(\"//\"); // unsafe { }"));
        assert!(!is_unsafe("// unsafe { } is explained below"));
        assert!(!is_unsafe("#![forbid(unsafe_code)]"));
    }
}
