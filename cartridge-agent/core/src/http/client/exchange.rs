//! Reading one answer as its bytes come.

use super::Fault;

/// The longest line that is kept, in bytes; of a field that does not count, the rest is skipped.
pub const LINE_LIMIT: usize = 1024;

/// The most bytes in a head: its status line, its fields, the heads of interim answers and the trailer together.
pub const FIELDS_LIMIT: usize = 32 * 1024;

/// The longest `Location` that is followed, in bytes.
const LOCATION_LIMIT: usize = 512;

/// What comes next on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    StatusLine,
    Field,
    /// So many bytes of a body with a length.
    Sized,
    /// A body that ends with its connection.
    ToTheEnd,
    ChunkSize,
    /// So many bytes of a chunk.
    Chunk,
    /// The line end after a chunk.
    ChunkEnd,
    /// Fields after the last chunk.
    Trailer,
    Nothing,
}

/// One answer. Every byte of the connection goes to [`Exchange::receive`], its end to [`Exchange::ended`].
pub struct Exchange {
    next: Next,
    line: [u8; LINE_LIMIT],
    line_length: usize,
    /// The line is longer than what was kept of it.
    line_cut: bool,
    fields_left: usize,
    status: u16,
    length: Option<u64>,
    chunked: bool,
    /// Bytes to come of the body or chunk.
    left: u64,
    /// Bytes of body that are still taken.
    body_left: u64,
    location: [u8; LOCATION_LIMIT],
    location_length: usize,
}

impl Exchange {
    /// An answer whose body may have `body_limit` bytes.
    pub fn new(body_limit: u64) -> Self {
        Self {
            next: Next::StatusLine,
            line: [0; LINE_LIMIT],
            line_length: 0,
            line_cut: false,
            fields_left: FIELDS_LIMIT,
            status: 0,
            length: None,
            chunked: false,
            left: 0,
            body_left: body_limit,
            location: [0; LOCATION_LIMIT],
            location_length: 0,
        }
    }

    /// Takes what came; `sink` gets the pieces of the body, if the status is 2xx, and answers whether it wants more.
    ///
    /// # Errors
    /// A [`Fault`] of the answer, or [`Fault::NotWanted`] when the sink says so. The exchange is over then.
    pub fn receive(&mut self, mut bytes: &[u8], sink: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), Fault> {
        while !bytes.is_empty() {
            match self.next {
                // Nothing else was asked for.
                Next::Nothing => return Ok(()),
                Next::Sized | Next::ToTheEnd | Next::Chunk => self.body(&mut bytes, sink)?,
                _ => {
                    if self.collect(&mut bytes)? {
                        self.line()?;
                        self.line_length = 0;
                        self.line_cut = false;
                    }
                }
            }
        }
        Ok(())
    }

    /// The connection ended.
    ///
    /// # Errors
    /// [`Fault::CutOff`] when there is more of the answer to come.
    pub fn ended(&self) -> Result<(), Fault> {
        match self.next {
            Next::Nothing | Next::ToTheEnd => Ok(()),
            _ => Err(Fault::CutOff),
        }
    }

    /// True when all of the answer came that is of use.
    pub fn is_complete(&self) -> bool {
        self.next == Next::Nothing
    }

    /// The status, as 200; 0 before it came.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Where a redirect leads.
    pub fn location(&self) -> Option<&str> {
        let location = self.location.get(..self.location_length)?;
        core::str::from_utf8(location).ok().filter(|text| !text.is_empty())
    }

    /// Hands on what `bytes` has of the body.
    fn body(&mut self, bytes: &mut &[u8], sink: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), Fault> {
        let here = match self.next {
            Next::ToTheEnd => bytes.len(),
            _ => usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len()),
        };
        let (piece, rest) = bytes.split_at(here);
        *bytes = rest;
        let count = here as u64;
        self.left = self.left.saturating_sub(count);
        self.body_left = self.body_left.checked_sub(count).ok_or(Fault::BodyTooLarge)?;
        if self.next != Next::ToTheEnd && self.left == 0 {
            self.next = if self.next == Next::Chunk {
                Next::ChunkEnd
            } else {
                Next::Nothing
            };
        }
        if sink(piece) { Ok(()) } else { Err(Fault::NotWanted) }
    }

    /// Adds to the line; true when it is whole (without its end).
    fn collect(&mut self, bytes: &mut &[u8]) -> Result<bool, Fault> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        *bytes = rest.get(1..).unwrap_or_default();
        if self.next != Next::ChunkSize && self.next != Next::ChunkEnd {
            let used = part.len() + 1;
            self.fields_left = self.fields_left.checked_sub(used).ok_or(Fault::HeadTooLarge)?;
        }
        let room = &mut self.line[self.line_length..];
        let kept = part.len().min(room.len());
        room[..kept].copy_from_slice(&part[..kept]);
        self.line_length += kept;
        self.line_cut |= kept < part.len();
        Ok(end.is_some())
    }

    /// Takes the whole line for what it is.
    fn line(&mut self) -> Result<(), Fault> {
        let line = self.line[..self.line_length]
            .strip_suffix(b"\r")
            .unwrap_or(&self.line[..self.line_length]);
        // Only a field may be longer, if it does not count.
        if self.line_cut && self.next != Next::Field && self.next != Next::Trailer {
            return Err(Fault::Malformed);
        }
        match self.next {
            Next::StatusLine => {
                self.status = status(line).ok_or(Fault::Malformed)?;
                self.next = Next::Field;
            }
            Next::Field if line.is_empty() => return self.head_ended(),
            Next::Field => return self.field(),
            Next::ChunkSize => {
                self.left = chunk_size(line).ok_or(Fault::Malformed)?;
                self.next = if self.left == 0 { Next::Trailer } else { Next::Chunk };
                if self.left > self.body_left {
                    return Err(Fault::BodyTooLarge);
                }
            }
            Next::ChunkEnd if line.is_empty() => self.next = Next::ChunkSize,
            Next::ChunkEnd => return Err(Fault::Malformed),
            Next::Trailer if line.is_empty() => self.next = Next::Nothing,
            _ => {}
        }
        Ok(())
    }

    fn field(&mut self) -> Result<(), Fault> {
        let line = &self.line[..self.line_length];
        let colon = line.iter().position(|byte| *byte == b':').ok_or(Fault::Malformed)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let known: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"location"];
        let Some(field) = known.iter().position(|known| name.eq_ignore_ascii_case(known)) else {
            return Ok(());
        };
        if self.line_cut {
            return Err(Fault::HeadTooLarge);
        }
        match field {
            0 => {
                let length = core::str::from_utf8(value).ok().and_then(crate::parameters::decimal);
                let length = length.ok_or(Fault::Malformed)?;
                if self.length.is_some_and(|earlier| earlier != length) {
                    return Err(Fault::Malformed);
                }
                self.length = Some(length);
            }
            // No other coding was asked for.
            1 if self.chunked || !value.eq_ignore_ascii_case(b"chunked") => return Err(Fault::Malformed),
            1 => self.chunked = true,
            // One that is too long leads nowhere.
            _ => {
                self.location_length = 0;
                if let Some(room) = self.location.get_mut(..value.len()) {
                    room.copy_from_slice(value);
                    self.location_length = value.len();
                }
            }
        }
        Ok(())
    }

    /// How the body is framed (RFC 9112 section 6.3).
    fn head_ended(&mut self) -> Result<(), Fault> {
        let length = self.length.take();
        self.next = match (self.status, length) {
            // An interim answer: the final one follows (RFC 9110 section 15.2). Nobody asked to change the protocol.
            (101, _) => return Err(Fault::Malformed),
            (100..=199, _) => {
                self.chunked = false;
                Next::StatusLine
            }
            // Not to be read.
            (204, _) => Next::Nothing,
            (status, _) if status > 299 => Next::Nothing,
            // Both is an attempt to smuggle.
            (_, Some(_)) if self.chunked => return Err(Fault::Malformed),
            (_, None) if self.chunked => Next::ChunkSize,
            (_, None) => Next::ToTheEnd,
            (_, Some(0)) => Next::Nothing,
            (_, Some(length)) if length > self.body_left => return Err(Fault::BodyTooLarge),
            (_, Some(length)) => {
                self.left = length;
                Next::Sized
            }
        };
        Ok(())
    }
}

/// The status in `HTTP/1.x NNN REASON` (RFC 9112 section 4); the reason does not count.
fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.0 ").or(line.strip_prefix(b"HTTP/1.1 "))?;
    let (digits, reason) = rest.split_at_checked(3)?;
    if !(reason.is_empty() || reason.starts_with(b" ")) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits
        .iter()
        .fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    (100..=599).contains(&number).then_some(number)
}

/// The size before a chunk: hexadecimal digits, then extensions, which do not count (RFC 9112 section 7.1).
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii();
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    digits.iter().try_fold(0, |size: u64, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(size << 4 | u64::from(digit))
    })
}
