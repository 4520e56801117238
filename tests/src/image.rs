//! Images of cartridges, built once by the `cartridge` command.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The top of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the workspace")
}

/// The `cartridge` command, built if need be.
pub fn cartridge() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let _one_at_a_time = lock();
        run(Command::new("cargo")
            .args(["build", "--quiet", "-p", "image-builder"])
            .current_dir(workspace()));
        target().join("debug/cartridge")
    })
}

/// The image of the app in `folder` (from the top of the workspace, as `apps/hello`).
///
/// # Panics
/// When it cannot be built, with what the command said.
pub fn image(folder: &str) -> PathBuf {
    static IMAGES: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let command = cartridge();
    let mut images = IMAGES.lock().unwrap_or_else(PoisonError::into_inner);
    let images = images.get_or_insert_default();
    if let Some(image) = images.get(folder) {
        return image.clone();
    }
    let _one_at_a_time = lock();
    let output = run(Command::new(command)
        .args(["build", folder, "--json"])
        .current_dir(workspace()));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("build --json prints JSON");
    let path = report["image"].as_str().expect("build --json names the image");
    images.insert(folder.to_owned(), workspace().join(path));
    workspace().join(path)
}

/// Test programs run side by side; cargo and the image folder are for one at a time.
fn lock() -> File {
    let path = target().join("cartridge-tests.lock");
    let file = File::create(&path).unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()));
    file.lock()
        .unwrap_or_else(|error| panic!("cannot lock {}: {error}", path.display()));
    file
}

fn target() -> PathBuf {
    workspace().join("target")
}

fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
