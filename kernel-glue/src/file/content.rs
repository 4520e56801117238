//! The bytes of a file in memory, in blocks, so that a large file neither needs contiguous memory nor is copied when it
//! grows.

use crate::errno::{Errno, Result};
use crate::file::budget::Budget;
use crate::heap::{self, Rc, Vec};

/// The longest gap that a write may leave behind the end, bytes: it is filled with zeros while everything else waits.
const LONGEST_GAP: usize = 16 << 20;
/// Bytes in a block.
pub const BLOCK: usize = 4096;

/// Blocks are full ones except that the last may be shorter than [`BLOCK`]; holes are stored as zeros.
pub struct Content {
    blocks: Vec<Vec<u8>>,
    length: usize,
    budget: Rc<Budget>,
}

impl Content {
    pub fn new(budget: Rc<Budget>) -> Content {
        Content {
            blocks: heap::vec(),
            length: 0,
            budget,
        }
    }

    pub fn len(&self) -> usize {
        self.length
    }

    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let Ok(mut offset) = usize::try_from(offset) else {
            return 0;
        };
        let mut done = 0;
        while done < buffer.len() && offset < self.length {
            let block = &self.blocks[offset / BLOCK][offset % BLOCK..];
            let count = block.len().min(buffer.len() - done);
            buffer[done..done + count].copy_from_slice(&block[..count]);
            done += count;
            offset += count;
        }
        done
    }

    /// Writes at `offset`, filling a gap before it with zeros. Writes less when space runs out, ENOSPC when nothing
    /// fits.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let start = usize::try_from(offset).map_err(|_| Errno::EFBIG)?;
        let end = start.checked_add(bytes.len()).ok_or(Errno::EFBIG)?;
        let before = self.length;
        // What cannot be had is not even begun.
        if start.saturating_sub(before) > self.budget.left().min(LONGEST_GAP) {
            return Err(Errno::ENOSPC);
        }
        self.extend(end);
        let fitting = self.length.saturating_sub(start).min(bytes.len());
        if fitting == 0 {
            self.shrink(before);
            return Err(Errno::ENOSPC);
        }
        let mut done = 0;
        while done < fitting {
            let position = start + done;
            let block = &mut self.blocks[position / BLOCK][position % BLOCK..];
            let count = block.len().min(fitting - done);
            block[..count].copy_from_slice(&bytes[done..done + count]);
            done += count;
        }
        Ok(done)
    }

    pub fn truncate(&mut self) {
        self.shrink(0);
    }

    fn shrink(&mut self, length: usize) {
        let kept = length.div_ceil(BLOCK);
        self.budget.give_back((self.blocks.len() - kept) * BLOCK);
        self.blocks.truncate(kept);
        if let Some(last) = self.blocks.last_mut() {
            last.truncate(length - (kept - 1) * BLOCK);
        }
        self.length = length;
    }

    /// Grows to `length` bytes, or as far as space goes.
    fn extend(&mut self, length: usize) {
        while self.length < length {
            if self.length.is_multiple_of(BLOCK) && self.add_block().is_none() {
                return;
            }
            let Some(last) = self.blocks.last_mut() else { return };
            let grown = (last.len() + length - self.length).min(BLOCK);
            self.length += grown - last.len();
            last.resize(grown, 0);
        }
    }

    fn add_block(&mut self) -> Option<()> {
        let mut block = heap::vec();
        self.blocks.try_reserve(1).ok()?;
        if !self.budget.take(BLOCK) {
            return None;
        }
        if block.try_reserve_exact(BLOCK).is_err() {
            self.budget.give_back(BLOCK);
            return None;
        }
        self.blocks.push(block);
        Some(())
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.truncate();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    fn content(limit: usize) -> Content {
        Content::new(Rc::new(Budget::new(limit)))
    }

    #[test]
    fn reads_back_what_was_written_anywhere() {
        let mut content = content(1 << 20);
        let bytes: std::vec::Vec<u8> = (0..10_000u32).map(|n| n as u8).collect();
        assert_eq!(content.write(0, &bytes), Ok(10_000));
        assert_eq!(content.write(4_090, b"0123456789"), Ok(10));
        let mut buffer = vec![0; 20_000];
        assert_eq!(content.read(0, &mut buffer), 10_000);
        assert_eq!(&buffer[4_090..4_100], b"0123456789");
        assert_eq!(buffer[4_100..10_000], bytes[4_100..]);
        assert_eq!(content.read(10_000, &mut buffer), 0);
        assert_eq!(content.read(u64::MAX, &mut buffer), 0);
    }

    #[test]
    fn a_gap_reads_as_zeros() {
        let mut content = content(1 << 20);
        assert_eq!(content.write(9_000, b"x"), Ok(1));
        let mut buffer = [1; 9_001];
        assert_eq!(content.read(0, &mut buffer), 9_001);
        assert!(buffer[..9_000].iter().all(|byte| *byte == 0));
        assert_eq!(buffer[9_000], b'x');
    }

    #[test]
    fn a_gap_too_long_is_refused_before_any_of_it_is_made() {
        let mut content = content(usize::MAX);
        let far = LONGEST_GAP as u64 + 1;
        assert_eq!(content.write(far, b"x"), Err(Errno::ENOSPC));
        assert_eq!((content.len(), content.budget.left()), (0, usize::MAX));
        assert_eq!(content.write(far - 1, b"x"), Ok(1));
    }

    #[test]
    fn the_limit_gives_a_short_write_then_no_space_and_space_comes_back() {
        let budget = Rc::new(Budget::new(2 * BLOCK));
        let mut content = Content::new(budget.clone());
        assert_eq!(content.write(0, &[7; 3 * BLOCK]), Ok(2 * BLOCK));
        assert_eq!(content.write(2 * BLOCK as u64, b"x"), Err(Errno::ENOSPC));
        assert_eq!(content.write(u64::MAX, b"x"), Err(Errno::EFBIG));
        content.truncate();
        assert_eq!(content.write(0, b"abc"), Ok(3));
        assert_eq!(content.write(1 << 40, b"x"), Err(Errno::ENOSPC));
        assert_eq!(content.len(), 3);
        assert_eq!(content.write(3, b"def"), Ok(3));
        let mut buffer = [0; 8];
        assert_eq!((content.read(0, &mut buffer), &buffer[..6]), (6, &b"abcdef"[..]));
        drop(content);
        assert!(budget.take(2 * BLOCK));
    }
}
