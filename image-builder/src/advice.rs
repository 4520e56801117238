//! What to do about an error of the system's: each of ours ends with a next step.

use std::io::{Error, ErrorKind};

/// The next step after `error`, as the end of a message.
pub fn next(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "\n  next: check the path; nothing is there",
        ErrorKind::PermissionDenied => "\n  next: give yourself access to it, or choose another place",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "\n  next: make room on that disk",
        ErrorKind::ReadOnlyFilesystem => "\n  next: choose a place that can be written",
        ErrorKind::IsADirectory => "\n  next: name a file; this is a folder",
        ErrorKind::NotADirectory => "\n  next: check the path; a part of it is no folder",
        ErrorKind::InvalidData => "\n  next: check that it is UTF-8 text",
        _ => "\n  next: see to what the system says, then try again",
    }
}
