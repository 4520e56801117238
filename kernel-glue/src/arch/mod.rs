//! The processor: boot, page tables, descriptor tables, exceptions, interrupts, ports.

pub mod apic;
pub mod context;
pub mod cpu;
pub mod descriptors;
pub mod entry;
pub mod exceptions;
pub mod fault;
pub mod image;
pub mod interrupts;
pub mod ioapic;
pub mod paging;
pub mod port;
