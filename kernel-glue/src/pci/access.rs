//! Configuration space on the machine: ports 0xcf8/0xcfc, or memory (ECAM) where there are no ports.

use super::configuration::{ConfigurationSpace, Function};
use crate::virtio::registers::{Registers, Window};
use core::cell::RefCell;

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

/// Enhanced configuration access (PCIe 7.2.2): 4 KiB for each function, 1 MiB for each bus.
pub struct Ecam {
    base: u64,
    last_bus: u8,
    /// The bus asked last, mapped: a scan goes bus by bus.
    current: RefCell<Option<(u8, Window)>>,
}

impl Ecam {
    /// `base`: physical address of bus 0, from ACPI's MCFG.
    pub const fn new(base: u64, last_bus: u8) -> Self {
        Self {
            base,
            last_bus,
            current: RefCell::new(None),
        }
    }

    fn access<T>(&self, function: Function, offset: u8, absent: T, access: impl Fn(&Window, usize) -> T) -> T {
        let mut current = self.current.borrow_mut();
        if current.as_ref().is_none_or(|(bus, _)| *bus != function.bus) {
            let address = self
                .base
                .checked_add(u64::from(function.bus) << 20)
                .filter(|_| function.bus <= self.last_bus);
            *current = address
                .and_then(|address| Window::map(address, 1 << 20))
                .map(|window| (function.bus, window));
        }
        let place = usize::from(function.device) << 15 | usize::from(function.function) << 12;
        current
            .as_ref()
            .map_or(absent, |(_, window)| access(window, place | usize::from(offset & !3)))
    }
}

impl ConfigurationSpace for Ecam {
    fn read(&self, function: Function, offset: u8) -> u32 {
        self.access(function, offset, u32::MAX, |window, offset| window.read32(offset))
    }

    fn write(&self, function: Function, offset: u8, value: u32) {
        self.access(function, offset, (), |window, offset| window.write32(offset, value))
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
