//! Interrupt controllers: the table MADT (ACPI specification 6.5, section 5.2.12).

use super::table::{HEADER, u8_at, u16_at, u32_at};

/// Where the entries begin.
const ENTRIES: usize = HEADER + 8;
const IO_APIC: u8 = 1;
const OVERRIDE: u8 = 2;

/// The entries of an MADT: type and bytes (header included). Ends at one that does not fit.
fn entries(madt: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = madt.get(ENTRIES..).unwrap_or_default();
    core::iter::from_fn(move || {
        let length = u8_at(rest, 1)? as usize;
        let (entry, after) = rest.split_at_checked(length).filter(|_| length >= 2)?;
        rest = after;
        Some((entry[0], entry))
    })
}

/// Physical address and first global system interrupt of each I/O APIC.
pub fn io_apics(madt: &[u8]) -> impl Iterator<Item = (u64, u32)> {
    entries(madt)
        .filter(|(kind, _)| *kind == IO_APIC)
        .filter_map(|(_, entry)| Some((u32_at(entry, 4)? as u64, u32_at(entry, 8)?)))
}

/// How an interrupt reaches the I/O APICs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// Global system interrupt.
    pub gsi: u32,
    pub level_triggered: bool,
    pub active_low: bool,
}

/// Where the system control interrupt, ISA interrupt `source`, goes: as an override says, else to the global interrupt of its
/// number. Level-triggered and active low unless the override says otherwise (section 5.2.9, SCI_INT).
pub fn sci_line(madt: &[u8], source: u8) -> Line {
    const EDGE_TRIGGERED: u16 = 1 << 2;
    const ACTIVE_HIGH: u16 = 1;
    let found = entries(madt)
        .filter(|(kind, _)| *kind == OVERRIDE)
        .find_map(|(_, entry)| {
            let flags = (u8_at(entry, 3)? == source).then(|| u16_at(entry, 8))??;
            Some((u32_at(entry, 4)?, flags))
        });
    // Each setting has two bits; 0 means as the bus has it.
    let (gsi, flags) = found.unwrap_or((source.into(), 0));
    Line {
        gsi,
        level_triggered: flags & 3 << 2 != EDGE_TRIGGERED,
        active_low: flags & 3 != ACTIVE_HIGH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acpi::table::tests::make;

    fn madt() -> std::vec::Vec<u8> {
        let mut contents = std::vec![0u8; 8];
        contents.extend_from_slice(&[0, 8, 0, 0, 1, 0, 0, 0]);
        contents.extend_from_slice(&[1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
        contents.extend_from_slice(&[2, 10, 0, 0, 2, 0, 0, 0, 0, 0]);
        contents.extend_from_slice(&[2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0]);
        contents.extend_from_slice(&[1, 12, 1, 0, 0, 0, 0xc1, 0xfe, 24, 0, 0, 0]);
        make(b"APIC", &contents)
    }

    #[test]
    fn io_apics_and_overrides() {
        let madt = madt();
        assert_eq!(
            io_apics(&madt).collect::<std::vec::Vec<_>>(),
            [(0xfec0_0000, 0), (0xfec1_0000, 24)]
        );
        assert_eq!(
            sci_line(&madt, 9),
            Line {
                gsi: 9,
                level_triggered: true,
                active_low: false
            }
        );
        assert_eq!(
            sci_line(&madt, 0),
            Line {
                gsi: 2,
                level_triggered: true,
                active_low: true
            }
        );
        assert_eq!(
            sci_line(&madt, 4),
            Line {
                gsi: 4,
                level_triggered: true,
                active_low: true
            }
        );
    }

    #[test]
    fn entries_that_lie_about_their_length_end_the_list() {
        let mut madt = madt();
        let length = madt.len();
        for at in ENTRIES..length {
            for value in [0, 1, 2, 0xff] {
                let before = core::mem::replace(&mut madt[at], value);
                assert!(io_apics(&madt).count() <= length / 2);
                sci_line(&madt, 9);
                madt[at] = before;
            }
        }
        for cut in 0..length {
            io_apics(&madt[..cut]).count();
        }
    }
}
