//! The clocks themselves: the TSC, scaled.
//!
//! Its frequency comes from the hypervisor or the CPU where they tell it; else it is measured against the interval timer, over
//! the time the boot takes anyway (0.2 ms at least), then again over 10 to 50 ms when the machine idles or a tick comes.
//! A correction changes the speed from then on and never turns the clock back. Each reading of the interval timer lies between
//! two of the TSC, so that how far a measurement may be off is known: one spoilt by the host's scheduler is not taken.

use super::scale::{Scale, measured_frequency};
use super::{paravirtual, pit, rtc};
use crate::arch::{apic, cpu};
use crate::critical::Guarded;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// Until it is known better.
const ASSUMED_FREQUENCY: u64 = 2_000_000_000;
static SCALE: Guarded<Scale> = Guarded::new(Scale::new(0, ASSUMED_FREQUENCY));
/// Wall clock minus monotonic clock, ns; 0: no wall clock.
static WALL_OFFSET: AtomicU64 = AtomicU64::new(0);
/// How well the frequency is known.
static KNOWN: AtomicU8 = AtomicU8::new(EXACTLY);
const NOT_AT_ALL: u8 = 0;
const ROUGHLY: u8 = 1;
const EXACTLY: u8 = 2;
/// From where on it is measured.
static START: Guarded<Sample> = Guarded::new(Sample {
    timestamp: 0,
    counted: None,
    doubt: 0,
});

/// Counts of the interval timer: 0.2 ms, 10 ms, and the most before it might have wrapped.
const SHORT: u64 = 239;
const LONG: u64 = 11_932;
const LONGEST: u64 = 60_000;
/// The first measurement may be off by a 50th, the second by a 4000th.
const ROUGHNESS: u64 = 50;
const FINENESS: u64 = 4_000;
/// Readings of the interval timer (1 us or more each) before it is given up.
const MOST_LOOKS: u32 = 20_000;

/// One reading of the interval timer, none when it has wrapped: the TSC meanwhile, give or take `doubt`.
#[derive(Clone, Copy)]
struct Sample {
    timestamp: u64,
    counted: Option<u64>,
    doubt: u64,
}

impl Sample {
    fn take() -> Self {
        let before = cpu::timestamp();
        let counted = pit::elapsed().map(u64::from);
        let doubt = cpu::timestamp().saturating_sub(before);
        Sample {
            timestamp: before + doubt / 2,
            counted,
            doubt,
        }
    }

    /// TSC ticks a second between `start` and this, if `least` counts have passed and the error is below one in `precision`.
    fn frequency_since(&self, start: &Sample, least: u64, precision: u64) -> Option<u64> {
        let counted = self
            .counted?
            .checked_sub(start.counted?)
            .filter(|counted| *counted >= least)?;
        let ticks = self.timestamp.saturating_sub(start.timestamp);
        let precise = (self.doubt + start.doubt).saturating_mul(precision) <= ticks;
        precise
            .then(|| measured_frequency(ticks, counted, pit::FREQUENCY))
            .filter(|frequency| *frequency > 0)
    }
}

/// Starts the clocks. Until [`settle`] the monotonic one may run too fast or too slow by a few times.
pub fn init() {
    let begin = cpu::timestamp();
    // SAFETY: at boot, nothing else uses the scale.
    let scale = unsafe { SCALE.get() };
    *scale = Scale::new(begin, ASSUMED_FREQUENCY);
    if let Some(kvm) = paravirtual::kvm_clock(begin) {
        *scale = Scale::new(begin, kvm.frequency);
        WALL_OFFSET.store(kvm.wall, Relaxed);
        return;
    }
    match paravirtual::cpuid_frequency() {
        Some(frequency) => *scale = Scale::new(begin, frequency),
        None => {
            restart();
            KNOWN.store(NOT_AT_ALL, Relaxed);
        }
    }
    if let Some(seconds) = rtc::unix_seconds() {
        WALL_OFFSET.store((seconds * 1_000_000_000).saturating_sub(now()), Relaxed);
    }
}

/// Begins a measurement.
fn restart() {
    pit::start();
    // SAFETY: at boot or inside the critical section.
    *unsafe { START.get() } = Sample::take();
}

/// Sees to it that the clocks can be relied upon before the program runs. Inside the critical section.
pub fn settle() {
    for _ in 0..MOST_LOOKS {
        if KNOWN.load(Relaxed) != NOT_AT_ALL {
            break;
        }
        measure();
    }
    if KNOWN.load(Relaxed) == NOT_AT_ALL {
        KNOWN.store(EXACTLY, Relaxed);
        crate::log!(
            Warn,
            "no clock of known speed (kvm-clock, CPUID, interval timer): time runs at an unknown speed"
        );
    }
    apic::calibrate();
}

/// Measures the frequency again once enough time has passed. Called where the machine is idle or a tick came, inside the
/// critical section.
#[inline]
pub fn refine() {
    if KNOWN.load(Relaxed) == ROUGHLY {
        measure();
    }
}

#[cold]
fn measure() {
    // SAFETY: inside the critical section, and nothing below waits.
    let (scale, start) = unsafe { (SCALE.get(), START.get()) };
    let exactly = KNOWN.load(Relaxed) == ROUGHLY;
    let (least, precision) = if exactly { (LONG, FINENESS) } else { (SHORT, ROUGHNESS) };
    if exactly {
        let passed = scale.nanoseconds(cpu::timestamp()) - scale.nanoseconds(start.timestamp);
        // By the rough clock, so that the counter is read only when it may tell something.
        let expected = (passed as u128 * pit::FREQUENCY as u128 / 1_000_000_000) as u64;
        if expected > LONGEST {
            restart();
        }
        if !(LONG..=LONGEST).contains(&expected) {
            return;
        }
    }
    let sample = Sample::take();
    if let Some(frequency) = sample.frequency_since(start, least, precision) {
        *scale = scale.at_frequency(cpu::timestamp(), frequency);
        KNOWN.store(if exactly { EXACTLY } else { ROUGHLY }, Relaxed);
    } else if !exactly && (sample.counted.is_none_or(|counted| counted > LONGEST) || sample.doubt < start.doubt) {
        // Too late, or the start itself is the spoilt one.
        restart();
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
