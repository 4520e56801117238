//! Records of a zip archive (PKWARE's APPNOTE.TXT 6.3, section 4.3): what is where in their bytes.

use super::Problem;

/// What a record begins with.
pub const LOCAL: u32 = 0x0403_4b50;
pub const DESCRIPTOR: u32 = 0x0807_4b50;
pub const CENTRAL: u32 = 0x0201_4b50;
pub const END: u32 = 0x0605_4b50;
pub const END_64: u32 = 0x0606_4b50;
pub const LOCATOR_64: u32 = 0x0706_4b50;

/// Bytes of a record's fixed part, its signature included.
pub const LOCAL_SIZE: usize = 30;
pub const CENTRAL_SIZE: usize = 46;
pub const END_SIZE: usize = 22;
pub const END_64_SIZE: usize = 12;
pub const LOCATOR_64_SIZE: usize = 20;

/// A size that is in the extra field instead.
const ELSEWHERE: u32 = u32::MAX;
/// The extra field with sizes of 64 bits (APPNOTE 4.5.3).
const ZIP_64: u16 = 1;
/// Bits of the general purpose flags (APPNOTE 4.4.4).
const ENCRYPTED: u16 = 1;
const HAS_DESCRIPTOR: u16 = 8;
const PATCH: u16 = 0x20;
const STRONGLY_ENCRYPTED: u16 = 0x40;
const MASKED: u16 = 0x2000;

/// The method of an entry (APPNOTE 4.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Stored,
    Deflated,
}

/// A local header.
#[derive(Clone, Debug)]
pub struct Local {
    pub name: Vec<u8>,
    pub method: Method,
    pub crc: u32,
    pub packed: u64,
    pub unpacked: u64,
    /// CRC and sizes come after the content.
    pub has_descriptor: bool,
    /// The sizes there have 64 bits.
    pub is_64: bool,
}

/// Bytes after the fixed part of a local or central header.
pub fn rest_of(fixed: &[u8]) -> usize {
    match word(fixed, 0) {
        LOCAL => half(fixed, 26) + half(fixed, 28),
        _ => half(fixed, 28) + half(fixed, 30) + half(fixed, 32),
    }
}

/// Reads a local header, with its name and extra field.
pub fn local(record: &[u8]) -> Result<Local, Problem> {
    let flags = half(record, 6) as u16;
    if flags & (ENCRYPTED | STRONGLY_ENCRYPTED | MASKED) != 0 {
        return Err(Problem::Unsupported("it is encrypted"));
    }
    if flags & PATCH != 0 {
        return Err(Problem::Unsupported("it holds differences of files"));
    }
    let method = match half(record, 8) {
        0 => Method::Stored,
        8 => Method::Deflated,
        _ => return Err(Problem::Unsupported("it is packed by a method other than deflate")),
    };
    let name_end = LOCAL_SIZE + half(record, 26);
    let extra = zip_64(record.get(name_end..).unwrap_or_default());
    let (packed, unpacked) = (word(record, 18), word(record, 22));
    // With one of them elsewhere, both are there: unpacked first (APPNOTE 4.5.3).
    let wide = |narrow: u32, at: usize| match (narrow, extra) {
        (ELSEWHERE, Some(extra)) => extra
            .get(at..at + 8)
            .map(long)
            .ok_or(Problem::Damaged("a size in a header of zip")),
        _ => Ok(u64::from(narrow)),
    };
    let unpacked_there = unpacked == ELSEWHERE;
    Ok(Local {
        name: record.get(LOCAL_SIZE..name_end).unwrap_or_default().to_vec(),
        method,
        crc: word(record, 14),
        packed: wide(packed, if unpacked_there { 8 } else { 0 })?,
        unpacked: wide(unpacked, 0)?,
        has_descriptor: flags & HAS_DESCRIPTOR != 0,
        is_64: extra.is_some(),
    })
}

/// Name, CRC and whether it is a link, of a central header.
pub fn central(record: &[u8]) -> (&[u8], u32, bool) {
    const UNIX: u8 = 3;
    const KIND: u32 = 0o170_000;
    const LINK: u32 = 0o120_000;
    let name = record
        .get(CENTRAL_SIZE..CENTRAL_SIZE + half(record, 28))
        .unwrap_or_default();
    let made_by = record.get(5).copied().unwrap_or_default();
    let mode = word(record, 38) >> 16;
    (name, word(record, 16), made_by == UNIX && mode & KIND == LINK)
}

/// How many entries the end record states; `None` if that is elsewhere.
pub fn count(end: &[u8]) -> Option<u64> {
    let count = half(end, 10) as u64;
    (count != 0xffff).then_some(count)
}

/// True if a data descriptor says this (APPNOTE 4.3.9), whose sizes have 32 or 64 bits; `text` begins behind its signature.
pub fn describes(text: &[u8], crc: u32, packed: u64, unpacked: u64) -> bool {
    if word(text, 0) != crc {
        return false;
    }
    match text.len() {
        12 => u64::from(word(text, 4)) == packed && u64::from(word(text, 8)) == unpacked,
        20 => long(&text[4..12]) == packed && long(&text[12..20]) == unpacked,
        _ => false,
    }
}

/// The content of the extra field for 64 bits, if there is one.
fn zip_64(mut fields: &[u8]) -> Option<&[u8]> {
    while fields.len() >= 4 {
        let (kind, size) = (half(fields, 0) as u16, half(fields, 2));
        let content = fields.get(4..4 + size)?;
        if kind == ZIP_64 {
            return Some(content);
        }
        fields = &fields[4 + size..];
    }
    None
}

/// 16 bits at this offset; 0 where there are none.
pub fn half(bytes: &[u8], at: usize) -> usize {
    let bytes = bytes.get(at..at + 2).unwrap_or(&[0; 2]);
    usize::from(u16::from_le_bytes([bytes[0], bytes[1]]))
}

/// 32 bits at this offset; 0 where there are none.
pub fn word(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..at + 4).unwrap_or(&[0; 4]);
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// 64 bits.
pub fn long(bytes: &[u8]) -> u64 {
    u64::from(word(bytes, 0)) | u64::from(word(bytes, 4)) << 32
}
