//! From the PVH entry to the program's `main`: the order in which everything comes up.

/// What the loader told us.
pub struct BootInfo {
    pub command_line: &'static str,
    /// First boot module: the payload.
    pub module: Option<&'static [u8]>,
    /// Physical address of ACPI's RSDP, if known.
    pub rsdp: Option<u64>,
}

pub fn info() -> &'static BootInfo {
    unimplemented!()
}
