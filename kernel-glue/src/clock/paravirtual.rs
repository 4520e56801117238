//! What the hypervisor and the CPU say about the time: kvm-clock, and the frequency leaves of CPUID.
//!
//! Sources: Linux Documentation/virt/kvm/x86/msr.rst and cpuid.rst; Intel SDM volume 2, CPUID leaves 0x15 and 0x16; the timing
//! leaf 0x4000_0010 is VMware's proposal, given by KVM-based hosts too.

use super::scale::Scale;
use crate::arch::cpu::{self, cpuid};
use core::cell::UnsafeCell;

/// CPUID 0x4000_0000, EBX, ECX, EDX.
const KVM: &[u8; 12] = b"KVMKVMKVM\0\0\0";
const TCG: &[u8; 12] = b"TCGTCGTCGTCG";
const FEATURES: u32 = 0x4000_0001;
const CLOCKSOURCE2: u32 = 1 << 3;
const MSR_WALL_CLOCK: u32 = 0x4b56_4d00;
const MSR_SYSTEM_TIME: u32 = 0x4b56_4d01;
const TIMING: u32 = 0x4000_0010;
const NANOSECONDS: u64 = 1_000_000_000;

/// `pvclock_vcpu_time_info`, then `pvclock_wall_clock`.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Shared {
    version: u32,
    padding: u32,
    tsc_timestamp: u64,
    system_time: u64,
    tsc_to_system_mul: u32,
    tsc_shift: i8,
    flags: u8,
    padding_2: [u8; 2],
    wall_version: u32,
    wall_seconds: u32,
    wall_nanoseconds: u32,
}

struct Page(UnsafeCell<Shared>);
// SAFETY: the hypervisor writes it when asked to, at boot, before there are threads.
unsafe impl Sync for Page {}
static PAGE: Page = Page(UnsafeCell::new(Shared {
    version: 0,
    padding: 0,
    tsc_timestamp: 0,
    system_time: 0,
    tsc_to_system_mul: 0,
    tsc_shift: 0,
    flags: 0,
    padding_2: [0; 2],
    wall_version: 0,
    wall_seconds: 0,
    wall_nanoseconds: 0,
}));

/// The signature of what runs us, if something does.
fn hypervisor() -> Option<[u8; 12]> {
    cpu::hypervisor_present().then(|| {
        let leaf = cpuid(0x4000_0000);
        let mut signature = [0; 12];
        for (chunk, register) in signature.chunks_exact_mut(4).zip([leaf.ebx, leaf.ecx, leaf.edx]) {
            chunk.copy_from_slice(&register.to_le_bytes());
        }
        signature
    })
}

/// True under KVM and QEMU, whose local APIC has a bus of 1 GHz (KVM's APIC_BUS_CYCLE_NS and QEMU's apic_common are 1 ns).
pub fn apic_bus_is_1_ghz() -> bool {
    hypervisor().is_some_and(|signature| signature == *KVM || signature == *TCG)
}

/// The TSC's frequency, and nanoseconds since the Unix epoch at `timestamp`, from KVM.
pub struct KvmClock {
    pub frequency: u64,
    pub wall: u64,
}

/// Asks KVM, if that is what runs us. `timestamp`: the TSC just now.
pub fn kvm_clock(timestamp: u64) -> Option<KvmClock> {
    if hypervisor().as_ref() != Some(KVM) || cpuid(FEATURES).eax & CLOCKSOURCE2 == 0 {
        return None;
    }
    let page = PAGE.0.get();
    let address = page as u64;
    let wall_offset = core::mem::offset_of!(Shared, wall_version) as u64;
    // SAFETY: CPUID offers the registers; the page is ours, aligned so that neither structure crosses a page, and identity-mapped.
    // Bit 0 turns the clock on; it is turned off again so that the hypervisor does not write for ever. It has written before each
    // instruction ends, and writing a register is a barrier to the compiler.
    let shared = unsafe {
        cpu::write_msr(MSR_WALL_CLOCK, address + wall_offset);
        cpu::write_msr(MSR_SYSTEM_TIME, address | 1);
        cpu::write_msr(MSR_SYSTEM_TIME, 0);
        &*page
    };
    let multiplier = shared.tsc_to_system_mul as u64;
    if shared.version & 1 != 0 || multiplier == 0 || shared.tsc_shift.unsigned_abs() > 31 {
        return None;
    }
    // nanoseconds = (ticks << shift) * multiplier >> 32, so frequency = (10^9 << 32) / multiplier >> shift.
    let unshifted = (NANOSECONDS << 32) / multiplier;
    let shift = shared.tsc_shift;
    let frequency = if shift >= 0 {
        unshifted >> shift
    } else {
        unshifted << -shift
    };
    let since_boot = shared.system_time + Scale::new(shared.tsc_timestamp, frequency).nanoseconds(timestamp);
    let wall = shared.wall_seconds as u64 * NANOSECONDS + shared.wall_nanoseconds as u64 + since_boot;
    Some(KvmClock { frequency, wall })
}

/// The TSC's frequency from CPUID, where it says.
pub fn cpuid_frequency() -> Option<u64> {
    if cpu::hypervisor_present()
        && let kilohertz @ 1.. = cpuid(TIMING).eax
    {
        return Some(kilohertz as u64 * 1000);
    }
    // 0x15: TSC / crystal = EBX / EAX, crystal in Hz in ECX. 0x16: base frequency in MHz, good enough where the crystal is not told.
    let ratio = cpuid(0x15);
    if ratio.eax != 0 && ratio.ebx != 0 {
        if ratio.ecx != 0 {
            return Some(ratio.ecx as u64 * ratio.ebx as u64 / ratio.eax as u64);
        }
        let base = cpuid(0x16).eax as u64 & 0xffff;
        if base != 0 {
            return Some(base * 1_000_000);
        }
    }
    None
}
