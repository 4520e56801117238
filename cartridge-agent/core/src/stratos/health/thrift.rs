//! Thrift's binary protocol in its strict form, without frames
//! (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-binary-protocol.md>).
//!
//! All numbers are big-endian. A message is `0x8001 00 kind` (4 bytes), the method's name (a string), a sequence number
//! (4 bytes) and a struct. A struct is fields of type (1 byte), number (2 bytes) and value, and a zero byte. A string has its
//! length before it (4 bytes), a list its elements' type (1) and their number (4), a map two types and their number.

/// The version in the upper half of a message's first word.
const VERSION: u32 = 0x8001_0000;
const CALL: u8 = 1;
const REPLY: u8 = 2;
const EXCEPTION: u8 = 3;

/// Ends a struct.
const STOP: u8 = 0;

// Types of values.
/// A byte that is 0 or 1.
pub const BOOL: u8 = 2;
const BYTE: u8 = 3;
/// An IEEE 754 number of 8 bytes.
pub const DOUBLE: u8 = 4;
const I16: u8 = 6;
/// A number of 4 bytes.
pub const I32: u8 = 8;
/// A number of 8 bytes.
pub const I64: u8 = 10;
/// A text.
pub const STRING: u8 = 11;
/// Fields.
pub const STRUCT: u8 = 12;
const MAP: u8 = 13;
const SET: u8 = 14;
/// Values of one type.
pub const LIST: u8 = 15;

/// A call being written to a buffer of the caller's.
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    length: usize,
    full: bool,
}

impl<'b> Writer<'b> {
    /// Begins a call of `method`; its arguments, a struct, follow.
    pub fn call(buffer: &'b mut [u8], method: &str, sequence: u32) -> Self {
        let (length, full) = (0, false);
        let mut writer = Writer { buffer, length, full };
        writer.number(VERSION | u32::from(CALL));
        writer.string(method.as_bytes());
        writer.number(sequence);
        writer
    }

    /// Begins a field; its value follows.
    #[inline(never)]
    pub fn field(&mut self, kind: u8, number: u8) {
        self.raw(&[kind, 0, number]);
    }

    /// Begins a list; its elements follow.
    pub fn list(&mut self, kind: u8, count: u32) {
        self.raw(&[kind]);
        self.number(count);
    }

    /// A text.
    #[inline(never)]
    pub fn string(&mut self, text: &[u8]) {
        self.number(text.len() as u32);
        self.raw(text);
    }

    /// A number of 4 bytes.
    #[inline(never)]
    pub fn number(&mut self, number: u32) {
        self.raw(&number.to_be_bytes());
    }

    /// A number of 8 bytes, or the bits of a double.
    pub fn long(&mut self, bits: u64) {
        self.raw(&bits.to_be_bytes());
    }

    /// Ends a struct.
    pub fn stop(&mut self) {
        self.raw(&[STOP]);
    }

    /// Ends the arguments; gives the length of the call, or `None` if it did not fit.
    pub fn finish(mut self) -> Option<usize> {
        self.stop();
        (!self.full).then_some(self.length)
    }

    #[inline(never)]
    fn raw(&mut self, bytes: &[u8]) {
        let room = self.buffer.get_mut(self.length..);
        match room.and_then(|room| room.get_mut(..bytes.len())) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.length += bytes.len();
            }
            None => self.full = true,
        }
    }
}

/// The longest text of an answer that is kept, in bytes.
pub const TEXT_LIMIT: usize = 160;

/// An answer has at most this many bytes.
pub const ANSWER_LIMIT: u32 = 64 * 1024;

/// Structs, lists and maps in one another: an answer of the databridge has 2.
const DEPTH: usize = 8;

/// Bytes that are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The result of a call, with its text if it has one; or nothing, of a call that has none.
    Success,
    /// The exception with this number in the method's declaration.
    Exception(u16),
    /// The server cannot do the call (TApplicationException), for the reason with this number.
    Failure(u32),
}

/// Why a server cannot do a call: it has no such method (TApplicationException, UNKNOWN_METHOD).
pub const UNKNOWN_METHOD: u32 = 1;

/// Reads one answer, in pieces of any size. What it does not know it passes over.
#[derive(Clone, Debug)]
pub struct Reader {
    expected: Expected,
    /// A number being read: so many bytes are to come, and what there is.
    left: u8,
    number: u64,
    /// Bytes of a string still to come.
    string: u32,
    is_kept: bool,
    taken: u32,
    /// What is open, the outermost first.
    open: [Open; DEPTH],
    depth: usize,
    // What was read.
    kind: u8,
    sequence: u32,
    /// The number of the outermost struct's first field, if it has one: the others of a result are not set.
    field: Option<u16>,
    reason: u32,
    text: [u8; TEXT_LIMIT],
    length: usize,
    is_cut: bool,
}

/// What the number being read is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Version,
    NameLength,
    Sequence,
    FieldType,
    FieldNumber,
    Scalar,
    StringLength,
    ListHead,
    MapHead,
    /// The answer is complete.
    Nothing,
}

/// A struct, or a list, set or map.
#[derive(Clone, Copy, Debug)]
struct Open {
    is_struct: bool,
    /// The type of a struct's field at hand, of a list's elements, of a map's values.
    kind: u8,
    /// The type of a map's keys; of a list, that of its elements.
    key: u8,
    /// The number of a struct's field at hand.
    field: u16,
    /// How many values of a list, keys and values of a map are to come.
    left: u32,
}

const OPEN_STRUCT: Open = Open {
    is_struct: true,
    kind: 0,
    key: 0,
    field: 0,
    left: 0,
};

impl Reader {
    /// Nothing yet.
    pub const fn new() -> Self {
        Reader {
            expected: Expected::Version,
            left: 4,
            number: 0,
            string: 0,
            is_kept: false,
            taken: 0,
            open: [OPEN_STRUCT; DEPTH],
            depth: 0,
            kind: 0,
            sequence: 0,
            field: None,
            reason: 0,
            text: [0; TEXT_LIMIT],
            length: 0,
            is_cut: false,
        }
    }

    /// Takes the next bytes; true when the answer is complete.
    ///
    /// # Errors
    /// [`Malformed`]: these bytes, or those before, are no answer, are more than [`ANSWER_LIMIT`], or come after its end.
    #[inline(never)]
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<bool, Malformed> {
        self.taken = self.taken.saturating_add(bytes.len() as u32);
        if self.taken > ANSWER_LIMIT {
            return Err(Malformed);
        }
        loop {
            if self.string > 0 {
                let (part, rest) = bytes.split_at(bytes.len().min(self.string as usize));
                bytes = rest;
                self.string -= part.len() as u32;
                if self.is_kept {
                    self.keep(part);
                }
                if self.string > 0 {
                    return Ok(false);
                }
                self.string_is_over()?;
            } else if self.expected == Expected::Nothing {
                return if bytes.is_empty() { Ok(true) } else { Err(Malformed) };
            } else {
                let Some((byte, rest)) = bytes.split_first() else {
                    return Ok(false);
                };
                bytes = rest;
                self.number = self.number << 8 | u64::from(*byte);
                self.left -= 1;
                if self.left == 0 {
                    self.have_number()?;
                }
            }
        }
    }

    /// The sequence number of the call that a complete answer is for.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// What a complete answer says.
    pub fn outcome(&self) -> Outcome {
        match (self.kind, self.field) {
            (EXCEPTION, _) => Outcome::Failure(self.reason),
            (_, None | Some(0)) => Outcome::Success,
            (_, Some(number)) => Outcome::Exception(number),
        }
    }

    /// True if the answer is complete.
    pub fn is_complete(&self) -> bool {
        self.expected == Expected::Nothing
    }

    /// The result of the call, or the exception's message, up to [`TEXT_LIMIT`] bytes of it.
    pub fn text(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }

    /// True if [`Reader::text`] is not all there was.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn keep(&mut self, part: &[u8]) {
        let room = self.text.get_mut(self.length..).unwrap_or_default();
        let count = part.len().min(room.len());
        room[..count].copy_from_slice(&part[..count]);
        self.length += count;
        self.is_cut |= count < part.len();
    }

    /// The next number has so many bytes.
    fn expect(&mut self, expected: Expected, bytes: u8) {
        self.expected = expected;
        (self.left, self.number) = (bytes, 0);
    }

    fn have_number(&mut self) -> Result<(), Malformed> {
        let (number, word) = (self.number, self.number as u32);
        match self.expected {
            Expected::Version => {
                self.kind = number as u8;
                if word & 0xffff_0000 != VERSION || ![REPLY, EXCEPTION].contains(&self.kind) {
                    return Err(Malformed);
                }
                self.expect(Expected::NameLength, 4);
            }
            Expected::Sequence => {
                self.sequence = word;
                self.begin(OPEN_STRUCT)?;
            }
            Expected::FieldType if number == u64::from(STOP) => {
                self.depth -= 1;
                self.value_is_over()?;
            }
            Expected::FieldType => {
                self.top().kind = number as u8;
                self.expect(Expected::FieldNumber, 2);
            }
            Expected::FieldNumber => {
                self.top().field = number as u16;
                if self.depth == 1 {
                    self.field.get_or_insert(number as u16);
                }
                let kind = self.top().kind;
                self.begin_value(kind)?;
            }
            Expected::Scalar => {
                if self.depth == 1 && self.kind == EXCEPTION && self.top().field == 2 {
                    self.reason = word;
                }
                self.value_is_over()?;
            }
            Expected::NameLength | Expected::StringLength => {
                if word > ANSWER_LIMIT {
                    return Err(Malformed);
                }
                self.string = word;
                self.is_kept = self.is_wanted();
                if self.is_kept {
                    (self.length, self.is_cut) = (0, false);
                }
                if word == 0 {
                    self.string_is_over()?;
                }
            }
            Expected::ListHead => {
                let kind = (number >> 32) as u8;
                self.begin_values(kind, kind, word, 1)?;
            }
            Expected::MapHead => {
                let (key, value) = ((number >> 40) as u8, (number >> 32) as u8);
                self.begin_values(value, key, word, 2)?;
            }
            Expected::Nothing => return Err(Malformed),
        }
        Ok(())
    }

    /// Begins a value of this type.
    fn begin_value(&mut self, kind: u8) -> Result<(), Malformed> {
        let (expected, bytes) = match kind {
            STRUCT => return self.begin(OPEN_STRUCT),
            BOOL | BYTE => (Expected::Scalar, 1),
            I16 => (Expected::Scalar, 2),
            I32 => (Expected::Scalar, 4),
            I64 | DOUBLE => (Expected::Scalar, 8),
            STRING => (Expected::StringLength, 4),
            LIST | SET => (Expected::ListHead, 5),
            MAP => (Expected::MapHead, 6),
            _ => return Err(Malformed),
        };
        self.expect(expected, bytes);
        Ok(())
    }

    /// Begins the values of a list or map: `count` times `each`.
    fn begin_values(&mut self, kind: u8, key: u8, count: u32, each: u32) -> Result<(), Malformed> {
        if count > ANSWER_LIMIT {
            return Err(Malformed);
        }
        let left = count * each;
        self.begin(Open {
            is_struct: false,
            kind,
            key,
            field: 0,
            left,
        })?;
        self.value_is_over()
    }

    #[inline(never)]
    fn begin(&mut self, open: Open) -> Result<(), Malformed> {
        *self.open.get_mut(self.depth).ok_or(Malformed)? = open;
        self.depth += 1;
        self.expect(Expected::FieldType, 1);
        Ok(())
    }

    /// The innermost that is open. (The remainder keeps a check out of the image; something is open whenever this is called.)
    fn top(&mut self) -> &mut Open {
        &mut self.open[self.depth.wrapping_sub(1) % DEPTH]
    }

    /// Goes on after a value, in what it is in. A value has at least one byte, so this ends.
    #[inline(never)]
    fn value_is_over(&mut self) -> Result<(), Malformed> {
        while self.depth > 0 {
            let top = self.top();
            if top.is_struct {
                self.expect(Expected::FieldType, 1);
                return Ok(());
            }
            if top.left > 0 {
                top.left -= 1;
                // A map's keys come before their values, and an even number of both is to come before a key.
                let kind = if top.left % 2 == 1 { top.key } else { top.kind };
                return self.begin_value(kind);
            }
            self.depth -= 1;
        }
        self.expected = Expected::Nothing;
        Ok(())
    }

    fn string_is_over(&mut self) -> Result<(), Malformed> {
        if self.expected == Expected::NameLength {
            self.expect(Expected::Sequence, 4);
            return Ok(());
        }
        self.value_is_over()
    }

    /// True for a string that [`Reader::text`] gives: a result, field 0, or the message, field 1, of the exception that counts.
    fn is_wanted(&mut self) -> bool {
        let outer = self.open[0].field;
        match (self.expected, self.depth) {
            (Expected::StringLength, 1) => outer == u16::from(self.kind == EXCEPTION),
            (Expected::StringLength, 2) => {
                let inner = self.top();
                let is_message = inner.is_struct && inner.field == 1;
                is_message && outer > 0 && self.field == Some(outer)
            }
            _ => false,
        }
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
#[path = "thrift_tests.rs"]
pub(super) mod tests;
