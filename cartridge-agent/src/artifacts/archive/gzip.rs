//! A tar inside gzip (RFC 1952), of one or more members.

use super::inflate::Inflate;
use super::tar::{self, Tar};
use super::{Folder, Limits, Problem};

/// Bits of the flags in a member's header (RFC 1952 section 2.3.1).
const HEADER_CRC: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// Bytes of a header without its optional parts, and of the trailer.
const FIXED: usize = 10;
const TRAILER: usize = 8;

/// What is unpacked, and the tar it becomes.
pub struct Gzip {
    state: State,
    inflate: Inflate,
    tar: Tar,
    /// The tar's first block, to tell that it is one.
    first: Vec<u8>,
}

#[derive(Clone, Copy)]
enum State {
    /// So many bytes of the fixed part are known; the flags among them.
    Fixed(usize, u8),
    /// Optional parts that are still to come.
    Optional(u8),
    /// The first byte of the length of the extra field.
    ExtraLength(u8, Option<u8>),
    /// Bytes to pass over.
    Skip(u8, usize),
    Body,
    Trailer([u8; TRAILER], usize),
    /// Zeros after the last member, as tapes have.
    Padding,
}

impl Gzip {
    pub fn new(limits: Limits) -> Self {
        Gzip {
            state: State::Fixed(0, 0),
            inflate: Inflate::new(),
            tar: Tar::new(limits),
            first: Vec::new(),
        }
    }

    pub fn take(&mut self, mut bytes: &[u8], folder: &mut Folder) -> Result<(), Problem> {
        while let Some(byte) = bytes.first() {
            let used = match self.state {
                State::Body => self.body(bytes, folder)?,
                state => {
                    self.state = self.step(state, *byte)?;
                    1
                }
            };
            bytes = &bytes[used..];
        }
        Ok(())
    }

    pub fn finish(&mut self) -> Result<(), Problem> {
        if !matches!(self.state, State::Fixed(0, _) | State::Padding) {
            return Err(Problem::Truncated);
        }
        if self.first.len() < tar::BLOCK {
            return Err(not_a_tar());
        }
        self.tar.finish()
    }

    /// One byte of what is not compressed.
    fn step(&mut self, state: State, byte: u8) -> Result<State, Problem> {
        const BAD: Problem = Problem::Damaged("a header of gzip");
        Ok(match state {
            State::Fixed(0, _) if byte == 0 && !self.first.is_empty() => State::Padding,
            State::Fixed(0, _) if byte != 0x1f => return Err(BAD),
            State::Fixed(1, _) if byte != 0x8b => return Err(BAD),
            State::Fixed(2, _) if byte != 8 => return Err(BAD),
            State::Fixed(3, _) if byte & RESERVED != 0 => return Err(BAD),
            State::Fixed(3, _) => State::Fixed(4, byte),
            State::Fixed(known, flags) if known + 1 < FIXED => State::Fixed(known + 1, flags),
            State::Fixed(_, flags) => self.next_part(flags),
            State::ExtraLength(flags, None) => State::ExtraLength(flags, Some(byte)),
            State::ExtraLength(flags, Some(low)) => self.skip(flags, usize::from(u16::from_le_bytes([low, byte]))),
            State::Skip(flags, left) => self.skip(flags, left - 1),
            // A name or a comment, up to its zero byte.
            State::Optional(flags) if byte != 0 => State::Optional(flags),
            State::Optional(flags) if flags & NAME != 0 => self.next_part(flags & !NAME),
            State::Optional(flags) => self.next_part(flags & !COMMENT),
            State::Trailer(mut trailer, known) => {
                trailer[known] = byte;
                if known + 1 < TRAILER {
                    return Ok(State::Trailer(trailer, known + 1));
                }
                self.check(trailer)?;
                State::Fixed(0, 0)
            }
            State::Padding if byte == 0 => State::Padding,
            State::Padding | State::Body => return Err(BAD),
        })
    }

    fn skip(&mut self, flags: u8, left: usize) -> State {
        match left {
            0 => self.next_part(flags),
            _ => State::Skip(flags, left),
        }
    }

    /// The parts come in this order; what remains of `flags` says which do.
    fn next_part(&mut self, flags: u8) -> State {
        if flags & EXTRA != 0 {
            return State::ExtraLength(flags & !EXTRA, None);
        }
        if flags & (NAME | COMMENT) != 0 {
            return State::Optional(flags);
        }
        if flags & HEADER_CRC != 0 {
            return State::Skip(flags & !HEADER_CRC, 2);
        }
        self.inflate = Inflate::new();
        State::Body
    }

    fn body(&mut self, bytes: &[u8], folder: &mut Folder) -> Result<usize, Problem> {
        let Self {
            inflate, tar, first, ..
        } = self;
        let (used, ended) = inflate.take(bytes, &mut |piece| {
            let missing = tar::BLOCK - first.len();
            if missing > 0 {
                first.extend_from_slice(&piece[..piece.len().min(missing)]);
                if first.len() == tar::BLOCK && !tar::is_header(first) {
                    return Err(not_a_tar());
                }
            }
            tar.take(piece, folder)
        })?;
        if ended {
            self.state = State::Trailer([0; TRAILER], 0);
        }
        Ok(used)
    }

    /// CRC-32, and the length modulo 2^32.
    fn check(&self, trailer: [u8; TRAILER]) -> Result<(), Problem> {
        let [a, b, c, d, e, f, g, h] = trailer;
        let fits = u32::from_le_bytes([a, b, c, d]) == self.inflate.crc()
            && u32::from_le_bytes([e, f, g, h]) == self.inflate.made() as u32;
        match fits {
            true => Ok(()),
            false => Err(Problem::Damaged("the check sum of gzip differs")),
        }
    }
}

fn not_a_tar() -> Problem {
    Problem::NotAnArchive("it is compressed with gzip, but what is in it is no tar")
}
