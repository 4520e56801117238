//! Finding tables in ACPI's bytes (ACPI specification 6.5, section 5.2). Nothing here trusts a length or a checksum.

use core::ops::Range;

/// Bytes of a table's header; its contents follow.
pub const HEADER: usize = 36;
/// Bytes of the root pointer: revision 0, revision 2 and later.
pub const RSDP_FIRST: usize = 20;
pub const RSDP: usize = 36;

/// Little-endian numbers of `bytes`; `None` past its end.
pub fn u8_at(bytes: &[u8], offset: usize) -> Option<u8> {
    bytes.get(offset).copied()
}

pub fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(number_at(bytes, offset, 2)? as u16)
}

pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(number_at(bytes, offset, 4)? as u32)
}

pub fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    number_at(bytes, offset, 8)
}

/// Once for all widths: tables are read seldom.
#[inline(never)]
fn number_at(bytes: &[u8], offset: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(offset..)?.get(..width)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}

/// Where `pattern` first is in byte code that is searched, not interpreted.
#[inline(never)]
pub fn position(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

/// What follows `pattern`, where that is.
pub fn after<'b>(bytes: &'b [u8], pattern: &[u8]) -> Option<&'b [u8]> {
    bytes.get(position(bytes, pattern)? + pattern.len()..)
}

#[inline(never)]
fn sums_to_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) == 0
}

/// The table that lists all others: its physical address, and the bytes of each entry (8 in an XSDT, 4 in an RSDT).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Root {
    pub address: u64,
    pub entry_size: usize,
}

/// Reads the root pointer (section 5.2.5.3) at the start of `bytes`, of which there should be [`RSDP`].
pub fn root(bytes: &[u8]) -> Option<Root> {
    const XSDT: usize = 24;
    if !bytes.starts_with(b"RSD PTR ") || !sums_to_zero(bytes.get(..RSDP_FIRST)?) {
        return None;
    }
    let extended = (u8_at(bytes, 15)? >= 2)
        .then(|| bytes.get(..RSDP))
        .flatten()
        .filter(|bytes| sums_to_zero(bytes));
    match extended.and_then(|bytes| u64_at(bytes, XSDT)) {
        Some(address) if address != 0 => Some(Root { address, entry_size: 8 }),
        _ => Some(Root {
            address: u32_at(bytes, 16)? as u64,
            entry_size: 4,
        })
        .filter(|root| root.address != 0),
    }
}

/// Signature and length of the table whose header `bytes` begins with.
pub fn header(bytes: &[u8]) -> Option<([u8; 4], usize)> {
    let length = u32_at(bytes, 4)? as usize;
    (length >= HEADER).then_some((*bytes.first_chunk()?, length))
}

/// The table at the start of `bytes`, cut to its length, when signature and checksum are right.
pub fn checked<'a>(bytes: &'a [u8], signature: &[u8; 4]) -> Option<&'a [u8]> {
    let (found, length) = header(bytes)?;
    let table = bytes.get(..length)?;
    (found == *signature && sums_to_zero(table)).then_some(table)
}

/// The address at `index` in a root table; `None` past its end.
pub fn entry(table: &[u8], entry_size: usize, index: usize) -> Option<u64> {
    number_at(table, HEADER + index * entry_size, entry_size)
}

/// Where the root pointer may be on a PC with BIOS (section 5.2.5.1), besides the extended BIOS data area.
pub const BIOS_AREA: Range<u64> = 0xe_0000..0x10_0000;

/// Finds the root pointer in `bytes`, which begin at a multiple of 16.
pub fn find_root(bytes: &[u8]) -> Option<Root> {
    let (mut chunks, _) = bytes.as_chunks::<16>();
    // As numbers, not as slices: this runs over the 128 KiB of the BIOS area at boot.
    const SIGNATURE: u64 = u64::from_le_bytes(*b"RSD PTR ");
    let mut offset = 0;
    while let Some(next) = chunks
        .iter()
        .position(|chunk| u128::from_le_bytes(*chunk) as u64 == SIGNATURE)
    {
        let rest = &bytes[offset + 16 * next..];
        let found = root(&rest[..rest.len().min(RSDP)]);
        if found.is_some() {
            return found;
        }
        offset += 16 * (next + 1);
        chunks = &chunks[next + 1..];
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::vec::Vec;

    /// Sets the byte at `at` so that all of `bytes` sum to zero.
    pub fn fix_sum(bytes: &mut [u8], at: usize) {
        bytes[at] = 0;
        bytes[at] = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
    }

    pub fn make(signature: &[u8; 4], contents: &[u8]) -> Vec<u8> {
        let mut table = std::vec![0; HEADER];
        table[..4].copy_from_slice(signature);
        table.extend_from_slice(contents);
        let length = table.len() as u32;
        table[4..8].copy_from_slice(&length.to_le_bytes());
        fix_sum(&mut table, 9);
        table
    }

    fn rsdp(revision: u8) -> Vec<u8> {
        let mut bytes = std::vec![0u8; RSDP];
        bytes[..8].copy_from_slice(b"RSD PTR ");
        bytes[15] = revision;
        bytes[16..20].copy_from_slice(&0x1000u32.to_le_bytes());
        bytes[20] = RSDP as u8;
        bytes[24..32].copy_from_slice(&0x2_0000_0000u64.to_le_bytes());
        fix_sum(&mut bytes[..RSDP_FIRST], 8);
        fix_sum(&mut bytes, 32);
        bytes
    }

    #[test]
    fn the_root_pointer_of_both_revisions() {
        assert_eq!(
            root(&rsdp(0)),
            Some(Root {
                address: 0x1000,
                entry_size: 4
            })
        );
        assert_eq!(
            root(&rsdp(2)),
            Some(Root {
                address: 0x2_0000_0000,
                entry_size: 8
            })
        );
        let mut broken = rsdp(2);
        broken[33] ^= 1;
        assert_eq!(
            root(&broken),
            Some(Root {
                address: 0x1000,
                entry_size: 4
            }),
            "a bad extension leaves the first part"
        );
        broken[3] ^= 1;
        assert_eq!(root(&broken), None);
        assert_eq!(
            root(&rsdp(2)[..30]),
            Some(Root {
                address: 0x1000,
                entry_size: 4
            })
        );
    }

    #[test]
    fn the_root_pointer_is_found_on_16_byte_boundaries() {
        let mut area = std::vec![0u8; 4096];
        area[4080..4096].copy_from_slice(&rsdp(2)[..16]);
        assert_eq!(find_root(&area), None);
        area[160..160 + RSDP].copy_from_slice(&rsdp(2));
        assert_eq!(find_root(&area).map(|root| root.entry_size), Some(8));
    }

    #[test]
    fn tables_are_checked() {
        let table = make(b"FACP", &[1, 2, 3]);
        assert_eq!(checked(&table, b"FACP").map(<[u8]>::len), Some(39));
        assert_eq!(checked(&table, b"APIC"), None);
        assert_eq!(checked(&table[..38], b"FACP"), None);
        for index in 0..table.len() {
            let mut broken = table.clone();
            broken[index] ^= 0x10;
            assert_eq!(checked(&broken, b"FACP"), None, "byte {index}");
        }
    }

    #[test]
    fn entries_of_both_sizes() {
        let table = make(b"XSDT", &[1, 0, 0, 0, 2, 0, 0, 0, 9]);
        assert_eq!([0, 1].map(|index| entry(&table, 8, index)), [Some(0x2_0000_0001), None]);
        assert_eq!([0, 1, 2].map(|index| entry(&table, 4, index)), [Some(1), Some(2), None]);
        assert_eq!(entry(&[], 4, 0), None);
    }
}
