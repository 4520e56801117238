//! ACPI tables, read as untrusted bytes: what power, interrupt routing and PCI need from them.

/// Physical address and first global system interrupt of each I/O APIC; `None` when no table says.
#[cfg(target_os = "hermit")]
pub fn io_apics() -> Option<crate::heap::Vec<(u64, u32)>> {
    None
}

/// Physical address of bus 0's configuration space and the last bus number, from MCFG (PCI Firmware 3.0, table 4-2).
#[cfg(target_os = "hermit")]
pub fn ecam() -> Option<(u64, u8)> {
    None
}
