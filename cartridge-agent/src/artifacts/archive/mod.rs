//! Archives unpacked as they arrive: bytes in, files out, in bounded memory.
//!
//! tar, tar.gz and zip are told by their content. Nothing in an archive is trusted: every name is checked ([`name`]), only files and
//! folders are made, and everything has a limit ([`Limits`]). The readers are our own because an archive from outside must not be
//! able to cost memory: the crate `tar` reads long names and extended headers of any length into memory, and `zip` reads a
//! stream only without data descriptors and cannot tell its links. Inflating is flate2's, in safe code (miniz_oxide).

pub mod folder;
mod gzip;
mod inflate;
mod name;
mod pax;
mod problem;
mod tar;
mod zip;
mod zip_record;

pub use folder::{Folder, Unpacked};
pub use problem::Problem;

use gzip::Gzip;
use tar::Tar;
use zip::Zip;

/// As many bytes as it takes to tell every format: tar's magic ends at 262, its check sum needs the whole block.
const MAGIC: usize = 512;

/// What an archive may be at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all its files together, unpacked.
    pub bytes: u64,
    /// Files and folders.
    pub entries: u32,
}

impl Limits {
    /// Bytes that a tar may have: its files, and for each entry its headers and padding. What is thrown away counts too, so
    /// that it cannot go on for ever.
    fn of_a_tar(&self) -> u64 {
        self.bytes.saturating_add(u64::from(self.entries) * 4096)
    }
}

/// An archive on its way into a folder.
pub struct Unpacker {
    format: Format,
    folder: Folder,
}

enum Format {
    /// Its first bytes, until there are enough to tell.
    Unknown(Vec<u8>),
    Tar(Box<Tar>),
    Gzip(Box<Gzip>),
    Zip(Box<Zip>),
}

impl Unpacker {
    /// Unpacks into `folder`.
    pub fn new(folder: Folder) -> Self {
        Unpacker {
            format: Format::Unknown(Vec::new()),
            folder,
        }
    }

    /// Takes the next bytes of the archive.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let Format::Unknown(first) = &mut self.format else {
            return self.read(bytes);
        };
        let (now, later) = bytes.split_at(bytes.len().min(MAGIC - first.len()));
        first.extend_from_slice(now);
        if first.len() < MAGIC {
            return Ok(());
        }
        self.begin()?;
        self.read(later)
    }

    /// The archive is complete: gives what was made of it.
    pub fn finish(mut self) -> Result<Unpacked, Problem> {
        if matches!(self.format, Format::Unknown(_)) {
            self.begin()?;
        }
        match &mut self.format {
            Format::Unknown(_) => Err(Problem::Truncated),
            Format::Tar(tar) => tar.finish(),
            Format::Gzip(gzip) => gzip.finish(),
            Format::Zip(zip) => zip.finish(),
        }?;
        self.folder.finish()
    }

    /// Tells the format by the first bytes.
    fn begin(&mut self) -> Result<(), Problem> {
        let Format::Unknown(first) = &mut self.format else {
            return Ok(());
        };
        let first = std::mem::take(first);
        let limits = self.folder.limits();
        self.format = match &first[..] {
            [0x1f, 0x8b, ..] => Format::Gzip(Box::new(Gzip::new(limits))),
            // A local header, or the end record of an empty archive (APPNOTE 4.3.7, 4.3.16).
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Format::Zip(Box::default()),
            block if tar::is_header(block) => Format::Tar(Box::new(Tar::new(limits))),
            other => return Err(Problem::NotAnArchive(what_it_is(other))),
        };
        self.read(&first)
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        match &mut self.format {
            Format::Unknown(_) => Ok(()),
            Format::Tar(tar) => tar.take(bytes, &mut self.folder),
            Format::Gzip(gzip) => gzip.take(bytes, &mut self.folder),
            Format::Zip(zip) => zip.take(bytes, &mut self.folder),
        }
    }
}

/// What bytes that are no archive of ours seem to be, for whoever has to find the mistake.
fn what_it_is(first: &[u8]) -> &'static str {
    let text = first.trim_ascii_start();
    let begins = |word: &str| {
        text.get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
    };
    match first {
        [] => "it is empty",
        [b'B', b'Z', b'h', ..] => "it is compressed with bzip2; make it tar.gz or zip",
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "it is compressed with xz; make it tar.gz or zip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "it is compressed with zstd; make it tar.gz or zip",
        [b'P', b'K', b'0', b'0', ..] | [b'P', b'K', 7, 8, ..] => "it is a part of a zip archive",
        _ if begins("<!doctype") || begins("<html") => {
            "it is a web page; check that the URL is that of an archive, and whether it needs a login"
        }
        _ => "its content is none of these",
    }
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod real_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub use tests::{gzip, tar_of};
