//! Bounded text: a string in a fixed array, for messages whose length outside input decides.

use core::fmt;

/// At most `N` bytes of UTF-8. Writing past the bound keeps what fits and marks the cut with `...`; it never fails.
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
    cut: bool,
}

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
        if self.cut {
            return Ok(());
        }
        let room = N - CUT_MARK.len() - self.length;
        let taken = boundary_at_most(more, room);
        self.bytes[self.length..self.length + taken].copy_from_slice(&more.as_bytes()[..taken]);
        self.length += taken;
        if taken < more.len() {
            self.bytes[self.length..self.length + CUT_MARK.len()].copy_from_slice(CUT_MARK.as_bytes());
            self.length += CUT_MARK.len();
            self.cut = true;
        }
        Ok(())
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The largest character boundary of `text` that is at most `limit` bytes.
pub fn boundary_at_most(text: &str, limit: usize) -> usize {
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
