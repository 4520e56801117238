//! Sorted lists of paths read as a tree: directories that are only implied by the files below them.

use core::cmp::Ordering;

/// Paths in ascending byte order, without leading slash.
pub trait SortedPaths {
    fn len(&self) -> usize;
    fn path(&self, index: usize) -> &[u8];
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// The path is in the list, at this index.
    Listed(usize),
    /// Something below the path is in the list.
    Implied,
    Absent,
}

pub fn find(list: &dyn SortedPaths, path: &[u8]) -> Found {
    let index = first_at_least(list, path, b"");
    if index < list.len() && list.path(index) == path {
        return Found::Listed(index);
    }
    if below(list, path).next().is_some() {
        Found::Implied
    } else {
        Found::Absent
    }
}

/// Index of the first path that is not less than `prefix` followed by `rest`.
pub fn first_at_least(list: &dyn SortedPaths, prefix: &[u8], rest: &[u8]) -> usize {
    let (mut low, mut high) = (0, list.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if compare(list.path(middle), prefix, rest) == Ordering::Less {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Compares `path` with `prefix` followed by `rest`.
fn compare(path: &[u8], prefix: &[u8], rest: &[u8]) -> Ordering {
    match path.split_at_checked(prefix.len()) {
        Some((start, end)) => start.cmp(prefix).then_with(|| end.cmp(rest)),
        None => path.cmp(&prefix[..path.len()]).then(Ordering::Less),
    }
}

/// The listed paths below `directory`: (index, path relative to it).
pub fn below<'a>(list: &'a dyn SortedPaths, directory: &'a [u8]) -> impl Iterator<Item = (usize, &'a [u8])> + 'a {
    let separator: &[u8] = if directory.is_empty() { b"" } else { b"/" };
    let start = first_at_least(list, directory, separator);
    (start..list.len()).map_while(move |index| {
        let rest = list.path(index).strip_prefix(directory)?.strip_prefix(separator)?;
        Some((index, rest))
    })
}

/// Calls `visit` with the name of each child of `directory` and its index in the list (`None` for an implied
/// directory). In a list that has entries for directories, such a directory may be visited again as an implied one:
/// ignore those.
pub fn children(list: &dyn SortedPaths, directory: &[u8], visit: &mut dyn FnMut(&[u8], Option<usize>)) {
    let mut last: &[u8] = b"";
    for (index, rest) in below(list, directory).filter(|(_, rest)| !rest.is_empty()) {
        let name = rest.split(|byte| *byte == b'/').next().unwrap_or(rest);
        if name != last {
            visit(name, (name.len() == rest.len()).then_some(index));
            last = name;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{string::String, vec::Vec};

    impl SortedPaths for &[&str] {
        fn len(&self) -> usize {
            <[&str]>::len(self)
        }
        fn path(&self, index: usize) -> &[u8] {
            self[index].as_bytes()
        }
    }

    const LIST: &&[&str] = &(&["a", "b-c/x", "b/d", "b/e/f", "b/e/g", "c/d"] as &[&str]);

    fn names(directory: &str) -> Vec<(String, Option<usize>)> {
        let mut names = Vec::new();
        children(LIST, directory.as_bytes(), &mut |name, index| {
            names.push((String::from_utf8(name.into()).unwrap(), index));
        });
        names
    }

    #[test]
    fn finds_files_and_implied_directories() {
        assert_eq!(find(LIST, b"a"), Found::Listed(0));
        assert_eq!(find(LIST, b"b"), Found::Implied);
        assert_eq!(find(LIST, b"b/e"), Found::Implied);
        assert_eq!(find(LIST, b"b/e/g"), Found::Listed(4));
        assert_eq!(find(LIST, b""), Found::Implied);
        for absent in [&b"b/x"[..], b"b/e/", b"zz", b"a/x", b"b/d/x"] {
            assert_eq!(find(LIST, absent), Found::Absent);
        }
        assert_eq!(find(&(&[] as &[&str]), b""), Found::Absent);
    }

    #[test]
    fn lists_each_child_once() {
        assert_eq!(
            names(""),
            [
                ("a".into(), Some(0)),
                ("b-c".into(), None),
                ("b".into(), None),
                ("c".into(), None)
            ]
        );
        assert_eq!(names("b"), [("d".into(), Some(2)), ("e".into(), None)]);
        assert_eq!(names("b/e"), [("f".into(), Some(3)), ("g".into(), Some(4))]);
        assert_eq!(names("a"), []);
    }
}
