//! Names in archives: from bytes to a path that stays below the folder it is joined to.

use super::Problem;

/// Longest path, in bytes.
const LONGEST: usize = 1024;
/// Longest name between two slashes, in bytes (what file systems, and the guest's, allow).
const LONGEST_PART: usize = 255;
/// Most folders in one another.
const DEEPEST: usize = 32;

/// A relative path of plain names, with `/` between them; empty for the root itself (`./`).
///
/// What tries to lead out of the folder is refused, not mended: no honest archive has such a name.
pub fn relative(raw: &[u8]) -> Result<String, Problem> {
    let bad = |what| Err(Problem::name(what, raw));
    let Ok(text) = std::str::from_utf8(raw) else {
        return bad("is not UTF-8");
    };
    if text.len() > LONGEST {
        return bad("is longer than 1024 bytes");
    }
    if text.starts_with('/') || text.get(1..3) == Some(":/") {
        return bad("is absolute");
    }
    if text.contains(['\\', '\0']) {
        return bad("has a backslash or a zero byte");
    }
    let mut path = String::with_capacity(text.len());
    let mut depth = 0;
    for part in text.split('/').filter(|part| !matches!(*part, "" | ".")) {
        depth += 1;
        if part == ".." {
            return bad("leads out of its folder");
        }
        if part.len() > LONGEST_PART {
            return bad("has a part of more than 255 bytes");
        }
        if depth > DEEPEST {
            return bad("is in more than 32 folders");
        }
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(part);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_stay_as_they_are() {
        for (raw, path) in [
            ("a", "a"),
            ("./a/b.txt", "a/b.txt"),
            ("a//b/", "a/b"),
            ("./", ""),
            ("", ""),
            ("a/...", "a/..."),
            ("ä/日本", "ä/日本"),
            (".git/config", ".git/config"),
        ] {
            assert_eq!(relative(raw.as_bytes()).as_deref(), Ok(path), "{raw}");
        }
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        let long = "x".repeat(256);
        let deep = "d/".repeat(33);
        let endless = "ab/".repeat(400);
        for raw in [
            "/etc/passwd",
            "..",
            "../a",
            "a/../../b",
            "a/..",
            "C:/a",
            "..\\a",
            "a\\b",
            "a\0b",
            &long,
            &deep,
            &endless,
        ] {
            assert!(matches!(relative(raw.as_bytes()), Err(Problem::BadName(..))), "{raw}");
        }
        assert!(matches!(relative(b"a\xff"), Err(Problem::BadName("is not UTF-8", _))));
    }
}
