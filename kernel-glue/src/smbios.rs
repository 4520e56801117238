//! What the firmware says of the machine: the strings of its SMBIOS tables (DMTF DSP0134 3.7), read as untrusted bytes.
//!
//! Read when `/run/cartridge/platform` is opened, not before. The entry point is where BIOSes put it; a loader that hands on UEFI's
//! system table would name it to [`table`] instead.

use crate::acpi::table::{u16_at, u32_at, u64_at};

/// Where a BIOS puts the entry point (section 5.2.1), on a boundary of 16 bytes.
#[cfg(target_os = "hermit")]
const BIOS_AREA: core::ops::Range<u64> = 0xf_0000..0x10_0000;
const BOUNDARY: usize = 16;
/// Larger than any table seen (QEMU's has some hundred bytes), bytes.
const LARGEST_TABLE: usize = 64 << 10;
const MOST_STRUCTURES: usize = 512;
/// Of a text that is passed on, bytes.
const LONGEST_TEXT: usize = 64;

/// Where the structures are: their physical address, and how many bytes at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    pub address: u64,
    pub length: usize,
}

/// The table that an entry point in `area` names: one of version 3 (section 5.2.2), else one of version 2 (section 5.2.1).
pub fn table(area: &[u8]) -> Option<Table> {
    let find = |read: fn(&[u8]) -> Option<Table>| (0..area.len()).step_by(BOUNDARY).find_map(|at| read(&area[at..]));
    find(version_3).or_else(|| find(version_2))
}

fn version_3(bytes: &[u8]) -> Option<Table> {
    let entry = entry(bytes, b"_SM3_", 6)?;
    sound(u64_at(entry, 0x10)?, u32_at(entry, 0x0c)?)
}

fn version_2(bytes: &[u8]) -> Option<Table> {
    let entry = entry(bytes, b"_SM_", 5)?;
    if entry.get(0x10..0x15)? != b"_DMI_" {
        return None;
    }
    sound(u32_at(entry, 0x18)?.into(), u16_at(entry, 0x16)?.into())
}

/// The entry point at the start of `bytes`, if it begins with `anchor` and its bytes add up to 0; its length is at `length_at`.
fn entry<'b>(bytes: &'b [u8], anchor: &[u8], length_at: usize) -> Option<&'b [u8]> {
    if !bytes.starts_with(anchor) {
        return None;
    }
    let entry = bytes.get(..*bytes.get(length_at)? as usize)?;
    let sum = entry.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    (sum == 0).then_some(entry)
}

fn sound(address: u64, length: u32) -> Option<Table> {
    let length = (length as usize).min(LARGEST_TABLE);
    (address != 0 && length > 0).then_some(Table { address, length })
}

/// The strings that are passed on: type of structure, offset of the string's number, name of its line.
const STRINGS: [(u8, usize, &str); 6] = [
    (0, 0x04, "bios"),
    (0, 0x05, "bios"),
    (1, 0x04, "manufacturer"),
    (1, 0x05, "product"),
    (1, 0x07, "serial"),
    (3, 0x08, "asset"),
];

/// Gives `line` the name and text of each string of [`STRINGS`] in the structures of `table`, in their order: BIOS (vendor, version),
/// system and chassis information (sections 7.1, 7.2, 7.4). Texts are visible ASCII.
pub fn describe(table: &[u8], line: &mut dyn FnMut(&str, &str)) {
    let mut rest = table;
    for _ in 0..MOST_STRUCTURES {
        let Some((structure, strings, after)) = split(rest) else {
            return;
        };
        rest = after;
        for (kind, at, name) in STRINGS {
            if structure[0] == kind
                && let Some(number) = structure.get(at)
                && let Some(text) = string(strings, *number)
            {
                line(name, text);
            }
        }
    }
}

/// The structure at the start of `bytes`, its strings, and what follows (sections 6.1.2, 6.1.3): each string ends with a zero byte,
/// the last one with two.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    const HEADER: usize = 4;
    const END_OF_TABLE: u8 = 127;
    let length = *bytes.get(1)? as usize;
    if length < HEADER || bytes[0] == END_OF_TABLE {
        return None;
    }
    let (structure, rest) = bytes.split_at_checked(length)?;
    let end = rest.windows(2).position(|pair| pair == [0, 0])?;
    let (strings, after) = rest.split_at_checked(end + 2)?;
    Some((structure, strings, after))
}

/// String `number`, counted from 1; `None` for 0, which means that there is none, and for what is no plain text.
fn string(strings: &[u8], number: u8) -> Option<&str> {
    let text = strings
        .split(|byte| *byte == 0)
        .nth(usize::from(number).checked_sub(1)?)?;
    let text = text.get(..LONGEST_TEXT).unwrap_or(text).trim_ascii();
    let is_plain = !text.is_empty() && text.iter().all(|byte| *byte == b' ' || byte.is_ascii_graphic());
    core::str::from_utf8(text).ok().filter(|_| is_plain)
}

/// The lines of `/run/cartridge/platform`: `NAME TEXT`; none on a machine that says nothing.
#[cfg(target_os = "hermit")]
pub fn text() -> crate::heap::Vec<u8> {
    use crate::acpi::{firmware_bytes, lists_its_devices};
    let mut text = crate::heap::vec();
    // Nor has such a machine these tables, and looking for them would be long.
    if lists_its_devices() {
        return text;
    }
    let area = firmware_bytes(BIOS_AREA.start, (BIOS_AREA.end - BIOS_AREA.start) as usize);
    let found = area
        .and_then(table)
        .and_then(|table| firmware_bytes(table.address, table.length));
    describe(found.unwrap_or_default(), &mut |name, value| {
        for part in [name, " ", value, "\n"] {
            // What does not fit into the kernel's heap is left out.
            if text.try_reserve(part.len()).is_ok() {
                text.extend_from_slice(part.as_bytes());
            }
        }
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    /// An area with `entry` at `at`, its checksum (at `sum`) made right.
    fn area(at: usize, mut entry: Vec<u8>, sum: usize) -> Vec<u8> {
        entry[sum] = 0;
        let total = entry.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        entry[sum] = total.wrapping_neg();
        let mut area = std::vec![0; 4096];
        area[at..at + entry.len()].copy_from_slice(&entry);
        area
    }

    fn entry_2(address: u32, length: u16) -> Vec<u8> {
        let mut entry = std::vec![0; 0x1f];
        entry[..4].copy_from_slice(b"_SM_");
        entry[5] = 0x1f;
        entry[0x10..0x15].copy_from_slice(b"_DMI_");
        entry[0x16..0x18].copy_from_slice(&length.to_le_bytes());
        entry[0x18..0x1c].copy_from_slice(&address.to_le_bytes());
        entry
    }

    fn entry_3(address: u64, length: u32) -> Vec<u8> {
        let mut entry = std::vec![0; 0x18];
        entry[..5].copy_from_slice(b"_SM3_");
        entry[6] = 0x18;
        entry[0x0c..0x10].copy_from_slice(&length.to_le_bytes());
        entry[0x10..0x18].copy_from_slice(&address.to_le_bytes());
        entry
    }

    #[test]
    fn both_entry_points_are_found_and_checked() {
        let (address, length) = (0xf_5000, 321);
        let expected = Some(Table { address, length });
        assert_eq!(table(&area(0x450, entry_2(address as u32, 321), 4)), expected);
        assert_eq!(table(&area(0x450, entry_3(address, 321), 5)), expected);
        assert_eq!(table(&area(0x458, entry_3(address, 321), 5)), None, "off the boundary");
        for at in [0x455, 0x460, 0x468] {
            let mut area = area(0x450, entry_2(address as u32, 321), 4);
            area[at] ^= 1;
            assert_eq!(table(&area), None, "byte {at:#x}");
        }
        let huge = table(&area(0, entry_3(address, u32::MAX), 5)).unwrap();
        assert_eq!(huge.length, LARGEST_TABLE);
        assert_eq!(table(&area(0, entry_3(0, 321), 5)), None);
        let mut cut = area(4080, std::vec![0; 8], 5);
        cut[4080..4087].copy_from_slice(b"_SM3_\0\xff");
        assert_eq!(table(&cut), None);
    }

    fn structure(kind: u8, numbers: &[u8], strings: &[&str]) -> Vec<u8> {
        let mut bytes = [&[kind, 4 + numbers.len() as u8, 0, 1], numbers].concat();
        for string in strings {
            bytes.extend_from_slice(string.as_bytes());
            bytes.push(0);
        }
        // Without strings there are two zero bytes all the same.
        bytes.extend_from_slice(if strings.is_empty() { &[0, 0] } else { &[0] });
        bytes
    }

    fn lines(table: &[u8]) -> String {
        let mut text = String::new();
        describe(table, &mut |name, value| text += &std::format!("{name} {value}\n"));
        text
    }

    #[test]
    fn the_strings_of_bios_system_and_chassis_are_told() {
        let table = [
            structure(0, &[1, 2], &["SeaBIOS", "1.16"]),
            structure(32, &[0; 7], &[]),
            structure(
                1,
                &[2, 1, 0, 3],
                &["OpenStack Nova", "OpenStack Foundation", " a serial "],
            ),
            structure(3, &[0, 0, 0, 0, 1], &["tag"]),
            structure(127, &[], &[]),
            structure(1, &[1, 1], &["after the end"]),
        ]
        .concat();
        assert_eq!(
            lines(&table),
            "bios SeaBIOS\nbios 1.16\nmanufacturer OpenStack Foundation\nproduct OpenStack Nova\nserial a serial\nasset tag\n"
        );
    }

    #[test]
    fn no_table_makes_the_reader_panic_or_run_on() {
        let odd = structure(1, &[1, 2, 9], &["two\nlines", "\u{e9}"]);
        assert_eq!(lines(&odd), "");
        assert_eq!(lines(&[1, 3, 0, 0, 0, 0]), "");
        assert_eq!(
            lines(&structure(1, &[1], &[&"x".repeat(100)])),
            std::format!("manufacturer {}\n", "x".repeat(64))
        );
        let good = [
            structure(0, &[1, 2], &["a", "b"]),
            structure(1, &[1, 2, 0, 3], &["c", "d", "e"]),
        ]
        .concat();
        for at in 0..good.len() {
            let _ = lines(&good[..at]);
            for value in [0, 1, 4, 127, 255] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = lines(&bad);
            }
        }
        assert!(lines(&structure(1, &[1], &["x"]).repeat(10_000)).lines().count() <= MOST_STRUCTURES);
    }
}
