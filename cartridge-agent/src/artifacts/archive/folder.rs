//! Where an archive is unpacked: a new folder that nobody else knows until it is complete.

use super::{Limits, Problem, name, problem};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Folders of that many names are looked past; the temporary directory may hold some of processes that are gone.
const ATTEMPTS: u32 = 1000;

/// A folder being filled; removed if it is dropped before it is complete.
pub struct Folder {
    root: PathBuf,
    limits: Limits,
    entries: u32,
    bytes: u64,
    skipped: u32,
    first_skipped: Option<String>,
    /// The folder that was made or seen last.
    parent: Option<String>,
    file: Option<File>,
    complete: bool,
}

/// What was made of an archive.
#[derive(Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// The new folder.
    pub folder: PathBuf,
    /// What is served: the folder, or the one that holds everything in it.
    pub root: PathBuf,
    /// Files and folders in it.
    pub entries: u32,
    /// Bytes of all files.
    pub bytes: u64,
    /// Links and devices that were left out.
    pub skipped: u32,
    /// The first of them.
    pub first_skipped: Option<String>,
}

impl Folder {
    /// A new folder in `place`, readable by its owner only where the system has owners.
    pub fn new(place: &Path, limits: Limits) -> Result<Self, Problem> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        // Told from those of other processes by the time; the guest has no process numbers, and may have no clock.
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos() as u64;
        for _ in 0..ATTEMPTS {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let root = place.join(format!("artifact-{time}-{number}"));
            match private().create(&root) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Problem::io(&error)),
                Ok(()) => {
                    return Ok(Folder {
                        root,
                        limits,
                        entries: 0,
                        bytes: 0,
                        skipped: 0,
                        first_skipped: None,
                        parent: None,
                        file: None,
                        complete: false,
                    });
                }
            }
        }
        Err(Problem::Failed(0))
    }

    /// What may be put into it.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Makes a folder, unless there is one.
    pub fn make_folder(&mut self, raw: &[u8]) -> Result<(), Problem> {
        let path = name::relative(raw)?;
        self.file = None;
        self.make_folders(&path)
    }

    /// Begins a file; one of the same name is replaced.
    pub fn begin_file(&mut self, raw: &[u8]) -> Result<(), Problem> {
        let path = name::relative(raw)?;
        if path.is_empty() || raw.ends_with(b"/") {
            return Err(Problem::name("is a folder's but stands for a file", raw));
        }
        self.file = None;
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.make_folders(parent)?;
        }
        self.count()?;
        let target = self.root.join(&path);
        let opened = OpenOptions::new().write(true).create(true).truncate(true).open(&target);
        match opened {
            Ok(file) => self.file = Some(file),
            Err(_) if target.is_dir() => return Err(Problem::Conflict(problem::shown(raw))),
            Err(error) => return Err(Problem::io(&error)),
        }
        Ok(())
    }

    /// More of the file that was begun last.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > self.limits.bytes {
            return Err(Problem::TooLarge(self.limits.bytes));
        }
        match &mut self.file {
            None => Ok(()),
            Some(file) => file.write_all(bytes).map_err(|error| Problem::io(&error)),
        }
    }

    /// The file is complete.
    pub fn end_file(&mut self) {
        self.file = None;
    }

    /// A file turned out to be none.
    pub fn take_back(&mut self, raw: &[u8]) -> Result<(), Problem> {
        let path = name::relative(raw)?;
        // It may be gone already: two entries of one name.
        let _ = fs::remove_file(self.root.join(path));
        self.skipped += 1;
        self.first_skipped.get_or_insert_with(|| problem::shown(raw));
        Ok(())
    }

    /// A link or a device, which is not made.
    pub fn skip(&mut self, raw: &[u8]) -> Result<(), Problem> {
        self.skipped += 1;
        self.first_skipped.get_or_insert_with(|| problem::shown(raw));
        self.count()
    }

    /// Everything is in it.
    pub fn finish(mut self) -> Result<Unpacked, Problem> {
        self.file = None;
        if self.entries == self.skipped {
            return Err(Problem::Empty);
        }
        let root = served(&self.root).map_err(|error| Problem::io(&error))?;
        self.complete = true;
        Ok(Unpacked {
            folder: std::mem::take(&mut self.root),
            root,
            entries: self.entries.saturating_sub(self.skipped),
            bytes: self.bytes,
            skipped: self.skipped,
            first_skipped: self.first_skipped.take(),
        })
    }

    fn make_folders(&mut self, path: &str) -> Result<(), Problem> {
        if path.is_empty() || self.parent.as_deref() == Some(path) {
            return Ok(());
        }
        for end in path.match_indices('/').map(|(at, _)| at).chain([path.len()]) {
            let target = self.root.join(&path[..end]);
            match fs::create_dir(&target) {
                Ok(()) => self.count()?,
                Err(_) if target.is_dir() => {}
                Err(_) if target.is_file() => return Err(Problem::Conflict(problem::shown(path.as_bytes()))),
                Err(error) => return Err(Problem::io(&error)),
            }
        }
        self.parent = Some(path.to_owned());
        Ok(())
    }

    fn count(&mut self) -> Result<(), Problem> {
        self.entries += 1;
        match self.entries > self.limits.entries {
            true => Err(Problem::TooManyEntries(self.limits.entries)),
            false => Ok(()),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.complete {
            self.file = None;
            remove(&self.root);
        }
    }
}

/// The folder itself; or, as forges pack a repository into one folder (`NAME-REF/`), the only folder in it.
fn served(root: &Path) -> std::io::Result<PathBuf> {
    let mut entries = fs::read_dir(root)?;
    match (entries.next().transpose()?, entries.next()) {
        (Some(only), None) if only.path().is_dir() => Ok(only.path()),
        _ => Ok(root.to_owned()),
    }
}

/// Removes a folder and all in it. (std has no such function for the guest.) What cannot be removed stays: its room is lost,
/// nothing else is.
pub fn remove(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => remove(&path),
            _ => {
                let _ = fs::remove_file(path);
            }
        }
    }
    let _ = fs::remove_dir(folder);
}

/// How the new folder is made.
fn private() -> DirBuilder {
    #[allow(unused_mut, reason = "the guest has no owners")]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}
