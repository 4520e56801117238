//! JSON (RFC 8259) as a stream: bytes in, in pieces of any size, tokens out.
//!
//! A topology is of any size, so nothing of a document is kept but the string being read. What is bounded: a string or number
//! ([`TEXT_LIMIT`]; a longer one is passed over and given as [`Token::TooLong`]) and nesting ([`DEPTH_LIMIT`]).

use alloc::vec::Vec;

/// The longest string or number given, in bytes. What the agent looks at is shorter: names, addresses, a URL, a password.
pub const TEXT_LIMIT: usize = 1024;

/// Objects and arrays within one another; a topology has ten.
pub const DEPTH_LIMIT: u32 = 32;

/// A piece of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// `{`.
    Object,
    /// `[`.
    Array,
    /// `}` or `]`.
    End,
    /// The name of a member of an object. One that is too long is given as empty.
    Key(&'a str),
    /// A string, without escapes.
    Text(&'a str),
    /// A number as it is written.
    Number(&'a str),
    /// `true`, `false` or `null`.
    Word,
    /// A string or number above [`TEXT_LIMIT`].
    TooLong,
}

/// Takes tokens.
pub trait Sink {
    /// The next token.
    fn token(&mut self, token: Token<'_>);
}

/// Why a document is not read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not JSON, or no object.
    NotJson,
    /// A string is not UTF-8.
    NotUtf8,
    /// It is nested deeper than [`DEPTH_LIMIT`].
    TooDeep,
    /// It ended before it was complete.
    CutShort,
    /// It is JSON, and has not what makes it what it is to be.
    Hollow,
}

impl Fault {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Fault::NotJson => "it is not a JSON object",
            Fault::NotUtf8 => "it is not UTF-8",
            Fault::TooDeep => "it is nested too deep",
            Fault::CutShort => "it is cut short",
            Fault::Hollow => "it does not say what or whom it is about",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// A value.
    Value,
    /// A value, or the end of an array that is still empty.
    ValueOrEnd,
    /// A key, or the end of an object that is still empty.
    KeyOrEnd,
    /// A key.
    Key,
    /// The colon after a key.
    Colon,
    /// A comma, or the end of what we are in.
    CommaOrEnd,
    /// Nothing more: the document is complete.
    Nothing,
    /// Inside a string.
    Text,
    /// After a backslash.
    Escape,
    /// Inside `\u`: so many hex digits are left.
    Hex(u8),
    /// Inside a number.
    Number,
    /// Inside `true`, `false` or `null`.
    Word,
}

/// Reads one document; [`Tokenizer::reset`] makes it ready for the next.
pub struct Tokenizer {
    expect: Expect,
    /// Innermost last: a 1 for an object, a 0 for an array.
    nesting: u32,
    depth: u32,
    /// The string, number or word being read.
    text: Vec<u8>,
    too_long: bool,
    /// The string being read is a key.
    is_key: bool,
    /// The `\u` being read.
    unit: u16,
    /// The first half of a surrogate pair; 0 if there is none.
    high: u16,
}

impl Default for Tokenizer {
    fn default() -> Self {
        Tokenizer {
            expect: Expect::Value,
            nesting: 0,
            depth: 0,
            text: Vec::new(),
            too_long: false,
            is_key: false,
            unit: 0,
            high: 0,
        }
    }
}

impl Tokenizer {
    /// Makes it ready for another document.
    pub fn reset(&mut self) {
        self.expect = Expect::Value;
        self.depth = 0;
    }

    /// Reads on.
    ///
    /// # Errors
    /// What is wrong with the document. It is not to be read on then.
    pub fn feed(&mut self, mut bytes: &[u8], sink: &mut dyn Sink) -> Result<(), Fault> {
        while let [byte, rest @ ..] = bytes {
            match self.expect {
                Expect::Text => {
                    bytes = self.run(bytes, sink)?;
                    continue;
                }
                Expect::Escape => self.escape(*byte)?,
                Expect::Hex(left) => self.hex(*byte, left)?,
                Expect::Number if matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E') => {
                    self.keep(&bytes[..1]);
                }
                Expect::Word if byte.is_ascii_lowercase() => self.keep(&bytes[..1]),
                Expect::Number | Expect::Word => {
                    // This byte is looked at again.
                    self.end_scalar(sink)?;
                    continue;
                }
                _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => {}
                _ => self.structure(*byte, sink)?,
            }
            bytes = rest;
        }
        Ok(())
    }

    /// There is nothing more.
    ///
    /// # Errors
    /// [`Fault::CutShort`] if the document is not complete.
    pub fn finish(&mut self) -> Result<(), Fault> {
        match self.expect {
            Expect::Nothing => Ok(()),
            _ => Err(Fault::CutShort),
        }
    }

    /// Keeps a part of the string, number or word being read.
    fn keep(&mut self, part: &[u8]) {
        if self.text.len() + part.len() > TEXT_LIMIT {
            self.too_long = true;
        } else {
            self.text.extend_from_slice(part);
        }
    }

    /// The part of a string up to what ends it or is escaped; gives what follows.
    fn run<'b>(&mut self, bytes: &'b [u8], sink: &mut dyn Sink) -> Result<&'b [u8], Fault> {
        let end = bytes
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
            .unwrap_or(bytes.len());
        if end > 0 {
            self.unpaired();
            self.keep(&bytes[..end]);
        }
        match bytes.get(end) {
            None => {}
            Some(b'"') => {
                self.unpaired();
                self.end_text(sink)?;
            }
            Some(b'\\') => self.expect = Expect::Escape,
            Some(_) => return Err(Fault::NotJson),
        }
        Ok(bytes.get(end + 1..).unwrap_or_default())
    }

    fn escape(&mut self, byte: u8) -> Result<(), Fault> {
        let plain = match byte {
            b'u' => {
                (self.expect, self.unit) = (Expect::Hex(4), 0);
                return Ok(());
            }
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            _ => return Err(Fault::NotJson),
        };
        self.unpaired();
        self.keep(&[plain]);
        self.expect = Expect::Text;
        Ok(())
    }

    fn hex(&mut self, byte: u8, left: u8) -> Result<(), Fault> {
        let digit = char::from(byte).to_digit(16).ok_or(Fault::NotJson)?;
        self.unit = self.unit << 4 | digit as u16;
        self.expect = Expect::Hex(left - 1);
        if left > 1 {
            return Ok(());
        }
        self.expect = Expect::Text;
        let (high, unit) = (self.high, self.unit);
        let code = match unit {
            0xdc00..0xe000 if high != 0 => {
                self.high = 0;
                0x1_0000 + (u32::from(high - 0xd800) << 10 | u32::from(unit - 0xdc00))
            }
            0xd800..0xdc00 => {
                self.unpaired();
                self.high = unit;
                return Ok(());
            }
            _ => {
                self.unpaired();
                u32::from(unit)
            }
        };
        let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        self.keep(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    /// Half a surrogate pair stands for no character.
    fn unpaired(&mut self) {
        if core::mem::take(&mut self.high) != 0 {
            self.keep("\u{fffd}".as_bytes());
        }
    }

    fn begin_text(&mut self, is_key: bool) {
        self.begin_scalar(Expect::Text);
        self.is_key = is_key;
    }

    fn begin_scalar(&mut self, kind: Expect) {
        self.text.clear();
        self.too_long = false;
        self.high = 0;
        self.expect = kind;
    }

    fn end_text(&mut self, sink: &mut dyn Sink) -> Result<(), Fault> {
        let text = if self.too_long { &[] } else { &self.text[..] };
        let text = core::str::from_utf8(text).map_err(|_| Fault::NotUtf8)?;
        if self.is_key {
            sink.token(Token::Key(text));
            self.expect = Expect::Colon;
        } else {
            sink.token(if self.too_long {
                Token::TooLong
            } else {
                Token::Text(text)
            });
            self.end_value();
        }
        Ok(())
    }

    fn end_scalar(&mut self, sink: &mut dyn Sink) -> Result<(), Fault> {
        let text = core::str::from_utf8(&self.text).map_err(|_| Fault::NotUtf8)?;
        let token = match self.expect {
            _ if self.too_long => Token::TooLong,
            Expect::Number if text.ends_with(|last: char| last.is_ascii_digit()) => Token::Number(text),
            Expect::Word if matches!(text, "true" | "false" | "null") => Token::Word,
            _ => return Err(Fault::NotJson),
        };
        sink.token(token);
        self.end_value();
        Ok(())
    }

    fn end_value(&mut self) {
        self.expect = if self.depth == 0 {
            Expect::Nothing
        } else {
            Expect::CommaOrEnd
        };
    }

    fn in_object(&self) -> bool {
        self.depth > 0 && self.nesting & 1 == 1
    }

    fn structure(&mut self, byte: u8, sink: &mut dyn Sink) -> Result<(), Fault> {
        let value = matches!(self.expect, Expect::Value | Expect::ValueOrEnd);
        let key = matches!(self.expect, Expect::Key | Expect::KeyOrEnd);
        match byte {
            // A document is an object.
            _ if self.depth == 0 && byte != b'{' => return Err(Fault::NotJson),
            b'{' | b'[' if value => {
                if self.depth == DEPTH_LIMIT {
                    return Err(Fault::TooDeep);
                }
                let is_object = byte == b'{';
                self.nesting = self.nesting << 1 | u32::from(is_object);
                self.depth += 1;
                self.expect = if is_object {
                    Expect::KeyOrEnd
                } else {
                    Expect::ValueOrEnd
                };
                sink.token(if is_object { Token::Object } else { Token::Array });
            }
            b'"' if value || key => self.begin_text(key),
            b'-' | b'0'..=b'9' if value => {
                self.begin_scalar(Expect::Number);
                self.keep(&[byte]);
            }
            b'a'..=b'z' if value => {
                self.begin_scalar(Expect::Word);
                self.keep(&[byte]);
            }
            b':' if self.expect == Expect::Colon => self.expect = Expect::Value,
            b',' if self.expect == Expect::CommaOrEnd => {
                self.expect = if self.in_object() { Expect::Key } else { Expect::Value };
            }
            b'}' if self.in_object() && matches!(self.expect, Expect::CommaOrEnd | Expect::KeyOrEnd) => self.end(sink),
            b']' if !self.in_object() && matches!(self.expect, Expect::CommaOrEnd | Expect::ValueOrEnd) => {
                self.end(sink);
            }
            _ => return Err(Fault::NotJson),
        }
        Ok(())
    }

    fn end(&mut self, sink: &mut dyn Sink) {
        self.nesting >>= 1;
        self.depth -= 1;
        sink.token(Token::End);
        self.end_value();
    }
}

#[cfg(test)]
#[path = "json_stream_tests.rs"]
mod tests;
