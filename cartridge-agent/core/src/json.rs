//! JSON text in a fixed buffer, for log lines.
//!
//! Answers and documents go through serde-json-core. Log lines do not: they are most of what the agent does at boot, and
//! copying plain text in runs took a third of the instructions that serialising it character by character took.

/// JSON being written; what does not fit sets [`Json::is_full`] and leaves the rest out.
pub struct Json<'b> {
    buffer: &'b mut [u8],
    length: usize,
    full: bool,
}

impl<'b> Json<'b> {
    /// Nothing yet, to be written to `buffer`.
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self {
            buffer,
            length: 0,
            full: false,
        }
    }

    /// True if something did not fit.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// How many bytes were written.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Adds `text` as it is.
    pub fn raw(&mut self, text: &[u8]) {
        match self
            .buffer
            .get_mut(self.length..)
            .and_then(|room| room.get_mut(..text.len()))
        {
            Some(room) => {
                room.copy_from_slice(text);
                self.length += text.len();
            }
            None => self.full = true,
        }
    }

    /// Adds `text` as a JSON string (RFC 8259 section 7): quotes, backslashes and control characters are escaped.
    pub fn string(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        self.raw(b"\"");
        let mut rest = text.as_bytes();
        while let Some(at) = rest
            .iter()
            .position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\')
        {
            let byte = rest[at];
            self.raw(&rest[..at]);
            match byte {
                b'"' | b'\\' => self.raw(&[b'\\', byte]),
                b'\n' => self.raw(b"\\n"),
                _ => self.raw(&[
                    b'\\',
                    b'u',
                    b'0',
                    b'0',
                    HEX[usize::from(byte >> 4)],
                    HEX[usize::from(byte & 15)],
                ]),
            }
            rest = &rest[at + 1..];
        }
        self.raw(rest);
        self.raw(b"\"");
    }

    /// Adds a member of an object, with the comma or brace before it.
    pub fn member(&mut self, name: &str, value: &str) {
        self.raw(if self.length == 0 { b"{" } else { b"," });
        self.string(name);
        self.raw(b":");
        self.string(value);
    }
}
