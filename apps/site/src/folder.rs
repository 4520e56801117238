//! From a request path to a file below the served folder; no path leads out of it. Links inside it are followed: who fills the
//! folder decides what is served. (An image has none: what they lead to was compiled in.)

use percent_encoding::percent_decode_str;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const INDEX: &str = "index.html";

#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    File(Entry),
    /// A folder asked for without its final slash: relative links in its index would break.
    NeedsSlash,
    Missing,
    /// Not a valid path at all.
    Malformed,
}

/// A regular file and what its metadata says.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    pub path: PathBuf,
    pub size: u64,
    pub modified: Option<SystemTime>,
}

/// Finds what `path` (percent-encoded, beginning with `/`) names below `root`.
pub fn find(root: &Path, path: &str) -> Found {
    let Some(rest) = path.strip_prefix('/') else {
        return Found::Malformed;
    };
    let (mut file, wants_folder) = (root.to_path_buf(), rest.is_empty() || rest.ends_with('/'));
    let names = rest.strip_suffix('/').unwrap_or(rest);
    if !names.is_empty() {
        for segment in names.split('/') {
            match name(segment) {
                Ok(Some(name)) => file.push(name),
                Ok(None) => return Found::Missing,
                Err(()) => return Found::Malformed,
            }
        }
    }
    if wants_folder {
        file.push(INDEX);
    }
    match fs::metadata(&file) {
        Ok(meta) if meta.is_file() => Found::File(Entry {
            path: file,
            size: meta.len(),
            modified: meta.modified().ok(),
        }),
        Ok(meta) if meta.is_dir() && !wants_folder => Found::NeedsSlash,
        _ => Found::Missing,
    }
}

/// Decodes one segment. None for names that are never served: empty, hidden, `.` and `..`, or with a separator in them.
fn name(segment: &str) -> Result<Option<String>, ()> {
    if !escapes_are_whole(segment) {
        return Err(());
    }
    let name = percent_decode_str(segment).decode_utf8().map_err(|_| ())?;
    if name.contains('\0') {
        return Err(());
    }
    let served = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
    Ok(served.then(|| name.into_owned()))
}

/// Every `%` must be followed by two hexadecimal digits.
fn escapes_are_whole(segment: &str) -> bool {
    segment
        .split('%')
        .skip(1)
        .all(|after| after.len() >= 2 && after.bytes().take(2).all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn finds_files_indexes_and_folders() {
        let scratch = Scratch::new("folder");
        let index = scratch.write("public/index.html", b"hi");
        let spaced = scratch.write("public/docs/a b.txt", b"text");
        let root = scratch.path().join("public");
        let file = |path: &str| match find(&root, path) {
            Found::File(entry) => (entry.path, entry.size),
            other => panic!("{path}: {other:?}"),
        };
        assert_eq!(file("/"), (index.clone(), 2));
        assert_eq!(file("/index%2Ehtml"), (index, 2));
        assert_eq!(file("/docs/a%20b.txt"), (spaced, 4));
        assert_eq!(find(&root, "/docs"), Found::NeedsSlash);
        assert_eq!(find(&root, "/docs/"), Found::Missing);
        assert_eq!(find(&root, "/none"), Found::Missing);
        assert_eq!(find(&root, "/index.html/"), Found::Missing);
    }

    #[test]
    fn never_leaves_the_folder() {
        let scratch = Scratch::new("traversal");
        scratch.write("secret.txt", b"secret");
        scratch.write("public/.hidden", b"secret");
        scratch.write("public/x/y.txt", b"fine");
        let root = scratch.path().join("public");
        for path in [
            "/../secret.txt",
            "/x/../../secret.txt",
            "/%2e%2e/secret.txt",
            "/..%2fsecret.txt",
            "/x%2f..%2f..%2fsecret.txt",
            "/..%5csecret.txt",
            "//secret.txt",
            "/x//y.txt",
            "/./x/y.txt",
            "/.hidden",
            "/%2Ehidden",
        ] {
            assert_eq!(find(&root, path), Found::Missing, "{path}");
        }
        for path in ["", "x", "*", "/%", "/%4", "/%zz", "/%00", "/%ff"] {
            assert_eq!(find(&root, path), Found::Malformed, "{path}");
        }
    }
}
