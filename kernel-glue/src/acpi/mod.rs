//! ACPI tables, read as untrusted bytes: what power, interrupt routing and PCI need from them.

/// Physical address of bus 0's configuration space and the last bus number, from MCFG (PCI Firmware 3.0, table 4-2).
pub fn ecam() -> Option<(u64, u8)> {
    None
}
