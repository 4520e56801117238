//! Booting cartridges in tests.

use std::path::Path;
use std::time::Duration;

use qemu::measure::{Ready, first_200};
use qemu::{Guest, Launch};
use tempfile::NamedTempFile;

/// For a guest to become ready: some 0.1 s on an idle host, more when tests share it.
pub const READY_LIMIT: Duration = Duration::from_secs(30);
/// No test runs a guest for longer.
pub const GUEST_DEADLINE: Duration = Duration::from_secs(300);

/// A launch of the image with a free host port to the guest's port 8080.
pub fn launch(image: &Path) -> Launch {
    let mut launch = Launch::new(image).forward(0, 8080);
    launch.deadline = Some(GUEST_DEADLINE);
    launch
}

/// Starts the guest.
///
/// # Panics
/// With the launcher's full message when it does not start.
pub fn start(launch: &Launch) -> Guest {
    launch.start().unwrap_or_else(|error| panic!("{error}"))
}

/// Starts the guest and waits until its agent says Active.
pub fn start_ready(launch: &Launch) -> Guest {
    let guest = start(launch);
    Ready::agent()
        .wait(&guest, READY_LIMIT)
        .unwrap_or_else(|error| panic!("{error}"));
    guest
}

/// Waits for a console line with `text` in it, and gives the line.
pub fn wait_for(guest: &Guest, text: &str, limit: Duration) -> String {
    let line = guest.wait_for(&format!("console line with {text:?}"), limit, |line| {
        line.contains(text)
    });
    line.unwrap_or_else(|error| panic!("{error}")).text
}

/// Waits until `GET /` on the guest's port 8080 is answered.
pub fn serves(guest: &Guest) {
    first_200(guest, 8080, "/", READY_LIMIT).unwrap_or_else(|error| panic!("{error}"));
}

/// A payload file for [`Launch::payload`], removed when dropped. Its name has a comma, which QEMU's options are split at.
pub fn payload(text: &[u8]) -> NamedTempFile {
    let file = tempfile::Builder::new().prefix("a,payload-").tempfile();
    let file = file.expect("a temporary file");
    std::fs::write(file.path(), text).expect("the temporary file can be written");
    file
}
