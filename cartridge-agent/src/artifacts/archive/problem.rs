//! Why an archive was refused.

use std::fmt;
use std::io;

/// The longest part of a name that a message shows, in bytes.
const SHOWN: usize = 100;

/// ENOSPC, the same on Linux and in the guest.
const NO_SPACE: i32 = 28;

/// Why an archive was refused. None of these goes away by fetching it again, but [`Problem::Truncated`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is none of the known formats; what it seems to be.
    NotAnArchive(&'static str),
    /// There is nothing in it.
    Empty,
    /// It ends too early.
    Truncated,
    /// It is damaged: what does not fit.
    Damaged(&'static str),
    /// It uses what is not supported.
    Unsupported(&'static str),
    /// A name that an honest archive does not have: what is wrong, and the name.
    BadName(&'static str, String),
    /// There is a file of this name where a folder is to be, or the other way round.
    Conflict(String),
    /// Unpacked it is larger than this limit, in bytes.
    TooLarge(u64),
    /// It has more entries than this limit.
    TooManyEntries(u32),
    /// There is no room for it.
    NoRoom,
    /// A file or folder cannot be made: the system's number for why.
    Failed(i32),
}

impl Problem {
    /// A name that is refused; shown as far as it can be.
    pub fn name(what: &'static str, name: &[u8]) -> Self {
        Problem::BadName(what, shown(name))
    }

    /// A file or folder could not be made.
    pub fn io(error: &io::Error) -> Self {
        match error.raw_os_error().unwrap_or_default() {
            NO_SPACE => Problem::NoRoom,
            number => Problem::Failed(number),
        }
    }
}

/// The start of a name as text.
pub fn shown(name: &[u8]) -> String {
    let start = &name[..name.len().min(SHOWN)];
    let mut text = String::from_utf8_lossy(start).into_owned();
    if start.len() < name.len() {
        text.push('…');
    }
    text
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NotAnArchive(what) => write!(f, "it is no tar, tar.gz or zip archive: {what}"),
            Problem::Empty => f.write_str("there is no file in the archive"),
            Problem::Truncated => f.write_str("the archive ends too early"),
            Problem::Damaged(what) => write!(f, "the archive is damaged: {what}"),
            Problem::Unsupported(what) => write!(f, "the archive cannot be read: {what}"),
            Problem::BadName(what, name) => write!(f, "the archive is refused: a name in it {what}: {name}"),
            Problem::Conflict(name) => write!(f, "the archive has both a file and a folder named {name}"),
            Problem::TooLarge(limit) => write!(
                f,
                "unpacked, the archive is larger than {limit} bytes; artifact.limit.mib sets another limit"
            ),
            Problem::TooManyEntries(limit) => write!(f, "the archive has more than {limit} files and folders"),
            Problem::NoRoom => f.write_str(
                "there is no room to unpack the archive beside the version in use; give the cartridge more memory",
            ),
            Problem::Failed(number) => write!(f, "a file of the archive cannot be made: error {number}"),
        }
    }
}
