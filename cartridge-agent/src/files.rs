//! The folder of files through which the agent meets its platform.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;

/// The folder named by `CARTRIDGE_DIR`; without that variable, no file exists.
pub struct Files(Option<PathBuf>);

impl Files {
    pub fn from_environment() -> Self {
        Files(std::env::var_os("CARTRIDGE_DIR").map(PathBuf::from))
    }

    /// True if there is a file `name`.
    pub fn exists(&self, name: &str) -> bool {
        self.0.as_ref().is_some_and(|folder| folder.join(name).exists())
    }

    /// Opens `name` for reading; `None` when there is no such file.
    pub fn open(&self, name: &str) -> Option<io::Result<File>> {
        existing(File::open(self.0.as_ref()?.join(name)))
    }

    /// Opens `name` for writing as it is, creating and truncating nothing; `None` when there is no such file.
    pub fn open_to_write(&self, name: &str) -> Option<io::Result<File>> {
        existing(OpenOptions::new().write(true).open(self.0.as_ref()?.join(name)))
    }

    /// The content of `name`, but no more than one byte past `limit`, so that the caller sees a file that is too large.
    pub fn read(&self, name: &str, limit: usize) -> Option<io::Result<Vec<u8>>> {
        Some(self.open(name)?.and_then(|file| {
            let mut content = Vec::new();
            file.take(limit as u64 + 1).read_to_end(&mut content)?;
            Ok(content)
        }))
    }

    /// Writes `text` to `name` in one piece; `None` when there is no such file.
    pub fn write(&self, name: &str, text: &str) -> Option<io::Result<()>> {
        Some(
            self.open_to_write(name)?
                .and_then(|mut file| file.write_all(text.as_bytes())),
        )
    }

    /// Puts the calling thread above the app's threads, where the platform can.
    pub fn raise_priority(&self) {
        // A platform that has no such file has no such notion; the agent then shares the processor like any thread.
        let _ = self.write("priority", "high\n");
    }
}

fn existing(opened: io::Result<File>) -> Option<io::Result<File>> {
    match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        opened => Some(opened),
    }
}
