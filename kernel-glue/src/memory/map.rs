//! From the loader's memory map to the RAM we may use: pure arithmetic on untrusted numbers.

use core::ops::Range;

/// Most separate pieces of RAM that are used: the largest ones.
pub const MOST_REGIONS: usize = 16;
const PAGE: u64 = 4096;

/// Free RAM: page-aligned, disjoint pieces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Regions {
    list: [(u64, u64); MOST_REGIONS],
    length: usize,
    /// There were more pieces.
    left_out: bool,
}

impl Regions {
    pub const fn new() -> Self {
        Regions {
            list: [(0, 0); MOST_REGIONS],
            length: 0,
            left_out: false,
        }
    }

    pub fn as_slice(&self) -> &[(u64, u64)] {
        &self.list[..self.length]
    }

    /// True when there was RAM in more pieces, which is not used.
    pub fn left_out(&self) -> bool {
        self.left_out
    }

    fn push(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        // Loaders split RAM at places that mean nothing to us: pieces that meet are one.
        let list = &mut self.list[..self.length];
        if let Some(index) = list.iter().position(|known| known.1 == start || known.0 == end) {
            let known = list[index];
            self.length -= 1;
            self.list[index] = self.list[self.length];
            self.push(start.min(known.0), end.max(known.1));
        } else if self.length < MOST_REGIONS {
            self.list[self.length] = (start, end);
            self.length += 1;
        } else {
            let mut left = (start, end);
            for known in list {
                if known.1 - known.0 < left.1 - left.0 {
                    core::mem::swap(known, &mut left);
                }
            }
            self.left_out = true;
        }
    }

    /// Adds RAM at `start`, `size` bytes: rounded inwards to pages, kept within `usable`, without what was added before.
    pub fn add(&mut self, start: u64, size: u64, usable: Range<u64>) {
        let end = start.saturating_add(size).min(usable.end) & !(PAGE - 1);
        let start = start
            .max(usable.start)
            .checked_next_multiple_of(PAGE)
            .unwrap_or(u64::MAX);
        let known = *self;
        let mut pieces = Regions::new();
        pieces.push(start, end);
        for (from, to) in known.as_slice() {
            pieces.remove(*from..*to);
        }
        for (from, to) in pieces.as_slice() {
            self.push(*from, *to);
        }
    }

    /// Takes `reserved` out, rounded outwards to pages.
    pub fn remove(&mut self, reserved: Range<u64>) {
        if reserved.is_empty() {
            return;
        }
        let (start, end) = (
            reserved.start & !(PAGE - 1),
            reserved.end.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX),
        );
        let before = *self;
        self.length = 0;
        for &(from, to) in before.as_slice() {
            self.push(from, to.min(start));
            self.push(from.max(end), to);
        }
    }
}

impl Default for Regions {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const ALL: Range<u64> = 0x10_0000..1 << 46;

    fn regions(ram: &[(u64, u64)], reserved: &[Range<u64>]) -> std::vec::Vec<(u64, u64)> {
        let mut regions = Regions::new();
        for &(start, size) in ram {
            regions.add(start, size, ALL);
        }
        for range in reserved {
            regions.remove(range.clone());
        }
        regions.as_slice().to_vec()
    }

    #[test]
    fn image_and_module_are_taken_out() {
        let free = regions(&[(0x10_0000, 0x80_0000)], &[0x10_0000..0x15_0123, 0x70_0800..0x70_0900]);
        assert_eq!(free, [(0x15_1000, 0x70_0000), (0x70_1000, 0x90_0000)]);
    }

    #[test]
    fn ram_below_the_usable_range_is_left_alone() {
        assert_eq!(regions(&[(0, 0x9_fc00)], &[]), []);
        assert_eq!(regions(&[(0, 0x20_0000)], &[]), [(0x10_0000, 0x20_0000)]);
    }

    #[test]
    fn unaligned_ends_are_rounded_inwards() {
        assert_eq!(regions(&[(0x10_0001, 0x3000)], &[]), [(0x10_1000, 0x10_3000)]);
        assert_eq!(regions(&[(0x10_0001, 0x10)], &[]), []);
    }

    #[test]
    fn overlapping_entries_count_once() {
        assert_eq!(
            regions(&[(0x10_0000, 0x1000), (0x10_0000, 0x2000)], &[]),
            [(0x10_0000, 0x10_2000)]
        );
    }

    #[test]
    fn pieces_that_meet_are_one() {
        let pieces = [(0x30_0000, 0x10_0000), (0x10_0000, 0x10_0000), (0x20_0000, 0x10_0000)];
        assert_eq!(regions(&pieces, &[]), [(0x10_0000, 0x40_0000)]);
        assert_eq!(regions(&pieces[..2], &[]).len(), 2);
    }

    #[test]
    fn of_too_many_pieces_the_largest_are_used() {
        let mut regions = Regions::new();
        for n in 0..MOST_REGIONS as u64 {
            regions.add(0x10_0000 + n * 0x10_0000, 0x1000 + n * 0x1000, ALL);
        }
        regions.add(1 << 32, 1 << 30, ALL);
        assert_eq!((regions.as_slice().len(), regions.left_out()), (MOST_REGIONS, true));
        // A hole makes one more.
        regions.remove((1 << 32) + 0x1000..(1 << 32) + 0x3000);
        let free = regions.as_slice();
        assert!(free.contains(&((1 << 32) + 0x3000, (1 << 32) + (1 << 30))), "{free:x?}");
        assert!(!free.iter().any(|piece| piece.0 == 1 << 32), "{free:x?}");
        assert_eq!(free.len(), MOST_REGIONS);
    }

    #[test]
    fn hostile_numbers_do_not_overflow() {
        assert_eq!(regions(&[(u64::MAX - 5, u64::MAX)], &[]), []);
        let everything = 0..u64::MAX;
        assert_eq!(regions(&[(0x10_0000, u64::MAX)], &[everything]), []);
        assert_eq!(regions(&[(0x10_0000, u64::MAX)], &[]), [(0x10_0000, 1 << 46)]);
        let many: std::vec::Vec<_> = (0..100).map(|n| (0x10_0000 + n * 0x2000, 0x1000)).collect();
        assert_eq!(regions(&many, &[]).len(), MOST_REGIONS);
    }
}
