//! The processor: boot, page tables, descriptor tables, exceptions, interrupts, ports.

// Interrupts and exceptions save the SSE registers of what they interrupt, not the upper halves that AVX adds: programs may use
// those after asking the CPU, but code compiled to use them unasked would be in the kernel too.
#[cfg(target_feature = "avx")]
compile_error!(
    "a cartridge cannot be compiled for AVX as a whole: take target-cpu and target-feature=+avx out of RUSTFLAGS"
);

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
