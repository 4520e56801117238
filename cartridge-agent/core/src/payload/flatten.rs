//! A JSON object (RFC 8259) as flat text, made in the memory of the JSON: nothing in it becomes longer.
//!
//! `{"A": 1, "B": [80, "x"], "C": {"d": null}}` becomes `ITEM_END`, then `A`, `KEY_END`, `1`, `ITEM_END`, `B`, `KEY_END`, `80|x`, ... :
//! strings without quotes and escapes, numbers and words as written, arrays of scalars as a list, other arrays and objects as their JSON
//! text, of which brackets and strings are checked.

use super::{DEPTH_LIMIT, ITEM_END, KEY_END};

/// The flat text's length; the byte where `text`, from `start` on, is no JSON object.
pub fn flatten(text: &mut [u8], start: usize) -> Result<usize, usize> {
    if let Err(error) = core::str::from_utf8(text) {
        return Err(error.valid_up_to());
    }
    let mut flat = Flat {
        text,
        read: start,
        written: 0,
    };
    match flat.object() {
        Some(()) => Ok(flat.written),
        None => Err(flat.read),
    }
}

/// What was read and written so far; `written` never passes `read`. Where a method gives `None`, `read` is the place.
struct Flat<'t> {
    text: &'t mut [u8],
    read: usize,
    written: usize,
}

impl Flat<'_> {
    fn object(&mut self) -> Option<()> {
        self.blanks();
        self.expect(b'{')?;
        self.put(ITEM_END);
        self.blanks();
        if self.peek() == Some(b'}') {
            self.read += 1;
        } else {
            while self.member()? {}
        }
        self.blanks();
        self.peek().is_none().then_some(())
    }

    /// One member, and what follows it: true for a comma, false for the end.
    fn member(&mut self) -> Option<bool> {
        self.blanks();
        self.string()?;
        self.blanks();
        self.expect(b':')?;
        self.put(KEY_END);
        self.blanks();
        match self.peek()? {
            b'[' | b'{' => self.nested()?,
            _ => self.scalar()?,
        }
        self.put(ITEM_END);
        self.comma_or(b'}')
    }

    fn comma_or(&mut self, end: u8) -> Option<bool> {
        self.blanks();
        let more = self.peek()? == b',';
        self.expect(if more { b',' } else { end })?;
        Some(more)
    }

    #[inline(never)]
    fn scalar(&mut self) -> Option<()> {
        if self.peek()? == b'"' {
            return self.string();
        }
        let rest = self.text.get(self.read..)?;
        let end = rest
            .iter()
            .position(|byte| !(byte.is_ascii_alphanumeric() || b"+-.".contains(byte)));
        let word = rest.get(..end.unwrap_or(rest.len()))?;
        let is_number =
            matches!(word.first()?, b'-' | b'0'..=b'9') && word.iter().all(|byte| b"0123456789+-.eE".contains(byte));
        if !is_number && !matches!(word, b"true" | b"false" | b"null") {
            return None;
        }
        self.copy(word.len());
        Some(())
    }

    /// An array of scalars as a list; what has more levels as its text.
    fn nested(&mut self) -> Option<()> {
        let (end, is_list) = self.look_through()?;
        if !is_list {
            self.copy(end - self.read);
            return Some(());
        }
        self.read += 1;
        self.blanks();
        if self.peek()? == b']' {
            self.read += 1;
            return Some(());
        }
        loop {
            self.blanks();
            self.scalar()?;
            if !self.comma_or(b']')? {
                return Some(());
            }
            self.put(b'|');
        }
    }

    /// Where the object or array that begins here ends, and whether it is an array with no other in it.
    fn look_through(&mut self) -> Option<(usize, bool)> {
        let (start, is_array) = (self.read, self.peek()? == b'[');
        // A bit for each level: 1 for an array.
        let (mut kinds, mut depth, mut deepest) = (0u32, 0, 0);
        loop {
            let byte = self.peek()?;
            match byte {
                b'[' | b'{' => {
                    if depth == DEPTH_LIMIT {
                        return None;
                    }
                    depth += 1;
                    deepest = depth.max(deepest);
                    kinds = kinds << 1 | u32::from(byte == b'[');
                }
                b']' | b'}' => {
                    if (kinds & 1 == 1) != (byte == b']') {
                        return None;
                    }
                    kinds >>= 1;
                    depth -= 1;
                }
                b'"' => {
                    self.skip_string()?;
                    continue;
                }
                _ if byte.is_ascii_control() && !byte.is_ascii_whitespace() => return None,
                _ => {}
            }
            self.read += 1;
            if depth == 0 {
                let end = self.read;
                self.read = start;
                return Some((end, is_array && deepest == 1));
            }
        }
    }

    fn skip_string(&mut self) -> Option<()> {
        self.read += 1;
        loop {
            match self.peek()? {
                b'"' => break,
                0..0x20 => return None,
                b'\\' => self.read += 2,
                _ => self.read += 1,
            }
        }
        self.read += 1;
        Some(())
    }

    /// A string, without its quotes and escapes.
    #[inline(never)]
    fn string(&mut self) -> Option<()> {
        self.expect(b'"')?;
        loop {
            match self.peek()? {
                b'"' => break,
                0..0x20 => return None,
                b'\\' => self.escape()?,
                _ => self.copy(1),
            }
        }
        self.read += 1;
        Some(())
    }

    #[inline(never)]
    fn escape(&mut self) -> Option<()> {
        let plain = match *self.text.get(self.read + 1)? {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            same @ (b'"' | b'\\' | b'/') => same,
            b'u' => return self.unicode(),
            _ => return None,
        };
        self.read += 2;
        self.put(plain);
        Some(())
    }

    /// `\uXXXX`, or two of them for a character past U+FFFF (RFC 8259 section 7). Half a pair becomes U+FFFD.
    fn unicode(&mut self) -> Option<()> {
        let mut code = self.unit(self.read)?;
        let mut length = 6;
        if code >> 10 == 0xd800 >> 10
            && let Some(low) = self.unit(self.read + 6)
            && low >> 10 == 0xdc00 >> 10
        {
            code = 0x1_0000 + ((code & 0x3ff) << 10 | low & 0x3ff);
            length = 12;
        }
        // The two separators and 0 cannot be in a value.
        if code == 0 || code == u32::from(ITEM_END) || code == u32::from(KEY_END) {
            return None;
        }
        self.read += length;
        let mut bytes = [0; 4];
        for byte in char::from_u32(code)
            .unwrap_or(char::REPLACEMENT_CHARACTER)
            .encode_utf8(&mut bytes)
            .bytes()
        {
            self.put(byte);
        }
        Some(())
    }

    /// The number in `\uXXXX` at `at`.
    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits
            .iter()
            .try_fold(0, |code, digit| Some(code << 4 | char::from(*digit).to_digit(16)?))
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| b" \t\r\n".contains(&byte)) {
            self.read += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.read).copied()
    }

    #[inline(never)]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.read += 1)
    }

    #[inline(never)]
    fn put(&mut self, byte: u8) {
        if let Some(place) = self.text.get_mut(self.written) {
            *place = byte;
            self.written += 1;
        }
    }

    /// Moves the next bytes as they are.
    #[inline(never)]
    fn copy(&mut self, count: usize) {
        for _ in 0..count {
            let Some(byte) = self.peek() else { return };
            self.read += 1;
            self.put(byte);
        }
    }
}
