//! MSI-X: message-signalled interrupts from a table in device memory (PCI 6.8.2).

use super::configuration::*;
use crate::virtio::registers::Registers;

/// Message control: enable; mask every vector (PCI 6.8.2.3).
const ENABLE: u32 = 1 << 31;
const FUNCTION_MASK: u32 = 1 << 30;
/// Bytes of one table entry: address low, address high, data, vector control (PCI 6.8.2.6).
pub const ENTRY: usize = 16;
const MASKED: u32 = 1;

/// Where the table is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    /// Offset of the capability in configuration space.
    capability: u8,
    pub bar: u8,
    /// Bytes from the start of the BAR.
    pub offset: u32,
    /// 1 to 2048.
    pub entries: usize,
}

/// Reads the MSI-X capability at `capability`.
pub fn table(space: &Space, function: Function, capability: u8) -> Table {
    let control = space.read(function, capability) >> 16;
    let location = space.read(function, capability.wrapping_add(4));
    Table {
        capability,
        bar: (location & 7) as u8,
        offset: location & !7,
        entries: (control & 0x7ff) as usize + 1,
    }
}

/// Puts `message` (address, data) into table entry `index` and lets it through.
pub fn program(table: &impl Registers, index: usize, message: (u64, u32)) {
    let entry = index * ENTRY;
    table.write32(entry + 12, MASKED);
    table.write32(entry, message.0 as u32);
    table.write32(entry + 4, (message.0 >> 32) as u32);
    table.write32(entry + 8, message.1);
    table.write32(entry + 12, 0);
}

/// Switches the function from INTx to MSI-X.
pub fn enable(space: &Space, function: Function, table: &Table) {
    let control = space.read(function, table.capability);
    space.write(function, table.capability, control & !FUNCTION_MASK | ENABLE);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::fake::{FUNCTION, FakeSpace};

    #[test]
    fn the_table_is_found_and_enabled() {
        let mut space = FakeSpace::default();
        space.put(FUNCTION, 0x98, 0x4003_8411).put(FUNCTION, 0x9c, 0x0800 | 1);
        let found = table(&space, FUNCTION, 0x98);
        assert_eq!((found.bar, found.offset, found.entries), (1, 0x800, 4));
        enable(&space, FUNCTION, &found);
        assert_eq!(space.read(FUNCTION, 0x98), 0x8003_8411);
    }
}
