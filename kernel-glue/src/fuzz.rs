//! Doors for a fuzzer, on the host: what reads bytes from outside, and the whole network stack on a simulated cable.
//!
//! The targets that use them are in `tests/fuzz`.

pub use crate::net::fuzzed::{MAC, Machine, dns_answer, dns_question, takes_network_lines};

use crate::acpi::{ecam, fixed, routing, table};
use crate::smbios;

/// Reads `bytes` as each of the ACPI tables; gives how many addresses, ports and numbers were found.
pub fn acpi(bytes: &[u8]) -> usize {
    let mut found = 0;
    let mut count = |is_there: bool| found += usize::from(is_there);
    count(table::find_root(bytes).is_some());
    count(table::root(bytes).is_some());
    for signature in [b"FACP", b"DSDT", b"APIC", b"MCFG", b"XSDT", b"RSDT"] {
        count(table::checked(bytes, signature).is_some());
    }
    for size in [4, 8] {
        for index in 0..64 {
            count(table::entry(bytes, size, index).is_some());
        }
    }
    count(ecam::listed(bytes).is_some());
    count(ecam::returned(bytes).is_some());
    count(fixed::soft_off_types(bytes).is_some());
    count(fixed::event_device(bytes).is_some());
    for _ in routing::io_apics(bytes) {
        count(true);
    }
    for source in [0, 9, 255] {
        count(routing::sci_line(bytes, source).level_triggered);
    }
    let fixed = fixed::Fixed(bytes);
    count(fixed.dsdt() != 0);
    count(fixed.reset().is_some());
    count(fixed.sci() != 0);
    count(fixed.enable().is_some());
    count(fixed.pm1_event().is_some());
    count(fixed.pm1_event_length() != 0);
    for (port, _) in fixed.other_events() {
        count(port != 0);
    }
    count(fixed.timer().is_some());
    count(fixed.sleep_control().is_some());
    count(fixed.hardware_reduced());
    for register in fixed.pm1_control() {
        count(register.is_some());
    }
    found
}

/// The place that an SMBIOS entry point in `bytes` names: address and length.
pub fn smbios_place(bytes: &[u8]) -> Option<(u64, usize)> {
    smbios::table(bytes).map(|table| (table.address, table.length))
}

/// Gives `line` the names and texts of the SMBIOS table `bytes`.
pub fn smbios_texts(bytes: &[u8], line: &mut dyn FnMut(&str, &str)) {
    smbios::describe(bytes, line);
}
