//! tar as it arrives (POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar's long names and large numbers).

use super::pax::{self, Extended};
use super::{Folder, Limits, Problem};

/// Everything in a tar is padded to this many bytes.
pub const BLOCK: usize = 512;
/// Longest extended header or long name that is kept, in bytes.
const LONGEST_META: u64 = 64 * 1024;

/// Fields of a header: offset and length.
const NAME: (usize, usize) = (0, 100);
const SIZE: (usize, usize) = (124, 12);
const SUM: (usize, usize) = (148, 8);
const KIND: usize = 156;
const MAGIC: (usize, usize) = (257, 6);
const PREFIX: (usize, usize) = (345, 155);

/// A tar being read.
pub struct Tar {
    state: State,
    /// The header that is being collected.
    block: Vec<u8>,
    /// What the headers before it say of the next entry.
    next: Extended,
    /// A long name or an extended header that is being collected.
    meta: Vec<u8>,
    taken: u64,
    limit: u64,
}

#[derive(Clone, Copy)]
enum State {
    Header,
    /// The rest of an entry's content, what becomes of it, and the padding after it.
    Content(Use, u64, u64),
    /// The end mark was there. What follows is padding of tapes.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    File,
    Skipped,
    LongName,
    Extended,
}

/// True if this could be the first block of a tar: its check sum fits, or it is an end mark.
pub fn is_header(block: &[u8]) -> bool {
    block.len() == BLOCK && (has_right_sum(block) || block.iter().all(|byte| *byte == 0))
}

impl Tar {
    pub fn new(limits: Limits) -> Self {
        Tar {
            state: State::Header,
            block: Vec::new(),
            next: Extended::default(),
            meta: Vec::new(),
            taken: 0,
            limit: limits.of_a_tar(),
        }
    }

    pub fn take(&mut self, mut bytes: &[u8], folder: &mut Folder) -> Result<(), Problem> {
        self.taken = self.taken.saturating_add(bytes.len() as u64);
        if self.taken > self.limit {
            return Err(Problem::TooLarge(folder.limits().bytes));
        }
        while !bytes.is_empty() {
            let used = match self.state {
                State::Header => self.collect(bytes, folder)?,
                State::Content(what, left, padding) => self.content(what, left, padding, bytes, folder)?,
                State::Ended => bytes.len(),
            };
            bytes = &bytes[used..];
        }
        Ok(())
    }

    pub fn finish(&self) -> Result<(), Problem> {
        match self.state {
            State::Ended => Ok(()),
            _ => Err(Problem::Truncated),
        }
    }

    fn collect(&mut self, bytes: &[u8], folder: &mut Folder) -> Result<usize, Problem> {
        let used = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..used]);
        if self.block.len() == BLOCK {
            let block = std::mem::take(&mut self.block);
            self.header(&block, folder)?;
            self.block = block;
            self.block.clear();
        }
        Ok(used)
    }

    fn header(&mut self, block: &[u8], folder: &mut Folder) -> Result<(), Problem> {
        // One block of zeros ends it, as for most readers; there are two.
        if block.iter().all(|byte| *byte == 0) {
            self.state = State::Ended;
            return Ok(());
        }
        if !has_right_sum(block) {
            return Err(Problem::Damaged("the check sum of a header of tar differs"));
        }
        let kind = block[KIND];
        let mut size = number(field(block, SIZE)).ok_or(Problem::Damaged("a size in a header of tar"))?;
        let (what, next) = match kind {
            b'L' => (Use::LongName, None),
            b'x' | b'X' => (Use::Extended, None),
            // What holds for all entries, as git's commit id; and long names of links, which are not made.
            b'g' | b'K' => (Use::Skipped, None),
            _ => (Use::File, Some(std::mem::take(&mut self.next))),
        };
        let what = match next {
            None => what,
            Some(next) => {
                size = next.size.unwrap_or(size);
                entry(kind, block, &next, &mut size, folder)?
            }
        };
        if matches!(what, Use::LongName | Use::Extended) {
            if size > LONGEST_META {
                return Err(Problem::Damaged("a header of tar that is far too long"));
            }
            self.meta.clear();
        }
        let padding = size.wrapping_neg() % BLOCK as u64;
        self.state = State::Content(what, size, padding);
        if size == 0 {
            self.end(what, folder)?;
        }
        Ok(())
    }

    fn content(
        &mut self,
        what: Use,
        left: u64,
        padding: u64,
        bytes: &[u8],
        folder: &mut Folder,
    ) -> Result<usize, Problem> {
        if left == 0 {
            let used = at_most(bytes, padding);
            self.state = State::Content(what, 0, padding - used as u64);
            if padding == used as u64 {
                self.state = State::Header;
            }
            return Ok(used);
        }
        let used = at_most(bytes, left);
        let content = &bytes[..used];
        match what {
            Use::File => folder.write(content)?,
            Use::Skipped => {}
            Use::LongName | Use::Extended => self.meta.extend_from_slice(content),
        }
        self.state = State::Content(what, left - used as u64, padding);
        if left == used as u64 {
            self.end(what, folder)?;
        }
        Ok(used)
    }

    /// The content is complete; its padding is still to come.
    fn end(&mut self, what: Use, folder: &mut Folder) -> Result<(), Problem> {
        match what {
            Use::File => folder.end_file(),
            Use::Skipped => {}
            Use::LongName => self.next.path = Some(until_zero(&self.meta).to_vec()),
            Use::Extended => {
                let read = pax::read(&self.meta)?;
                self.next = Extended {
                    path: read.path.or(self.next.path.take()),
                    ..read
                };
            }
        }
        if let State::Content(_, _, 0) = self.state {
            self.state = State::Header;
        }
        Ok(())
    }
}

/// Begins an entry of the archive, and says what becomes of its content.
fn entry(kind: u8, block: &[u8], next: &Extended, size: &mut u64, folder: &mut Folder) -> Result<Use, Problem> {
    let name = next.path.clone().unwrap_or_else(|| own_name(block));
    if next.sparse {
        return Err(Problem::Unsupported("it has files with holes (made with tar --sparse)"));
    }
    match kind {
        // The old format has no kind for folders.
        b'0' | 0 | b'7' if name.ends_with(b"/") => folder.make_folder(&name)?,
        b'0' | 0 | b'7' => {
            folder.begin_file(&name)?;
            return Ok(Use::File);
        }
        b'5' => folder.make_folder(&name)?,
        // Links and devices have no content, whatever their size says: hard links of some writers state that of their target.
        b'1' | b'2' | b'3' | b'4' | b'6' => {
            folder.skip(&name)?;
            *size = 0;
        }
        b'S' => return Err(Problem::Unsupported("it has files with holes (made with tar --sparse)")),
        b'M' => return Err(Problem::Unsupported("it is a part of an archive of several volumes")),
        _ => folder.skip(&name)?,
    }
    Ok(Use::Skipped)
}

/// The name in the header itself; ustar has its start in a field of its own.
fn own_name(block: &[u8]) -> Vec<u8> {
    let name = until_zero(field(block, NAME));
    let prefix = until_zero(field(block, PREFIX));
    if field(block, MAGIC) == b"ustar\0" && !prefix.is_empty() {
        return [prefix, name].join(&b'/');
    }
    name.to_vec()
}

fn field(block: &[u8], (start, length): (usize, usize)) -> &[u8] {
    &block[start..start + length]
}

fn until_zero(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn at_most(bytes: &[u8], limit: u64) -> usize {
    usize::try_from(limit).map_or(bytes.len(), |limit| limit.min(bytes.len()))
}

/// The sum of a header's bytes, its own field counted as blanks.
fn has_right_sum(block: &[u8]) -> bool {
    let is_sum = |index: usize| (SUM.0..SUM.0 + SUM.1).contains(&index);
    let bytes = block.iter().enumerate();
    let sum = bytes.fold(0u64, |sum, (index, byte)| {
        sum + u64::from(if is_sum(index) { b' ' } else { *byte })
    });
    number(field(block, SUM)) == Some(sum)
}

/// A number in octal digits, or, with its top bit set, in binary (GNU).
fn number(field: &[u8]) -> Option<u64> {
    if let [0x80, rest @ ..] = field {
        return rest.iter().try_fold(0u64, |number, byte| {
            number.checked_mul(256).map(|number| number + u64::from(*byte))
        });
    }
    let end = |byte: &u8| matches!(byte, 0 | b' ');
    let start = field.iter().position(|byte| *byte != b' ').unwrap_or(field.len());
    let digits = field[start..].split(end).next().unwrap_or_default();
    digits.iter().try_fold(0u64, |number, digit| match digit {
        b'0'..=b'7' => number.checked_mul(8).map(|number| number + u64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        assert_eq!(number(b"00000000017\0"), Some(15));
        assert_eq!(number(b"     17 \0\0\0\0"), Some(15));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]), Some(2 << 32));
        assert_eq!(
            number(&[0x80, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]),
            None
        );
        assert_eq!(number(b"0000000001x\0"), None);
        assert_eq!(number(&[0xff; 12]), None);
    }
}
