//! Bounded text: a string in a fixed array, for messages whose length outside input decides.

use core::fmt;

/// At most `N` bytes of UTF-8. Writing past the bound keeps what fits and marks the cut with `...`; it never fails.
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
    cut: bool,
}

/// The text of messages, of every kind: what fits one fits all, and each length would be a type with code of its own.
pub type Message = Text<{ crate::log::MESSAGE_LIMIT }>;

/// Ends a text that did not fit.
const CUT_MARK: &str = "...";

impl<const N: usize> Text<N> {
    /// An empty text.
    pub const fn new() -> Self {
        assert!(N > CUT_MARK.len(), "no room for the cut mark");
        Self {
            bytes: [0; N],
            length: 0,
            cut: false,
        }
    }

    /// The text of formatting `value`.
    pub fn of(value: impl fmt::Display) -> Self {
        let mut text = Self::new();
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{value}"));
        text
    }

    /// What was written so far.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if !self.cut {
            self.cut = append(&mut self.bytes, &mut self.length, more);
        }
        Ok(())
    }
}

/// Adds `more` to the `length` bytes there are; true if it had to be cut. (One copy of this code for every `N`.)
fn append(bytes: &mut [u8], length: &mut usize, more: &str) -> bool {
    let room = bytes.len() - CUT_MARK.len() - *length;
    let taken = boundary_at_most(more, room);
    let mut put = |part: &[u8]| {
        bytes[*length..*length + part.len()].copy_from_slice(part);
        *length += part.len();
    };
    put(&more.as_bytes()[..taken]);
    let cut = taken < more.len();
    if cut {
        put(CUT_MARK.as_bytes());
    }
    cut
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The longest start of `text` that is at most `limit` bytes.
pub fn start_at_most(text: &str, limit: usize) -> &str {
    text.get(..boundary_at_most(text, limit)).unwrap_or_default()
}

/// The largest character boundary of `text` that is at most `limit` bytes.
fn boundary_at_most(text: &str, limit: usize) -> usize {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write;

    #[test]
    fn keeps_what_fits_and_marks_the_cut_between_characters() {
        let mut text = Text::<10>::new();
        write!(text, "abcdef").unwrap();
        assert_eq!(text.as_str(), "abcdef");
        write!(text, "\u{20ac}uro").unwrap();
        assert_eq!(text.as_str(), "abcdef...");
        write!(text, "more").unwrap();
        assert_eq!(text.as_str(), "abcdef...");
    }
}
