//! Validators: a strong entity tag made from a file's content, and the date of its last change where that is known.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

/// Most entity tags remembered; past it all are forgotten, those of replaced versions of an artifact among them.
const MAX_REMEMBERED: usize = 1024;

/// What identifies one version of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validators {
    /// With its quotes.
    pub etag: String,
    /// As an HTTP date. Files compiled into an image carry no date, so that equal inputs give equal images.
    pub last_modified: Option<String>,
}

/// Entity tags already computed, each good for the size and date the file had then.
#[derive(Default)]
pub struct Tags(Mutex<HashMap<PathBuf, Remembered>>);

struct Remembered {
    size: u64,
    modified: Option<SystemTime>,
    etag: String,
}

impl Tags {
    /// The validators of a file, reading its content only when it is new or has changed.
    pub fn of(&self, path: &Path, size: u64, modified: Option<SystemTime>) -> io::Result<Validators> {
        let modified = modified.filter(|at| *at > UNIX_EPOCH);
        let etag = match self.recall(path, size, modified) {
            Some(etag) => etag,
            None => {
                let etag = digest(path)?;
                self.remember(
                    path,
                    Remembered {
                        size,
                        modified,
                        etag: etag.clone(),
                    },
                );
                etag
            }
        };
        Ok(Validators {
            etag,
            last_modified: modified.map(httpdate::fmt_http_date),
        })
    }

    fn recall(&self, path: &Path, size: u64, modified: Option<SystemTime>) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let found = known
            .get(path)
            .filter(|entry| entry.size == size && entry.modified == modified)?;
        Some(found.etag.clone())
    }

    fn remember(&self, path: &Path, entry: Remembered) {
        let mut known = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(path.into(), entry);
    }
}

/// A quoted tag from size and content. std's SipHash is enough here: a tag tells versions of the publisher's own file
/// apart, and a new std at worst makes clients fetch once more.
fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = DefaultHasher::new();
    let (mut chunk, mut size) = (vec![0; 16 * 1024], 0);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(format!("\"{size:x}-{:016x}\"", hasher.finish())),
            n => {
                hasher.write(&chunk[..n]);
                size += n;
            }
        }
    }
}

impl Validators {
    /// False when the client asks for another version than this one (RFC 9110 section 13.2.2 steps 1 and 2): no strong tag of its
    /// list is ours, or without a list, ours is younger than its date.
    pub fn as_expected(&self, if_match: Option<&str>, if_unmodified_since: Option<&str>) -> bool {
        match (if_match, if_unmodified_since) {
            (Some(tags), _) => tags == "*" || tags.split(',').any(|tag| tag.trim_ascii() == self.etag),
            (None, Some(date)) => self.no_younger_than(date) != Some(false),
            (None, None) => true,
        }
    }

    /// True when the client's copy is this version (RFC 9110 section 13.2.2): entity tags first, the date without them.
    pub fn unchanged_since(&self, if_none_match: Option<&str>, if_modified_since: Option<&str>) -> bool {
        match (if_none_match, if_modified_since) {
            (Some(tags), _) => {
                let is_ours = |tag: &str| tag.trim_ascii().trim_start_matches("W/") == self.etag;
                tags == "*" || tags.split(',').any(is_ours)
            }
            (None, Some(date)) => self.no_younger_than(date) == Some(true),
            (None, None) => false,
        }
    }

    /// Whether the last change came by `date`; `None` when one of the two is not known.
    fn no_younger_than(&self, date: &str) -> Option<bool> {
        let own = httpdate::parse_http_date(self.last_modified.as_deref()?).ok()?;
        Some(own <= httpdate::parse_http_date(date).ok()?)
    }

    /// True when a range may be taken from this version (RFC 9110 section 13.1.5): strong tag or exact date.
    pub fn allows_range(&self, if_range: Option<&str>) -> bool {
        if_range.is_none_or(|value| value == self.etag || Some(value) == self.last_modified.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::time::Duration;

    #[test]
    fn a_tag_follows_the_content() {
        let scratch = Scratch::new("validator");
        let (tags, time) = (Tags::default(), Some(UNIX_EPOCH + Duration::from_secs(1_000_000_000)));
        let path = scratch.write("a.txt", b"one");
        let one = tags.of(&path, 3, time).unwrap();
        assert_eq!(one, tags.of(&path, 3, time).unwrap());
        assert_eq!(one.last_modified.as_deref(), Some("Sun, 09 Sep 2001 01:46:40 GMT"));
        scratch.write("a.txt", b"three");
        assert_ne!(one.etag, tags.of(&path, 5, time).unwrap().etag);
        let copy = scratch.write("b.txt", b"one");
        let undated = tags.of(&copy, 3, Some(UNIX_EPOCH)).unwrap();
        assert_eq!((undated.etag, undated.last_modified), (one.etag, None));
    }

    #[test]
    fn conditions_compare_as_the_rfc_says() {
        let date = "Sun, 09 Sep 2001 01:46:40 GMT";
        let own = Validators {
            etag: "\"x\"".into(),
            last_modified: Some(date.into()),
        };
        assert!(own.unchanged_since(Some("\"a\", W/\"x\""), None));
        assert!(own.unchanged_since(Some("*"), None));
        assert!(!own.unchanged_since(Some("\"a\""), Some(date)), "the tag decides");
        assert!(own.unchanged_since(None, Some(date)));
        assert!(!own.unchanged_since(None, Some("Sun, 09 Sep 2001 01:46:39 GMT")));
        assert!(!own.unchanged_since(None, Some("yesterday")));
        assert!(own.allows_range(None) && own.allows_range(Some("\"x\"")) && own.allows_range(Some(date)));
        assert!(!own.allows_range(Some("W/\"x\"")) && !own.allows_range(Some("\"y\"")));
    }
}
