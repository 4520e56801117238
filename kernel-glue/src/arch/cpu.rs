//! CPU features and registers.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count, CpuidResult};

/// Model-specific registers (Intel SDM volume 4, table 2-2).
pub const IA32_APIC_BASE: u32 = 0x1b;
pub const IA32_TSC_DEADLINE: u32 = 0x6e0;
pub const IA32_FS_BASE: u32 = 0xc000_0100;

/// CPUID leaf `leaf`, or zeros when the CPU does not have it (a leaf past the last answers with another one's contents).
#[inline]
pub fn cpuid(leaf: u32) -> CpuidResult {
    cpuid_sub(leaf, 0)
}

/// The same for a leaf that has several parts.
#[inline(never)] // asked a dozen times, each of which would repeat the check of the range
pub fn cpuid_sub(leaf: u32, sub: u32) -> CpuidResult {
    let range = leaf & 0xffff_0000;
    if leaf != range && __cpuid(range).eax < leaf {
        return CpuidResult {
            eax: 0,
            ebx: 0,
            ecx: 0,
            edx: 0,
        };
    }
    __cpuid_count(leaf, sub)
}

/// True when a hypervisor says it is there (CPUID 1 ECX bit 31).
pub fn hypervisor_present() -> bool {
    cpuid(1).ecx & 1 << 31 != 0
}

/// # Safety
/// The CPU has `register`, and `value` keeps the kernel's assumptions (mappings, TLS of the running thread).
#[inline(always)]
pub unsafe fn write_msr(register: u32, value: u64) {
    // SAFETY: by this function's contract.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack, preserves_flags))
    }
}

/// # Safety
/// The CPU has `register`.
pub unsafe fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: by this function's contract; reading changes nothing.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags))
    };
    (high as u64) << 32 | low as u64
}

#[inline(always)]
pub fn timestamp() -> u64 {
    // SAFETY: RDTSC exists on every x86-64 CPU and changes nothing.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The address that faulted last.
pub fn fault_address() -> u64 {
    let address;
    // SAFETY: reading CR2 changes nothing.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) };
    address
}

/// Lets interrupts in. Only ever off in [`sleep`](super::interrupts::sleep) and in the stubs.
pub fn enable_interrupts() {
    // SAFETY: every vector has a handler (descriptors::init ran first) and the handlers follow the rule in critical.rs.
    unsafe { asm!("sti", options(nomem, nostack)) }
}

/// Stops for ever.
pub fn halt() -> ! {
    loop {
        // SAFETY: nothing runs after this.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) }
    }
}
