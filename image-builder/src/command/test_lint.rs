//! The suite `lint`: what holds of the source and of every image, whatever they do.

use super::test::Count;
use super::{Error, build, shell};
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
            println!("lint {name} ... skipped, the tool is not installed");
            continue;
        };
        println!(
            "lint {name} ... {}",
            if complaints.is_empty() { "ok" } else { "FAILED" }
        );
        for complaint in &complaints {
            println!("  {complaint}");
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

/// Whether a line of code (comments aside) opens unsafe code; an attribute that is unsafe to write counts, too.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let forms = [
        "unsafe {",
        "unsafe fn",
        "unsafe impl",
        "unsafe extern",
        "unsafe trait",
        "[unsafe(",
    ];
    // Words in a string are none of this; attributes may hold one.
    (code.contains("#[") || !code.contains('"')) && forms.iter().any(|form| code.contains(form))
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
    let home = std::env::home_dir().unwrap_or_default();
    let toolchain = "/lib/rustlib/".to_string();
    let roots = [
        workspace.root.to_string_lossy().into_owned(),
        format!("{}/", home.display()),
        toolchain,
    ];
    for app in apps(workspace)? {
        let image = build::build(&app, true)?.built.image;
        let bytes = fs::read(&image).map_err(Error::io("read", &image))?;
        let text = String::from_utf8_lossy(&bytes);
        let found = roots
            .iter()
            .filter(|root| root.len() > 1 && text.contains(root.as_str()));
        complaints.extend(found.map(|root| format!("{} contains {root}", workspace.relative(&image).display())));
    }
    Ok(Some(complaints))
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
        assert!(is_unsafe(concat!("#[", "unsafe(no_mangle)]"))); // in two parts: this file is checked, too
        assert!(!is_unsafe("// unsafe { } is explained below"));
        assert!(!is_unsafe("#![forbid(unsafe_code)]"));
    }
}
