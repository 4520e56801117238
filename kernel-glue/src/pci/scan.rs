//! Finding the functions: bus 0, and every bus a bridge leads to.
//!
//! Each configuration access is an exit to the hypervisor, so the 256 x 32 places are not all asked. Firmware gives every
//! bus behind a bridge a number above the bridge's own (Bridge Architecture 3.2.5.3); one that did not (0) is left alone.

use super::configuration::*;

/// Base class and subclass of a PCI-to-PCI bridge (PCI appendix D).
const CLASS_BRIDGE: u16 = 0x0604;
/// Header type bit: the device has more than function 0 (PCI 6.2.1).
const MULTIPLE_FUNCTIONS: u8 = 0x80;

/// A function that answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    pub function: Function,
    pub vendor: u16,
    pub device: u16,
}

/// Buses still to visit or already visited, one bit each.
struct Buses([u64; 4]);

impl Buses {
    /// False when the bus was there before.
    fn insert(&mut self, bus: u8) -> bool {
        let (word, bit) = (usize::from(bus >> 6), 1 << (bus & 63));
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    fn after(&self, bus: u8) -> Option<u8> {
        (bus.checked_add(1)?..=255).find(|&next| self.0[usize::from(next >> 6)] >> (next & 63) & 1 != 0)
    }
}

/// Calls `visit` for every function, bus by bus upwards. Terminates whatever the bridges say: a bus is visited once.
pub fn functions(space: &Space, visit: &mut dyn FnMut(Found)) {
    let mut buses = Buses([0; 4]);
    let mut bus = 0;
    loop {
        for device in 0..32 {
            scan_device(space, bus, device, &mut buses, visit);
        }
        match buses.after(bus) {
            Some(next) => bus = next,
            None => return,
        }
    }
}

fn scan_device(space: &Space, bus: u8, device: u8, buses: &mut Buses, visit: &mut dyn FnMut(Found)) {
    let mut last = 0;
    let mut number = 0;
    while number <= last {
        let function = Function {
            bus,
            device,
            function: number,
        };
        if let Some((vendor, identifier)) = space.identity(function) {
            if number == 0 && space.read8(function, register::HEADER_TYPE) & MULTIPLE_FUNCTIONS != 0 {
                last = 7;
            }
            if space.read16(function, register::CLASS + 2) == CLASS_BRIDGE {
                let secondary = space.read8(function, register::SECONDARY_BUS);
                if secondary > bus {
                    buses.insert(secondary);
                }
            }
            visit(Found {
                function,
                vendor,
                device: identifier,
            });
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::fake::FakeSpace;
    use std::vec::Vec;

    const fn at(bus: u8, device: u8, function: u8) -> Function {
        Function { bus, device, function }
    }

    fn found(space: &FakeSpace) -> Vec<Function> {
        let mut found = Vec::new();
        functions(space, &mut |entry| found.push(entry.function));
        found
    }

    #[test]
    fn functions_behind_bridges_are_found_once_each() {
        let mut space = FakeSpace::default();
        space.device(at(0, 0, 0)).device(at(0, 31, 0)).device(at(0, 31, 7));
        space.put(at(0, 31, 0), 0x0c, 0x0080_0000);
        for (device, secondary) in [(1, 5), (2, 5), (3, 0), (4, 0xff)] {
            space.bridge(at(0, device, 0), secondary);
        }
        space.device(at(5, 0, 0)).device(at(255, 0, 0));
        space.bridge(at(5, 1, 0), 5).bridge(at(255, 1, 0), 3);
        let expected = [
            at(0, 0, 0),
            at(0, 1, 0),
            at(0, 2, 0),
            at(0, 3, 0),
            at(0, 4, 0),
            at(0, 31, 0),
            at(0, 31, 7),
            at(5, 0, 0),
            at(5, 1, 0),
            at(255, 0, 0),
            at(255, 1, 0),
        ];
        assert_eq!(found(&space), expected);
    }

    #[test]
    fn functions_above_0_of_a_device_with_one_are_not_asked() {
        let mut space = FakeSpace::default();
        space.device(at(0, 3, 0)).device(at(0, 3, 1)).device(at(0, 4, 2));
        assert_eq!(found(&space), [at(0, 3, 0)]);
    }
}
