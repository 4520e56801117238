//! Program headers of an executable, and the PVH entry point in its notes.

use super::{EM_X86_64, ET_EXEC, Error, FILE_HEADER, IDENT, PROGRAM_HEADER, PT_LOAD, PT_NOTE, PT_TLS, Segment};

/// Xen's note type for the 32-bit PVH entry point (Xen public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY), under the name "Xen".
const PHYS32_ENTRY: u32 = 18;

/// An executable, viewed in place.
#[derive(Debug)]
pub struct Executable<'a> {
    pub entry: u64,
    /// Those that an image keeps: LOAD, NOTE, TLS, in the file's order.
    pub segments: Vec<Segment<'a>>,
}

impl<'a> Executable<'a> {
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        if file.get(..IDENT.len()) != Some(&IDENT) {
            return Err(Error::NotElf);
        }
        let head = file.get(..FILE_HEADER).ok_or(Error::Truncated("header"))?;
        if half(head, 16) != ET_EXEC || half(head, 18) != EM_X86_64 || half(head, 54) as usize != PROGRAM_HEADER {
            return Err(Error::NotForThisMachine);
        }
        let start = usize::try_from(long(head, 32)).map_err(|_| Error::Truncated("program headers"))?;
        let size = PROGRAM_HEADER * half(head, 56) as usize;
        let table = part(file, start as u64, size as u64).ok_or(Error::Truncated("program headers"))?;
        let mut segments = Vec::new();
        for header in table.chunks_exact(PROGRAM_HEADER) {
            let kind = word(header, 0);
            if !matches!(kind, PT_LOAD | PT_NOTE | PT_TLS) || long(header, 40) == 0 {
                continue;
            }
            segments.push(Segment {
                kind,
                flags: word(header, 4),
                virtual_address: long(header, 16),
                physical_address: long(header, 24),
                memory_size: long(header, 40),
                align: long(header, 48),
                data: part(file, long(header, 8), long(header, 32)).ok_or(Error::Truncated("segments"))?,
            });
        }
        let fits = |segment: &Segment<'_>| segment.virtual_address.checked_add(segment.memory_size).is_some();
        match segments.iter().all(fits) {
            true => Ok(Self {
                entry: long(head, 24),
                segments,
            }),
            false => Err(Error::NotForThisMachine),
        }
    }

    /// Where a PVH loader enters, from the note of type 18 named "Xen".
    pub fn pvh_entry(&self) -> Option<u64> {
        self.segments
            .iter()
            .filter(|segment| segment.kind == PT_NOTE)
            .find_map(|segment| pvh_entry(segment.data))
    }
}

/// Notes: three words (name size, description size, type), then name and description, each padded to 4 bytes.
fn pvh_entry(mut notes: &[u8]) -> Option<u64> {
    while notes.len() >= 12 {
        let (name_len, data_len, kind) = (word(notes, 0) as u64, word(notes, 4) as u64, word(notes, 8));
        let name = part(notes, 12, name_len)?;
        let data_start = 12 + name_len.next_multiple_of(4);
        let data = part(notes, data_start, data_len)?;
        if kind == PHYS32_ENTRY && name == b"Xen\0" {
            return match data.len() {
                4 => Some(word(data, 0).into()),
                8 => Some(long(data, 0)),
                _ => None,
            };
        }
        let next = data_start + data_len.next_multiple_of(4);
        notes = notes.get(usize::try_from(next).ok()?..)?;
    }
    None
}

fn part(bytes: &[u8], offset: u64, len: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    bytes.get(start..start.checked_add(usize::try_from(len).ok()?)?)
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from(half(bytes, at)) | u32::from(half(bytes, at + 2)) << 16
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}
