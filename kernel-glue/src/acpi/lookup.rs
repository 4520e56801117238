//! Where this machine's tables are.

use super::ecam::{self, Ecam};
use super::fixed::Fixed;
use super::routing::{self, Line};
use super::table::{self, HEADER, Root};
use crate::critical::{self, Guarded};
use crate::{boot, memory};

/// Larger than any table seen (QEMU's largest is 40 KiB), bytes.
const LARGEST_TABLE: usize = 1 << 20;
const MOST_TABLES: usize = 64;
/// Where the extended BIOS data area lies on PCs: its pointer is in page 0, which is never mapped.
const EXTENDED_AREA: u64 = 0x9_fc00;

/// The root, once looked for: `Some(None)` on a machine without ACPI.
static ROOT: Guarded<Option<Option<Root>>> = Guarded::new(None);

fn root() -> Option<Root> {
    let _critical = critical::enter();
    // SAFETY: inside the critical section; looking for the root does not come back here.
    *unsafe { ROOT.get() }.get_or_insert_with(find_root)
}

fn find_root() -> Option<Root> {
    let told = boot::info()
        .rsdp
        .and_then(|address| firmware_bytes(address, table::RSDP));
    if let Some(told) = told {
        return table::root(told);
    }
    // Looking for tables that are not there would be the longest part of the boot.
    if lists_its_devices() {
        return None;
    }
    let areas = [EXTENDED_AREA..EXTENDED_AREA + 1024, table::BIOS_AREA];
    for area in areas {
        let found = firmware_bytes(area.start, (area.end - area.start) as usize).and_then(table::find_root);
        if found.is_some() {
            return found;
        }
    }
    None
}

/// True for a machine that lists its devices on the command line, because it has no tables (QEMU's microvm, Firecracker).
pub fn lists_its_devices() -> bool {
    table::position(boot::info().command_line.as_bytes(), b"virtio_mmio.device=").is_some()
}

/// Physical memory the firmware wrote.
pub fn firmware_bytes(address: u64, length: usize) -> Option<&'static [u8]> {
    // Page 0 is never mapped, whatever a table says.
    if address < 4096 {
        return None;
    }
    let place = memory::map_ram(address, length)?;
    // SAFETY: mapped just now; the firmware's tables are in memory the map does not call RAM, so nothing of ours writes them.
    Some(unsafe { core::slice::from_raw_parts(place.as_ptr(), length) })
}

/// The table at `address`, if it is `signature` and sound.
fn table_at(address: u64, signature: &[u8; 4]) -> Option<&'static [u8]> {
    let (found, length) = table::header(firmware_bytes(address, HEADER)?)?;
    if found != *signature || length > LARGEST_TABLE {
        return None;
    }
    table::checked(firmware_bytes(address, length)?, signature)
}

fn find(signature: &[u8; 4]) -> Option<&'static [u8]> {
    let root = root()?;
    let list = table_at(root.address, if root.entry_size == 8 { b"XSDT" } else { b"RSDT" })?;
    for index in 0..MOST_TABLES {
        let found = table_at(table::entry(list, root.entry_size, index)?, signature);
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The fixed description table.
pub fn fixed_table() -> Option<Fixed<'static>> {
    find(b"FACP").map(Fixed)
}

/// The byte code that describes the machine.
pub fn dsdt(fixed: Fixed) -> Option<&'static [u8]> {
    table_at(fixed.dsdt(), b"DSDT")
}

/// The table of interrupt controllers; empty when there is none.
pub fn interrupt_controllers() -> &'static [u8] {
    find(b"APIC").unwrap_or_default()
}

/// Configuration space in memory, as the table of it says.
pub fn listed_ecam() -> Option<Ecam> {
    find(b"MCFG").and_then(ecam::listed)
}

/// The same by the machine's byte code.
pub fn returned_ecam() -> Option<Ecam> {
    ecam::returned(dsdt(fixed_table()?)?)
}

/// How the system control interrupt, ISA interrupt `source`, is wired.
#[inline(never)]
pub fn sci_line(source: u8) -> Line {
    routing::sci_line(interrupt_controllers(), source)
}
