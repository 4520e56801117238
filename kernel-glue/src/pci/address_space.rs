//! Addresses for BARs that firmware left at 0 (qboot does; so is a device plugged in later).
//!
//! On PC chipsets the range below the I/O APIC (0xfec00000, Intel 82093AA) belongs to PCI however much RAM there is:
//! QEMU ends low RAM at 0xe0000000 at the latest (i440FX; 0xc0000000 on q35), and q35's ECAM window lies below too.
//! New addresses come from the upper part of it, and never overlap a BAR that has one. QEMU's generic host bridge has a window of
//! its own (hw/i386/microvm.h: PCIE_MMIO), and only that reaches its devices.

use super::bar::{self, Bar};
use super::configuration::*;
use super::scan;

/// First address given out, and the first one after the range: on PCs, and behind the generic host bridge.
const RANGE: (u64, u64) = (0xfe00_0000, 0xfec0_0000);
const GENERIC_RANGE: (u64, u64) = (0xc000_0000, 0xe000_0000);

/// Most BARs in the range that are kept track of; a machine with more gets no new ones.
const MOST: usize = 32;

/// What of the range is taken.
pub struct AddressSpace {
    range: (u64, u64),
    taken: [(u64, u64); MOST],
    count: usize,
    known: bool,
}

impl AddressSpace {
    #[allow(clippy::new_without_default, reason = "nothing else about it has a default")]
    pub const fn new() -> Self {
        Self {
            range: RANGE,
            taken: [(0, 0); MOST],
            count: 0,
            known: false,
        }
    }

    /// Gives `bar` an address if it has none. False when there is no room, or it is a BAR we cannot place.
    pub fn ensure(&mut self, space: &Space, function: Function, bar: &mut Bar) -> bool {
        if bar.address != 0 {
            return true;
        }
        if !self.known {
            self.known = true;
            if space.identity(HOST_BRIDGE) == Some(host_bridge::GENERIC) {
                self.range = GENERIC_RANGE;
            }
            scan::functions(space, &mut |found| self.note(space, found.function));
        }
        let Some(address) = self.find(bar.size) else {
            return false;
        };
        self.take(address, bar.size);
        bar::assign(space, function, bar, address);
        true
    }

    /// Takes what the BARs of `function` already have.
    fn note(&mut self, space: &Space, function: Function) {
        let bridge = space.read8(function, register::HEADER_TYPE) & 0x7f == 1;
        let mut index = 0;
        while index < if bridge { 2 } else { bar::COUNT } {
            let found = bar::read(space, function, index);
            if let Some(Bar { address, size, .. }) = found
                && address != 0
                && address < self.range.1
                && address + size > self.range.0
            {
                self.take(address, size);
            }
            index += if found.is_some_and(|bar| bar.wide) { 2 } else { 1 };
        }
    }

    fn take(&mut self, address: u64, size: u64) {
        match self.taken.get_mut(self.count) {
            Some(entry) => *entry = (address, size),
            // Too many to remember: nothing more is given out.
            None => self.taken[0] = (self.range.0, self.range.1 - self.range.0),
        }
        self.count += 1;
    }

    /// The first aligned place of `size` bytes that overlaps nothing taken. Each step moves past a taken range, so the
    /// loop ends.
    fn find(&self, size: u64) -> Option<u64> {
        let size = size.max(0x1000);
        let mut address = self.range.0.checked_next_multiple_of(size)?;
        while address.checked_add(size)? <= self.range.1 {
            let taken = &self.taken[..self.count.min(MOST)];
            match taken
                .iter()
                .find(|(start, length)| address < start + length && *start < address + size)
            {
                None => return Some(address),
                Some((start, length)) => address = (start + length).checked_next_multiple_of(size)?,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::fake::FakeSpace;

    const FIRST: Function = Function {
        bus: 0,
        device: 1,
        function: 0,
    };
    const SECOND: Function = Function {
        bus: 0,
        device: 2,
        function: 0,
    };

    #[test]
    fn new_addresses_avoid_the_assigned_ones() {
        let mut space = FakeSpace::default();
        space.device(FIRST).bar(FIRST, 0, 0xfe00_0000, 0xffff_c000);
        space
            .device(SECOND)
            .bar(SECOND, 1, 0, 0xffff_f000)
            .bar(SECOND, 4, 0xc, 0xffff_c000)
            .bar(SECOND, 5, 0, u32::MAX);
        let mut addresses = AddressSpace::new();
        let mut small = bar::read(&space, SECOND, 1).unwrap();
        let mut large = bar::read(&space, SECOND, 4).unwrap();
        assert!(addresses.ensure(&space, SECOND, &mut small) && addresses.ensure(&space, SECOND, &mut large));
        assert_eq!((small.address, large.address), (0xfe00_4000, 0xfe00_8000));
        let mut assigned = bar::read(&space, FIRST, 0).unwrap();
        assert!(addresses.ensure(&space, FIRST, &mut assigned));
        assert_eq!(assigned.address, 0xfe00_0000, "what firmware assigned stays");
    }

    #[test]
    fn behind_the_generic_host_bridge_its_window_is_used() {
        let mut space = FakeSpace::default();
        space.put(HOST_BRIDGE, 0, 0x0008_1b36).put(HOST_BRIDGE, 0x0c, 0);
        space.device(FIRST).bar(FIRST, 0, 0, 0xffff_c000);
        let mut bar = bar::read(&space, FIRST, 0).unwrap();
        assert!(AddressSpace::new().ensure(&space, FIRST, &mut bar));
        assert_eq!(bar.address, 0xc000_0000);
    }

    #[test]
    fn a_full_range_gives_nothing() {
        let mut space = FakeSpace::default();
        space.device(FIRST).bar(FIRST, 0, 0, 0xff00_0000);
        let mut addresses = AddressSpace::new();
        let mut huge = bar::read(&space, FIRST, 0).unwrap();
        assert!(!addresses.ensure(&space, FIRST, &mut huge), "16 MiB do not fit");
        for _ in 0..MOST + 1 {
            addresses.take(0xfe10_0000, 0x1000);
        }
        assert_eq!(addresses.find(0x1000), None);
    }
}
