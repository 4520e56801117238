//! The list of capabilities in configuration space (PCI 6.7).

use super::configuration::*;

/// Capability identifiers (PCI appendix H).
pub mod identifier {
    pub const VENDOR: u8 = 0x09;
    pub const MSI_X: u8 = 0x11;
}

/// The header ends at 0x40 and capabilities are 4-byte aligned, so a list without a loop is never longer.
const MOST: usize = (256 - 0x40) / 4;

/// A capability: its identifier and the offset of its first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capability {
    pub identifier: u8,
    pub offset: u8,
}

/// The function's capabilities in list order. A loop or a pointer into the header ends the list.
pub fn list<'c>(space: &'c Space, function: Function) -> impl Iterator<Item = Capability> + 'c {
    let mut next = if space.has_capabilities(function) {
        space.read8(function, register::CAPABILITIES)
    } else {
        0
    };
    let mut left = MOST;
    core::iter::from_fn(move || {
        let offset = next & !3;
        left = left.checked_sub(1)?;
        if offset < 0x40 {
            return None;
        }
        let header = space.read16(function, offset);
        next = (header >> 8) as u8;
        Some(Capability {
            identifier: header as u8,
            offset,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::fake::{FUNCTION, FakeSpace};
    use std::vec::Vec;

    #[test]
    fn the_list_is_followed_to_its_end() {
        let mut space = FakeSpace::default();
        space.put(FUNCTION, 4, 0x0010_0000).put(FUNCTION, 0x34, 0x98);
        space.put(FUNCTION, 0x98, 0x8411).put(FUNCTION, 0x84, 0x0009);
        let found: Vec<_> = list(&space, FUNCTION)
            .map(|found| (found.identifier, found.offset))
            .collect();
        assert_eq!(found, [(0x11, 0x98), (0x09, 0x84)]);
    }

    #[test]
    fn loops_and_pointers_into_the_header_end_the_list() {
        let mut space = FakeSpace::default();
        space
            .put(FUNCTION, 4, 0x0010_0000)
            .put(FUNCTION, 0x34, 0x40)
            .put(FUNCTION, 0x40, 0x4009);
        assert_eq!(list(&space, FUNCTION).count(), MOST);
        space.put(FUNCTION, 0x40, 0x0c09);
        assert_eq!(list(&space, FUNCTION).count(), 1);
        space.put(FUNCTION, 4, 0);
        assert_eq!(
            list(&space, FUNCTION).count(),
            0,
            "the status register says there is none"
        );
    }
}
