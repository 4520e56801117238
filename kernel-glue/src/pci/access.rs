//! Configuration space on the machine: in memory where ACPI says that it is there (ECAM), else by ports 0xcf8/0xcfc, which every
//! x86 machine with PCI has, QEMU's `microvm,pcie=on` excepted.

use super::configuration::{ConfigurationSpace, Function, HOST_BRIDGE};
use crate::acpi::{
    self,
    ecam::{BUS, Ecam},
};
use crate::arch::port;
use crate::critical::Guarded;
use crate::memory;

/// The machine's one configuration space.
pub struct Access(());

/// What of it is in memory; the rest is behind ports.
static MEMORY: Guarded<Ecam> = Guarded::new(Ecam { address: 0, buses: 0 });

/// Configuration mechanism 1 (PCI 3.2.2.3.2).
const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
const ENABLE: u32 = 1 << 31;

impl Access {
    /// `None` when the machine has no PCI. Byte code is only searched where there is nothing else: it is long.
    pub fn find() -> Option<Self> {
        let found = Self::is_in_memory(acpi::listed_ecam()) || has_ports() || Self::is_in_memory(acpi::returned_ecam());
        found.then_some(Self(()))
    }

    /// Uses `place`, unless nothing answers there: firmware may describe what is not.
    fn is_in_memory(place: Option<Ecam>) -> bool {
        let Some(place) = place.filter(|place| memory::map_device(place.address, place.buses * BUS as usize).is_some())
        else {
            return false;
        };
        // SAFETY: inside the critical section at boot; the reference ends here.
        let used = unsafe { MEMORY.get() };
        *used = place;
        let answers = Self(()).identity(HOST_BRIDGE).is_some();
        if !answers {
            used.buses = 0;
        }
        answers
    }
}

/// The address register reads back what was written where it exists.
#[inline(never)] // asked twice
pub fn has_ports() -> bool {
    // SAFETY: on a PC the port is configuration space's address register, on anything else nothing.
    unsafe {
        port::write32(ADDRESS, ENABLE);
        port::read32(ADDRESS) == ENABLE
    }
}

/// The register at `offset` in memory (PCIe 7.2.2). `None`: the data port stands for it now.
#[inline(never)] // for the two below
fn select(function: Function, offset: u8) -> Option<*mut u32> {
    // SAFETY: inside the critical section; two numbers are read.
    let memory = unsafe { MEMORY.get() };
    let number = u32::from(function.bus) << 8 | u32::from(function.device) << 3 | u32::from(function.function);
    let register = u32::from(offset & !3);
    // Buses past the end of the memory are left to the ports, which have all of them.
    if usize::from(function.bus) < memory.buses {
        return Some((memory.address + u64::from(number << 12 | register)) as *mut u32);
    }
    // SAFETY: as in `has_ports`.
    unsafe { port::write32(ADDRESS, ENABLE | number << 8 | register) };
    None
}

impl ConfigurationSpace for Access {
    fn read(&self, function: Function, offset: u8) -> u32 {
        match select(function, offset) {
            // SAFETY: inside what `is_in_memory` mapped, and aligned, as an Ecam is; reading configuration space has no effect on
            // memory.
            Some(register) => unsafe { register.read_volatile() },
            // SAFETY: as in `has_ports`, otherwise as above.
            None => unsafe { port::read32(DATA) },
        }
    }

    fn write(&self, function: Function, offset: u8, value: u32) {
        // SAFETY: as in `read`. What configuration writes do to devices (where they answer, whether they write memory) is this
        // module's callers' business: BARs go only where `address_space` found room, and bus mastering is switched on only for a
        // device whose rings are set up by its driver.
        unsafe {
            match select(function, offset) {
                Some(register) => register.write_volatile(value),
                None => port::write32(DATA, value),
            }
        }
    }
}
