//! Where configuration space is in memory: the table MCFG (PCI Firmware Specification 3.3, section 4.1.2) or, on machines that
//! only have byte code (QEMU's microvm), the method `_CBA` (section 4.1.3), which is searched for and not interpreted.

use super::table::{HEADER, after, u8_at, u16_at, u32_at, u64_at};

/// Configuration space of PCI segment 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ecam {
    /// Physical address of bus 0.
    pub address: u64,
    /// 1 to 256.
    pub buses: usize,
}

impl Ecam {
    /// `None` for an address that configuration space cannot have: a bus's is a multiple of its size (PCIe 7.2.2), and not 0.
    fn new(address: u64, buses: usize) -> Option<Ecam> {
        (address != 0 && address.is_multiple_of(BUS)).then_some(Ecam { address, buses })
    }
}

/// Bytes of a bus's configuration space: 32 devices with 8 functions of 4 KiB each.
pub const BUS: u64 = 1 << 20;

/// From the table: the entry of segment 0 that begins with bus 0.
pub fn listed(mcfg: &[u8]) -> Option<Ecam> {
    // Each entry: address, segment (2 bytes), first bus, last bus, 4 reserved bytes. They begin after 8 reserved bytes.
    let mut at = HEADER + 8;
    loop {
        let address = u64_at(mcfg, at)?;
        if u16_at(mcfg, at + 8)? == 0 && u8_at(mcfg, at + 10)? == 0 {
            let buses = usize::from(u8_at(mcfg, at + 11)?) + 1;
            return Ecam::new(address, buses);
        }
        at += 16;
    }
}

/// From byte code: a method that returns one 32-bit constant (section 20.2 of the ACPI specification). All buses are there.
pub fn returned(dsdt: &[u8]) -> Option<Ecam> {
    // Its name, no arguments, ReturnOp, DWordPrefix.
    let constant = after(dsdt, b"_CBA\0\xa4\x0c")?;
    Ecam::new(u32_at(constant, 0)?.into(), 256)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acpi::table::tests::make;

    /// As QEMU's q35 has it.
    fn entry(address: u64, segment: u16, buses: [u8; 2]) -> std::vec::Vec<u8> {
        [&address.to_le_bytes()[..], &segment.to_le_bytes(), &buses, &[0; 4]].concat()
    }

    fn mcfg(entries: &[std::vec::Vec<u8>]) -> std::vec::Vec<u8> {
        make(b"MCFG", &[&[0; 8][..], &entries.concat()].concat())
    }

    #[test]
    fn segment_0_from_bus_0_counts() {
        let q35 = entry(0xb000_0000, 0, [0, 0xff]);
        let expected = Some(Ecam {
            address: 0xb000_0000,
            buses: 256,
        });
        assert_eq!(listed(&mcfg(core::slice::from_ref(&q35))), expected);
        let others = [entry(1 << 40, 1, [0, 0xff]), entry(1 << 41, 0, [0x40, 0x7f]), q35];
        assert_eq!(listed(&mcfg(&others)), expected);
        assert_eq!(listed(&mcfg(&others[..2])), None);
        let table = mcfg(&others);
        for cut in 0..table.len() {
            assert!(listed(&table[..cut]).is_none() || cut >= HEADER + 8 + 32 + 12, "{cut}");
        }
    }

    #[test]
    fn an_address_that_no_bus_can_have_does_not_count() {
        for address in [0, 4096, 0xb000_0002] {
            assert_eq!(listed(&mcfg(&[entry(address, 0, [0, 0xff])])), None, "{address:#x}");
        }
        assert_eq!(returned(b"_CBA\0\xa4\x0c\0\0\0\0"), None);
    }

    #[test]
    fn the_method_of_a_microvm_is_found() {
        // From its DSDT, QEMU 7.2.
        let code = b"\x43\x52\x53\x01\x14\x0c_CBA\x00\xa4\x0c\x00\x00\x00\xe0\x08_CRS\x11";
        let expected = Ecam {
            address: 0xe000_0000,
            buses: 256,
        };
        assert_eq!(returned(code), Some(expected));
        assert_eq!(returned(&code[..14]), None);
        assert_eq!(returned(b"_CBA\0\xa4\x01"), None);
    }
}
