//! ACPI tables, read as untrusted bytes: what power, interrupt routing and devices need from them.
//!
//! Nothing is read before it is asked for: a machine without ACPI (microvm) boots without looking for it.

pub mod ecam;
pub mod fixed;
pub mod routing;
pub mod table;

#[cfg(target_os = "hermit")]
mod lookup;

#[cfg(target_os = "hermit")]
pub use lookup::{
    dsdt, firmware_bytes, fixed_table, interrupt_controllers, listed_ecam, lists_its_devices, returned_ecam, sci_line,
};
