//! The Range field (RFC 9110 section 14): single byte ranges. Several ranges in one request are answered with the whole
//! file, as the RFC allows.

/// Which bytes of a file to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    Whole,
    /// `length` bytes from `first`; never empty, never past the end.
    Part {
        first: u64,
        length: u64,
    },
    /// The range lies outside the file: 416.
    Unsatisfiable,
}

/// Reads a Range value for a file of `size` bytes. A value that is not a single byte range selects the whole file.
pub fn select(value: &str, size: u64) -> Selection {
    let Some((first, last)) = byte_range(value) else {
        return Selection::Whole;
    };
    match (first, last) {
        (Some(first), Some(last)) if last < first => Selection::Whole,
        (Some(first), _) if first >= size => Selection::Unsatisfiable,
        (Some(first), last) => {
            let last = last.unwrap_or(u64::MAX).min(size - 1);
            Selection::Part {
                first,
                length: last - first + 1,
            }
        }
        (None, Some(0)) => Selection::Unsatisfiable,
        (None, Some(_)) if size == 0 => Selection::Unsatisfiable,
        (None, Some(suffix)) => Selection::Part {
            first: size - suffix.min(size),
            length: suffix.min(size),
        },
        (None, None) => Selection::Whole,
    }
}

/// `bytes=FIRST-LAST`, either of which may be absent.
fn byte_range(value: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, set) = value.split_once('=')?;
    let (first, last) = set.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    Some((number(first)?, number(last)?))
}

/// Digits, or nothing. A number too large for u64 is past the end of every file.
fn number(text: &str) -> Option<Option<u64>> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((!text.is_empty()).then(|| text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_single_ranges() {
        assert_eq!(select("bytes=0-0", 10), Selection::Part { first: 0, length: 1 });
        assert_eq!(select("bytes=2-5", 10), Selection::Part { first: 2, length: 4 });
        assert_eq!(select("bytes=2-", 10), Selection::Part { first: 2, length: 8 });
        assert_eq!(
            select("bytes=2-99999999999999999999", 10),
            Selection::Part { first: 2, length: 8 }
        );
        assert_eq!(select("bytes=-3", 10), Selection::Part { first: 7, length: 3 });
        assert_eq!(select("bytes=-30", 10), Selection::Part { first: 0, length: 10 });
    }

    #[test]
    fn refuses_what_lies_outside() {
        for value in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999-"] {
            assert_eq!(select(value, 10), Selection::Unsatisfiable, "{value}");
        }
        assert_eq!(select("bytes=0-", 0), Selection::Unsatisfiable);
        assert_eq!(select("bytes=-1", 0), Selection::Unsatisfiable);
    }

    #[test]
    fn ignores_what_is_not_a_single_byte_range() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=a-b",
            "bytes=+1-2",
        ] {
            assert_eq!(select(value, 10), Selection::Whole, "{value}");
        }
    }
}
