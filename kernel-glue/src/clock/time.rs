//! The clocks themselves: the TSC, scaled.
//!
//! Its frequency comes from the hypervisor or the CPU where they tell it; else it is measured against the interval timer: first
//! over a fifth of a millisecond (the boot cannot wait longer), then again over 10 to 50 ms when the machine idles or a tick comes.
//! A correction changes the speed from then on and never turns the clock back.

use super::scale::{Scale, measured_frequency};
use super::{paravirtual, pit, rtc};
use crate::arch::{apic, cpu};
use crate::critical::Guarded;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Until it is known better.
const ASSUMED_FREQUENCY: u64 = 2_000_000_000;
static SCALE: Guarded<Scale> = Guarded::new(Scale::new(0, ASSUMED_FREQUENCY));
/// Wall clock minus monotonic clock, ns; 0: no wall clock.
static WALL_OFFSET: AtomicU64 = AtomicU64::new(0);
/// The frequency is a rough measurement, begun with the TSC at MEASURED_FROM.
static ROUGH: AtomicBool = AtomicBool::new(false);
static MEASURED_FROM: AtomicU64 = AtomicU64::new(0);

/// Counts of the interval timer: 0.2 ms, 10 ms, and the most before it might have wrapped.
const SHORT: u16 = 239;
const LONG: u64 = 11_932;
const LONGEST: u64 = 60_000;

/// Starts the clocks; the local APIC's timer is calibrated along the way.
pub fn init() {
    let begin = cpu::timestamp();
    // SAFETY: at boot, nothing else uses the scale.
    let scale = unsafe { SCALE.get() };
    *scale = Scale::new(begin, ASSUMED_FREQUENCY);
    apic::init();
    if let Some(kvm) = paravirtual::kvm_clock(begin) {
        *scale = Scale::new(begin, kvm.frequency);
        WALL_OFFSET.store(kvm.wall, Relaxed);
        wait_for_apic();
        return;
    }
    match paravirtual::cpuid_frequency() {
        Some(frequency) => {
            *scale = Scale::new(begin, frequency);
            wait_for_apic();
        }
        None => measure_roughly(scale),
    }
    if let Some(seconds) = rtc::unix_seconds() {
        WALL_OFFSET.store(seconds * 1_000_000_000 - now().min(seconds * 1_000_000_000), Relaxed);
    }
}

/// With a TSC of known speed: gives the APIC's timer the time it takes to be measured.
fn wait_for_apic() {
    let begin = now();
    while now() - begin < 20_000 {
        core::hint::spin_loop();
    }
    apic::calibrate(now());
}

fn measure_roughly(scale: &mut Scale) {
    const MOST_LOOKS: u32 = 100_000;
    pit::start();
    let begin = cpu::timestamp();
    let first = pit::elapsed();
    for _ in 0..MOST_LOOKS {
        let counted = pit::elapsed();
        if counted >= SHORT && counted != first {
            let ticks = cpu::timestamp() - begin;
            let frequency = measured_frequency(ticks, counted as u64, pit::FREQUENCY);
            *scale = Scale::new(begin, frequency);
            apic::calibrate(now());
            MEASURED_FROM.store(begin, Relaxed);
            ROUGH.store(true, Relaxed);
            return;
        }
    }
    crate::log!(
        Warn,
        "no clock of known speed (kvm-clock, CPUID, interval timer): times are off by an unknown factor"
    );
    apic::calibrate(now());
}

/// Measures the frequency again once enough time has passed. Called where the machine is idle or a tick came, inside the
/// critical section.
#[inline]
pub fn refine() {
    if ROUGH.load(Relaxed) {
        refine_rough();
    }
}

#[cold]
fn refine_rough() {
    // SAFETY: inside the critical section.
    let scale = unsafe { SCALE.get() };
    let begin = MEASURED_FROM.load(Relaxed);
    let counted = pit::elapsed() as u64;
    let now = cpu::timestamp();
    // By the rough clock, to know whether the counter has wrapped.
    let expected = (scale.nanoseconds(now) - scale.nanoseconds(begin)) as u128 * pit::FREQUENCY as u128 / 1_000_000_000;
    if expected > LONGEST as u128 {
        // Too late, the machine was busy: begin again. The next measurement is from a fresh start.
        pit::start();
        let begin = cpu::timestamp();
        MEASURED_FROM.store(begin, Relaxed);
        *scale = Scale {
            base_nanoseconds: scale.nanoseconds(begin),
            base_ticks: begin,
            ..*scale
        };
    } else if counted >= LONG {
        *scale = scale.at_frequency(now, measured_frequency(now - begin, counted, pit::FREQUENCY));
        ROUGH.store(false, Relaxed);
    }
}

/// Nanoseconds since boot.
#[inline]
pub fn now() -> u64 {
    // SAFETY: three words only changed at boot and in `refine_rough`, inside the critical section, by the one CPU there is.
    unsafe { SCALE.get() }.nanoseconds(cpu::timestamp())
}

/// The TSC's value at `nanoseconds` since boot.
pub fn timestamp_at(nanoseconds: u64) -> u64 {
    // SAFETY: as in now.
    unsafe { SCALE.get() }.ticks(nanoseconds)
}

/// Nanoseconds since the Unix epoch, or `None` when the machine has no wall clock.
pub fn wall() -> Option<u64> {
    let offset = WALL_OFFSET.load(Relaxed);
    (offset != 0).then(|| offset + now())
}
