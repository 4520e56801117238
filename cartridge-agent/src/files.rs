//! The folder of files through which the agent meets its platform.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// The folder named by `CARTRIDGE_DIR`; without that variable, no file exists.
pub struct Files(Option<OsString>);

impl Files {
    pub fn from_environment() -> Self {
        Files(std::env::var_os("CARTRIDGE_DIR"))
    }

    /// No folder.
    #[cfg(all(test, feature = "metadata"))]
    pub fn none() -> Self {
        Files(None)
    }

    /// True if there is a folder.
    pub fn exist(&self) -> bool {
        self.0.is_some()
    }

    /// Opens `name` for reading; `None` when there is no such file.
    pub fn open(&self, name: &str) -> Option<io::Result<File>> {
        self.open_with(name, OpenOptions::new().read(true))
    }

    /// Opens `name` for writing as it is, creating and truncating nothing; `None` when there is no such file.
    pub fn open_to_write(&self, name: &str) -> Option<io::Result<File>> {
        self.open_with(name, OpenOptions::new().write(true))
    }

    #[inline(never)]
    fn open_with(&self, name: &str, options: &OpenOptions) -> Option<io::Result<File>> {
        match options.open(self.path(name)?) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            opened => Some(opened),
        }
    }

    #[inline(never)]
    fn path(&self, name: &str) -> Option<PathBuf> {
        let mut path = self.0.clone()?;
        path.push("/");
        path.push(name);
        Some(path.into())
    }

    /// The content of `name`, but no more than one byte past `limit`, so that the caller sees a file that is too large.
    pub fn read(&self, name: &str, limit: usize) -> Option<io::Result<Vec<u8>>> {
        let file = self.open(name)?;
        Some(file.and_then(|mut file| read_at_most(&mut file, limit + 1)))
    }

    /// The last `limit` bytes of `name`, or all of them.
    pub fn read_end(&self, name: &str, limit: u32) -> Option<io::Result<Vec<u8>>> {
        let file = self.open(name)?;
        Some(file.and_then(|mut file| {
            // Fails for a shorter file, which is then read from its start.
            let _ = file.seek(SeekFrom::End(-i64::from(limit)));
            read_at_most(&mut file, limit as usize)
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

#[inline(never)]
fn read_at_most(file: &mut File, limit: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut room = [0; 2048];
    while content.len() < limit {
        match file.read(&mut room) {
            Ok(0) => break,
            Ok(count) => content.extend_from_slice(&room[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    content.truncate(limit);
    Ok(content)
}
