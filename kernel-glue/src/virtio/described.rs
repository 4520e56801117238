//! MMIO devices that ACPI describes: QEMU's microvm lists them there instead of on the command line when it has ACPI.
//!
//! The DSDT is byte code, which is not interpreted here. Each such device's `_HID` is the string "LNRO0005" (as Linux's
//! virtio_mmio driver matches it), and its resources follow as constants: one 32-bit fixed memory range (ACPI 6.5, section
//! 6.4.3.4) and one extended interrupt (section 6.4.3.6). A place without a device behind it says so itself.
//!
//! With `pcie=on` microvm has PCI, neither with ports nor with an MCFG table: only `_CBA` tells where its configuration
//! space is (PCI Firmware 3.3, section 4.1.3).

use super::command_line::Place;

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
        rest = &rest[find(rest, HARDWARE_ID)? + HARDWARE_ID.len()..];
        let device = &rest[..find(rest, HARDWARE_ID).unwrap_or(rest.len())];
        Some(place(device))
    })
    .take(MOST)
    .flatten()
}

/// Physical address of PCI bus 0's configuration space: what a method `_CBA` that returns a 32-bit constant says (name,
/// method flags, ReturnOp, DWordPrefix; ACPI 6.5, section 20.2).
pub fn configuration_space(dsdt: &[u8]) -> Option<u64> {
    const METHOD: &[u8] = b"_CBA\0\xa4\x0c";
    let address = u64::from(word(after(dsdt, METHOD)?)?);
    (address != 0).then_some(address)
}

fn place(device: &[u8]) -> Option<Place> {
    // After the tag: whether it is writable, base, length.
    let memory = after(device, MEMORY)?.get(1..)?;
    // After the tag: flags, number of interrupts, the first one.
    let [flags, 1, interrupt @ ..] = after(device, INTERRUPT)? else {
        return None;
    };
    let (address, size) = (u64::from(word(memory)?), u64::from(word(memory.get(4..)?)?));
    (size != 0).then_some(Place {
        address,
        size,
        interrupt: word(interrupt)?,
        level_triggered: flags & EDGE == 0,
        active_low: flags & ACTIVE_LOW != 0,
    })
}

fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn after<'b>(bytes: &'b [u8], pattern: &[u8]) -> Option<&'b [u8]> {
    bytes.get(find(bytes, pattern)? + pattern.len()..)
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
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
    fn configuration_space_is_what_the_method_returns() {
        let microvm = b"\x14\x0c_CBA\0\xa4\x0c\0\0\0\xe0\x08_CRS";
        assert_eq!(configuration_space(microvm), Some(0xe000_0000));
        assert_eq!(configuration_space(&microvm[..12]), None);
        assert_eq!(configuration_space(b"_CBA\0\xa4\x0c\0\0\0\0"), None);
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
