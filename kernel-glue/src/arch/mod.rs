//! The processor: boot, page tables, descriptor tables, exceptions, interrupts, ports.
