//! From the loader's memory map to the RAM we may use: pure arithmetic on untrusted numbers.

use core::ops::Range;

/// Most separate pieces of RAM that are used; further ones are left alone.
pub const MOST_REGIONS: usize = 16;
const PAGE: u64 = 4096;

/// Free RAM: page-aligned, disjoint pieces in the order found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Regions {
    list: [(u64, u64); MOST_REGIONS],
    length: usize,
}

impl Regions {
    pub const fn new() -> Self {
        Regions {
            list: [(0, 0); MOST_REGIONS],
            length: 0,
        }
    }

    pub fn as_slice(&self) -> &[(u64, u64)] {
        &self.list[..self.length]
    }

    fn push(&mut self, start: u64, end: u64) {
        if start < end && self.length < MOST_REGIONS {
            self.list[self.length] = (start, end);
            self.length += 1;
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
        *self = Regions::new();
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
            [(0x10_0000, 0x10_1000), (0x10_1000, 0x10_2000)]
        );
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
