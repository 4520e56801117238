//! Base address registers: where a function's memory is, and how much there is of it (PCI 6.2.5.1).

use super::configuration::*;

/// BARs of a function that is not a bridge.
pub const COUNT: u8 = 6;

/// A memory BAR. `address` is 0 when firmware assigned none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bar {
    pub index: u8,
    pub address: u64,
    /// Bytes, a power of two.
    pub size: u64,
    /// Takes up the next register too.
    pub wide: bool,
}

const IO: u32 = 1;
const TYPE_MASK: u32 = 0b110;
const TYPE_64: u32 = 0b100;
const MEMORY_FLAGS: u32 = 0xf;

fn offset(index: u8) -> u8 {
    register::FIRST_BAR + 4 * index
}

/// Reads and sizes memory BAR `index`; `None` for I/O ports, for one that is not implemented, and for a nonsense size.
pub fn read(space: &Space, function: Function, index: u8) -> Option<Bar> {
    if index >= COUNT {
        return None;
    }
    let low = space.read(function, offset(index));
    let wide = low & TYPE_MASK == TYPE_64;
    if low & IO != 0 || wide && index + 1 >= COUNT {
        return None;
    }
    let high = if wide {
        space.read(function, offset(index + 1))
    } else {
        0
    };
    let size = size(space, function, index, low, wide.then_some(high))?;
    let address = u64::from(high) << 32 | u64::from(low & !MEMORY_FLAGS);
    address.checked_add(size)?;
    Some(Bar {
        index,
        address,
        size,
        wide,
    })
}

/// Writes ones and sees which stick. The function must not answer at the address it has meanwhile.
fn size(space: &Space, function: Function, index: u8, low: u32, high: Option<u32>) -> Option<u64> {
    let command = space.command(function);
    space.set_command(function, command & !(command::MEMORY | 1));
    let probe = |index: u8, value: u32| {
        space.write(function, offset(index), u32::MAX);
        let answer = space.read(function, offset(index));
        space.write(function, offset(index), value);
        answer
    };
    let low_mask = probe(index, low) & !MEMORY_FLAGS;
    let high_mask = high.map_or(u32::MAX, |high| probe(index + 1, high));
    space.set_command(function, command);
    if low_mask == 0 && (high.is_none() || high_mask == 0) {
        return None;
    }
    let size = (!(u64::from(high_mask) << 32 | u64::from(low_mask))).wrapping_add(1);
    size.is_power_of_two().then_some(size)
}

/// Gives `bar` the address `address`.
pub fn assign(space: &Space, function: Function, bar: &mut Bar, address: u64) {
    let command = space.command(function);
    space.set_command(function, command & !command::MEMORY);
    space.write(function, offset(bar.index), address as u32);
    if bar.wide {
        space.write(function, offset(bar.index + 1), (address >> 32) as u32);
    }
    space.set_command(function, command);
    bar.address = address;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::fake::{FUNCTION, FakeSpace};

    #[test]
    fn bars_of_every_kind_are_read_and_left_as_they_were() {
        let mut space = FakeSpace::default();
        space.put(FUNCTION, 4, 0x0007);
        space.bar(FUNCTION, 0, 0xc001, 0xffff_ffe0);
        space.bar(FUNCTION, 1, 0xfebd_1000, 0xffff_f000);
        space
            .bar(FUNCTION, 2, 0xfe00_000c, 0xffff_c000)
            .bar(FUNCTION, 3, 0xe0, u32::MAX);
        space.bar(FUNCTION, 4, 0xc, 0).bar(FUNCTION, 5, 0, 0xffff_fffe);
        assert_eq!(read(&space, FUNCTION, 0), None, "I/O ports");
        let narrow = Bar {
            index: 1,
            address: 0xfebd_1000,
            size: 0x1000,
            wide: false,
        };
        assert_eq!(read(&space, FUNCTION, 1), Some(narrow));
        let high = Bar {
            index: 2,
            address: 0xe0_fe00_0000,
            size: 0x4000,
            wide: true,
        };
        assert_eq!(read(&space, FUNCTION, 2), Some(high), "above 4 GiB");
        assert_eq!(
            read(&space, FUNCTION, 4).unwrap().size,
            2 << 32,
            "8 GiB: only the upper half decodes"
        );
        assert_eq!(read(&space, FUNCTION, 6), None);
        assert_eq!(
            (space.read(FUNCTION, 0x18), space.read(FUNCTION, 0x1c)),
            (0xfe00_000c, 0xe0)
        );
        assert_eq!(space.command(FUNCTION), 7);
        assert_eq!(*space.writes_with_decoding_on.borrow(), 0);
    }

    #[test]
    fn nonsense_bars_are_refused() {
        let mut space = FakeSpace::default();
        space.bar(FUNCTION, 0, 0, 0).bar(FUNCTION, 1, 0, 0x8000_1000);
        space.bar(FUNCTION, 5, 4, u32::MAX);
        assert_eq!(read(&space, FUNCTION, 0), None, "not implemented");
        assert_eq!(read(&space, FUNCTION, 1), None, "size no power of two");
        assert_eq!(read(&space, FUNCTION, 5), None, "64 bits without a second register");
    }

    #[test]
    fn assignment_writes_both_halves() {
        let mut space = FakeSpace::default();
        space.bar(FUNCTION, 4, 0xc, 0xffff_c000).bar(FUNCTION, 5, 0, u32::MAX);
        let mut bar = read(&space, FUNCTION, 4).unwrap();
        assert_eq!((bar.address, bar.size), (0, 0x4000));
        assign(&space, FUNCTION, &mut bar, 0x12_fe00_0000);
        assert_eq!(read(&space, FUNCTION, 4), Some(bar));
        assert_eq!(bar.address, 0x12_fe00_0000);
    }
}
