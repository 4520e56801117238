//! Inputs with a structure: what a fuzzer's bytes mean where one input is several things.

use std::time::Duration;

/// Reads an input from its front. Nothing fails: past the end everything is 0 or empty.
pub struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    /// The script in these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Script(bytes)
    }

    /// True when nothing is left.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// A number of two bytes, the high one first.
    pub fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// At most so many of the next bytes.
    pub fn take(&mut self, most: usize) -> &'a [u8] {
        let (part, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        part
    }

    /// A time from one byte: from nothing over milliseconds to hours.
    pub fn time(&mut self) -> Duration {
        let byte = self.byte();
        let unit = [0, 1, 100, 1000, 10_000, 60_000, 600_000, 3_600_000][usize::from(byte >> 5)];
        Duration::from_millis(unit * u64::from(byte & 31))
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }
}

/// The parts of an input before and after the first line `---`; everything is the second where there is none. (Texts that
/// people write can so be kept as they are.)
pub fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    const LINE: &[u8] = b"---\n";
    if let Some(rest) = bytes.strip_prefix(LINE) {
        return (&[], rest);
    }
    let at = bytes.windows(LINE.len() + 1).position(|window| window == b"\n---\n");
    match at {
        Some(at) => (&bytes[..at], &bytes[at + 1 + LINE.len()..]),
        None => (&[], bytes),
    }
}

/// Cuts `bytes` into pieces, of sizes that depend on `how`: a byte each, a few, or as a network would.
pub fn pieces(mut bytes: &[u8], how: u8) -> impl Iterator<Item = &[u8]> {
    let mut random = u32::from(how) | 0x1_0000;
    let most = [1, 2, 3, 7, 16, 64, 536, 1460][usize::from(how % 8)];
    core::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (piece, rest) = bytes.split_at((1 + (random >> 16) as usize % most).min(bytes.len()));
        bytes = rest;
        Some(piece)
    })
}
