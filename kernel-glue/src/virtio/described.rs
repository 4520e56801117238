//! MMIO devices that ACPI describes: QEMU's microvm lists them there instead of on the command line when it has ACPI.
//!
//! The DSDT is byte code, which is not interpreted here. Each such device's `_HID` is the string "LNRO0005" (as Linux's
//! virtio_mmio driver matches it), and its resources follow as constants: one 32-bit fixed memory range (ACPI 6.5, section
//! 6.4.3.4) and one extended interrupt (section 6.4.3.6). A place without a device behind it says so itself.

use super::command_line::Place;
use crate::acpi::table::{after, position, u32_at};

const HARDWARE_ID: &[u8] = b"LNRO0005";
/// Most places looked at; microvm has 24.
const MOST: usize = 32;
/// Descriptor tag and length, little-endian.
const MEMORY: &[u8] = &[0x86, 9, 0];
const INTERRUPT: &[u8] = &[0x89, 6, 0];
/// Flags of the interrupt descriptor.
const EDGE: u8 = 1 << 1;
const ACTIVE_LOW: u8 = 1 << 2;

/// The places in the byte code `dsdt`; one that is not described as expected is left out.
pub fn places(dsdt: &[u8]) -> impl Iterator<Item = Place> + '_ {
    let mut rest = dsdt;
    core::iter::from_fn(move || {
        rest = after(rest, HARDWARE_ID)?;
        let device = &rest[..position(rest, HARDWARE_ID).unwrap_or(rest.len())];
        Some(place(device))
    })
    .take(MOST)
    .flatten()
}

fn place(device: &[u8]) -> Option<Place> {
    // After the tag: whether it is writable, base, length.
    let memory = after(device, MEMORY)?;
    // After the tag: flags, number of interrupts, the first one.
    let interrupt = after(device, INTERRUPT)?;
    let [flags, 1, ..] = *interrupt else { return None };
    let (address, size) = (u64::from(u32_at(memory, 1)?), u64::from(u32_at(memory, 5)?));
    (size != 0).then_some(Place {
        address,
        size,
        interrupt: u32_at(interrupt, 2)?,
        level_triggered: flags & EDGE == 0,
        active_low: flags & ACTIVE_LOW != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn device(address: u32, flags: u8, interrupt: u32) -> Vec<u8> {
        let (address, interrupt) = (address.to_le_bytes(), interrupt.to_le_bytes());
        let memory = [&[0x86, 9, 0, 1], &address[..], &512u32.to_le_bytes()].concat();
        [
            &b"\x08_HID\x0dLNRO0005\0"[..],
            &memory,
            &[0x89, 6, 0, flags, 1],
            &interrupt,
            &[0x79, 0],
        ]
        .concat()
    }

    #[test]
    fn described_devices_are_found() {
        let dsdt = [
            b"DSDT....".to_vec(),
            device(0xfeb0_0000, 0x09, 24),
            device(0xfeb0_0200, 0x07, 25),
        ]
        .concat();
        let level = Place {
            address: 0xfeb0_0000,
            size: 512,
            interrupt: 24,
            level_triggered: true,
            active_low: false,
        };
        let edge = Place {
            address: 0xfeb0_0200,
            interrupt: 25,
            level_triggered: false,
            active_low: true,
            ..level
        };
        assert_eq!(places(&dsdt).collect::<Vec<_>>(), [level, edge]);
    }

    #[test]
    fn broken_descriptions_are_left_out() {
        let whole = device(0xfeb0_0000, 1, 5);
        for length in 0..whole.len() - 2 {
            assert_eq!(places(&whole[..length]).count(), 0, "{length}");
        }
        assert_eq!(places(&[whole[..20].to_vec(), whole.clone()].concat()).count(), 1);
        assert_eq!(places(&b"LNRO0005".repeat(1000)).count(), 0);
    }
}
