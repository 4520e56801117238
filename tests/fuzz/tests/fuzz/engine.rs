//! Building the fuzzer: all targets in one program, with the coverage that libFuzzer wants.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// LLVM's coverage for libFuzzer: a counter for each edge, and what is compared with what (SanitizerCoverage). No sanitizer is needed
/// with it, as all code is safe code; so stable Rust will do.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// The top of the workspace.
pub fn top() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

/// The folder for everything of the fuzzer's, which is not in version control.
pub fn folder() -> PathBuf {
    top().join("target/fuzz")
}

/// Builds the program and gives its path. Errors are in words.
pub fn build() -> Result<PathBuf, String> {
    let host = host()?;
    let status = Command::new(cargo())
        .current_dir(top())
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "cartridge-fuzz",
            "--bin",
            "fuzz",
        ])
        .args(["--features", "engine", "--profile", "fuzz"])
        // With a target named, programs of the build itself (build.rs) are compiled without coverage.
        .args(["--target", &host, "--target-dir"])
        .arg(folder())
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\x1f"))
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if !status.success() {
        return Err("the fuzzer does not compile; next: see above (it takes a C++ compiler: Debian's g++)".into());
    }
    Ok(folder().join(host).join("fuzz/fuzz"))
}

fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or("cargo".into(), PathBuf::from)
}

/// This machine, as Rust calls it.
fn host() -> Result<String, String> {
    let output = Command::new(cargo())
        .arg("-vV")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(String::from)
        .ok_or("cargo does not say what machine this is".into())
}
