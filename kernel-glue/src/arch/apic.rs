//! The local APIC (Intel SDM volume 3, chapter 11): end of interrupt, and a one-shot timer that is armed as rarely as possible.

use super::cpu::{self, cpuid};
use super::interrupts::{SPURIOUS_VECTOR, TIMER_VECTOR};
use crate::clock::{self, paravirtual};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Where the registers are after reset; the interrupt stub relies on it.
const BASE: u64 = 0xfee0_0000;
/// IA32_APIC_BASE besides the address: enabled; this is the boot processor (bit 10, x2APIC mode, has to be off).
const ENABLED: u64 = 1 << 11;
const BOOT_PROCESSOR: u64 = 1 << 8;
const ID: usize = 0x20;
const SPURIOUS: usize = 0xf0;
const TIMER: usize = 0x320;
const LINT0: usize = 0x350;
const LINT1: usize = 0x360;
const INITIAL_COUNT: usize = 0x380;
const CURRENT_COUNT: usize = 0x390;
const DIVIDE: usize = 0x3e0;
const MASKED: u32 = 1 << 16;
const DEADLINE_MODE: u32 = 2 << 17;
const DIVIDE_BY_16: u32 = 3;
const SOFTWARE_ENABLE: u32 = 1 << 8;

/// Monotonic nanoseconds at which the timer interrupts; `u64::MAX` when it does not. The stub of its interrupt sets it to that.
pub static ARMED: AtomicU64 = AtomicU64::new(u64::MAX);
static HAS_DEADLINE_MODE: AtomicBool = AtomicBool::new(false);
/// Timer counts a millisecond. KVM and QEMU run the APIC's bus at 1 GHz, and the counter by a sixteenth of that.
static COUNTS_PER_MS: AtomicU32 = AtomicU32::new(1_000_000 / 16);

fn read(register: usize) -> u32 {
    // SAFETY: `init` mapped the registers; reading these changes nothing.
    unsafe { ((BASE as usize + register) as *const u32).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: `init` mapped the registers; what is written only steers interrupts.
    unsafe { ((BASE as usize + register) as *mut u32).write_volatile(value) }
}

/// Enables the APIC and masks the legacy interrupt controllers.
pub fn init() {
    // SAFETY: every x86-64 CPU has the register. Firmware may have left the APIC elsewhere, off, or in x2APIC mode, whose only way
    // out is off (SDM section 11.12.5); no interrupt is expected yet, and nothing else is at its usual place.
    unsafe {
        let found = cpu::read_msr(cpu::IA32_APIC_BASE) & !BOOT_PROCESSOR;
        if found != BASE | ENABLED {
            cpu::write_msr(cpu::IA32_APIC_BASE, BASE | BOOT_PROCESSOR);
            cpu::write_msr(cpu::IA32_APIC_BASE, BASE | BOOT_PROCESSOR | ENABLED);
        }
    }
    crate::memory::map_device(BASE, 4096).expect("no page table for the APIC at boot");
    // SAFETY: the 8259s' mask registers; nothing expects interrupts from them.
    unsafe {
        super::port::write8(0x21, 0xff);
        super::port::write8(0xa1, 0xff);
    }
    write(SPURIOUS, SOFTWARE_ENABLE | SPURIOUS_VECTOR as u32);
    write(LINT0, MASKED);
    write(LINT1, MASKED);
    if cpuid(1).ecx & 1 << 24 != 0 {
        HAS_DEADLINE_MODE.store(true, Relaxed);
        write(TIMER, DEADLINE_MODE | TIMER_VECTOR as u32);
    } else {
        write(DIVIDE, DIVIDE_BY_16);
        write(TIMER, TIMER_VECTOR as u32);
    }
}

pub fn id() -> u8 {
    (read(ID) >> 24) as u8
}

/// Learns how fast the timer counts, once the clock runs: hypervisors that keep to 1 GHz are known, anything else is measured.
pub fn calibrate() {
    if HAS_DEADLINE_MODE.load(Relaxed) || paravirtual::apic_bus_is_1_ghz() {
        return;
    }
    write(TIMER, MASKED);
    write(INITIAL_COUNT, u32::MAX);
    if let Some(counts) = measure() {
        COUNTS_PER_MS.store(counts, Relaxed);
    }
    write(TIMER, TIMER_VECTOR as u32);
    // What was armed is forgotten: the next thing to wait for arms it anew, and so does this.
    forget();
    arm_by(clock::now() + 1_000_000);
}

/// Counts a millisecond, over a tenth of one. What passes between two lines here (the host may run something else) spoils one
/// measurement, hardly the median of three.
fn measure() -> Option<u32> {
    const LEAST: u64 = 100_000;
    let mut measured = [0; 3];
    for slot in &mut measured {
        let (from, begin) = (read(CURRENT_COUNT), clock::now());
        while clock::now() - begin < LEAST {
            core::hint::spin_loop();
        }
        let counted = from.wrapping_sub(read(CURRENT_COUNT)) as u64;
        *slot = counted * 1_000_000 / (clock::now() - begin);
    }
    measured.sort_unstable();
    u32::try_from(measured[1]).ok().filter(|counts| *counts > 0)
}

/// Lets the next [`arm_by`] put the timer off, too.
pub fn forget() {
    ARMED.store(u64::MAX, Relaxed);
}

/// Makes sure the timer interrupts at `deadline` (monotonic ns) or before: one that is armed for earlier is left alone, since
/// arming costs an exit to the hypervisor and an early interrupt only looks at the time.
pub fn arm_by(deadline: u64) {
    if ARMED.load(Relaxed) <= deadline {
        return;
    }
    let now = clock::now();
    // In slices, so that the counter cannot overflow and a badly calibrated one is late by little.
    let wait = deadline.saturating_sub(now).min(clock::longest_sleep());
    ARMED.store(now + wait, Relaxed);
    if HAS_DEADLINE_MODE.load(Relaxed) {
        // SAFETY: CPUID says the register exists; it only steers the timer.
        unsafe { cpu::write_msr(cpu::IA32_TSC_DEADLINE, cpu::timestamp() + clock::ticks(wait)) };
    } else {
        let counts = wait.saturating_mul(COUNTS_PER_MS.load(Relaxed) as u64) / 1_000_000;
        write(INITIAL_COUNT, counts.clamp(1, u32::MAX as u64) as u32);
    }
}
