//! Paths: from what a program passes to the name of a node, without leading slash ("" is the root).

use crate::errno::{Errno, Result};
use crate::heap::{self, Vec};

/// Longest path accepted, bytes (Linux's PATH_MAX without the terminating zero).
pub const MAX_PATH: usize = 4095;
/// Longest name between two slashes, bytes (the room `dirent64::d_name` has, and Linux's NAME_MAX).
pub const MAX_NAME: usize = 255;

#[derive(Debug, PartialEq)]
pub struct Resolved {
    pub path: Vec<u8>,
    /// The path ended in `/`, `.` or `..`, so it can only name a directory.
    pub must_be_directory: bool,
}

/// Resolves `path` against `/`. There are no symbolic links, so `..` is lexical; as on Linux, whatever is stepped
/// through has to be a directory: `check_directory` is asked about each such prefix, and about none that would merely
/// be the parent of the last name.
pub fn resolve(path: &[u8], check_directory: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Resolved> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    if path.len() > MAX_PATH || path.split(|byte| *byte == b'/').any(|name| name.len() > MAX_NAME) {
        return Err(Errno::ENAMETOOLONG);
    }
    let mut resolved = heap::vec();
    resolved.try_reserve(path.len()).map_err(|_| Errno::ENOMEM)?;
    let mut must_be_directory = false;
    for name in path.split(|byte| *byte == b'/') {
        must_be_directory = matches!(name, b"" | b"." | b"..");
        match name {
            b"" => {}
            b"." => check_directory(&resolved)?,
            b".." => {
                check_directory(&resolved)?;
                resolved.truncate(parent(&resolved).len());
            }
            name => {
                if !resolved.is_empty() {
                    resolved.push(b'/');
                }
                resolved.extend_from_slice(name);
            }
        }
    }
    Ok(Resolved {
        path: resolved,
        must_be_directory,
    })
}

/// The directory that holds `path`; the root's is the root.
pub fn parent(path: &[u8]) -> &[u8] {
    path.iter()
        .rposition(|byte| *byte == b'/')
        .map_or(b"", |slash| &path[..slash])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn resolved(path: &str) -> Result<(String, bool)> {
        let mut check = |directory: &[u8]| match directory {
            b"" | b"a" | b"a/b" => Ok(()),
            b"file" => Err(Errno::ENOTDIR),
            _ => Err(Errno::ENOENT),
        };
        let found = resolve(path.as_bytes(), &mut check)?;
        Ok((String::from_utf8(found.path).unwrap(), found.must_be_directory))
    }

    fn plain(path: &str) -> Result<(String, bool)> {
        Ok((path.into(), false))
    }

    #[test]
    fn relative_and_absolute_paths_start_at_the_root() {
        assert_eq!(resolved("a/b"), plain("a/b"));
        assert_eq!(resolved("/a//b"), plain("a/b"));
        assert_eq!(resolved("./a/./b"), plain("a/b"));
        assert_eq!(resolved("/"), Ok(("".into(), true)));
        assert_eq!(resolved("a/"), Ok(("a".into(), true)));
    }

    #[test]
    fn dots_never_leave_the_root() {
        assert_eq!(resolved("../../../a"), plain("a"));
        assert_eq!(resolved("/a/../../.."), Ok(("".into(), true)));
        assert_eq!(resolved("a/b/../c"), plain("a/c"));
        assert_eq!(resolved("a/.."), Ok(("".into(), true)));
    }

    #[test]
    fn stepping_through_what_is_no_directory_fails_as_on_linux() {
        assert_eq!(resolved("missing/../a"), Err(Errno::ENOENT));
        assert_eq!(resolved("file/../a"), Err(Errno::ENOTDIR));
        assert_eq!(resolved("file/."), Err(Errno::ENOTDIR));
    }

    #[test]
    fn limits() {
        assert_eq!(resolved(""), Err(Errno::ENOENT));
        assert_eq!(resolved(&"x".repeat(MAX_NAME + 1)), Err(Errno::ENAMETOOLONG));
        assert!(resolved(&"x".repeat(MAX_NAME)).is_ok());
        assert_eq!(resolved(&"a/".repeat(MAX_PATH)), Err(Errno::ENAMETOOLONG));
    }

    #[test]
    fn parents() {
        assert_eq!(parent(b"a/b/c"), b"a/b");
        assert_eq!(parent(b"a"), b"");
        assert_eq!(parent(b""), b"");
    }
}
