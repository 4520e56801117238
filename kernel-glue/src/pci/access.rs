//! Configuration space on the machine: ports 0xcf8/0xcfc, which every x86 machine with PCI has, QEMU's `microvm,pcie=on` excepted.

use super::configuration::{ConfigurationSpace, Function};

/// Configuration mechanism 1 (PCI 3.2.2.3.2).
pub struct Ports;

const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
const ENABLE: u32 = 1 << 31;

impl Ports {
    /// `None` when the machine has no such ports: the address register reads back what was written where it exists.
    pub fn find() -> Option<Self> {
        port::write(ADDRESS, ENABLE);
        (port::read(ADDRESS) == ENABLE).then_some(Self)
    }

    fn select(function: Function, offset: u8) {
        let place =
            u32::from(function.bus) << 16 | u32::from(function.device) << 11 | u32::from(function.function) << 8;
        port::write(ADDRESS, ENABLE | place | u32::from(offset & !3));
    }
}

impl ConfigurationSpace for Ports {
    fn read(&self, function: Function, offset: u8) -> u32 {
        Self::select(function, offset);
        port::read(DATA)
    }

    fn write(&self, function: Function, offset: u8, value: u32) {
        Self::select(function, offset);
        port::write(DATA, value);
    }
}

mod port {
    use core::arch::asm;

    pub fn read(port: u16) -> u32 {
        let value;
        // SAFETY: used for ports 0xcf8 and 0xcfc only. On a PC they are PCI configuration space, on anything else nothing:
        // reading has no effect on memory.
        unsafe { asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags)) }
        value
    }

    pub fn write(port: u16, value: u32) {
        // SAFETY: as in `read`. What configuration writes do to devices (where they answer, whether they write memory) is
        // this module's callers' business: BARs go only where `address_space` found room, and bus mastering is switched on
        // only for a device whose rings are set up by its driver.
        unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags)) }
    }
}
