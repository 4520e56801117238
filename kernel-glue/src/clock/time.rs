//! The clocks themselves: the TSC, scaled.
//!
//! Its frequency comes from the hypervisor or the CPU where they tell it; else it is measured against a [`Reference`], over
//! the time the boot takes anyway (0.2 ms at least), then again over 30 to 50 ms when the machine idles or a tick comes.
//! A correction changes the speed from then on and never turns the clock back. Each reading of the reference lies between
//! two of the TSC, so that how far a measurement may be off is known: one spoilt by the host's scheduler is not taken.

use super::reference::{self, Reference};
use super::scale::{Scale, measured_frequency};
use super::{paravirtual, pit, rtc};
use crate::arch::{apic, cpu};
use crate::critical::Guarded;
use crate::thread;
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
static MEASUREMENT: Guarded<Measurement> = Guarded::new(Measurement {
    reference: Reference::IntervalTimer,
    start: Sample::NONE,
    fineness: FINENESS,
});

/// The first measurement takes 0.2 ms at least, in counts, and may be off by a 50th.
const SHORT: u64 = reference::FREQUENCY / 5_000;
const ROUGHNESS: u64 = 50;
/// TSC ticks between its samples at most: less than the interval timer's 54.9 ms for every TSC above 0.8 GHz.
const MOST_TICKS: u64 = 40_000_000;
/// The second one takes 30 to 50 ms and may be off by a 4000th, or what the machine can do down to a 500th.
const LONG: u64 = 30_000_000;
const LONGEST: u64 = 50_000_000;
const FINENESS: u64 = 4_000;
const LEAST_FINENESS: u64 = 500;
/// Looks at the reference, and how long to sleep between them, before it is given up; by a clock that may be off by a few times.
const MOST_LOOKS: u32 = 50;
const BETWEEN_LOOKS: u64 = 1_000_000;

struct Measurement {
    reference: Reference,
    start: Sample,
    /// What the second measurement has to keep to; halved when it could not.
    fineness: u64,
}

/// One reading of the reference: the TSC meanwhile, give or take `doubt`.
#[derive(Clone, Copy)]
struct Sample {
    timestamp: u64,
    counter: u32,
    doubt: u64,
}

impl Sample {
    const NONE: Self = Sample {
        timestamp: 0,
        counter: 0,
        doubt: u64::MAX,
    };
}

impl Sample {
    /// The surest of three readings: the first is slow where code is translated (TCG) or not yet cached, and the host may run
    /// something else in the middle of any.
    fn take(reference: Reference) -> Self {
        let mut best = Sample::NONE;
        for _ in 0..3 {
            let before = cpu::timestamp();
            let counter = reference.read();
            let doubt = cpu::timestamp().saturating_sub(before);
            if doubt < best.doubt {
                best = Sample {
                    timestamp: before + doubt / 2,
                    counter,
                    doubt,
                };
            }
        }
        best
    }
}

/// Starts the clocks. Until [`settle`] the monotonic one may run too fast or too slow by a few times.
pub fn init() {
    pit::silence();
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
            pit::start();
            // SAFETY: at boot, nothing else uses it.
            let measurement = unsafe { MEASUREMENT.get() };
            measurement.start = Sample::take(measurement.reference);
            KNOWN.store(NOT_AT_ALL, Relaxed);
        }
    }
    if let Some(seconds) = rtc::unix_seconds() {
        WALL_OFFSET.store((seconds * 1_000_000_000).saturating_sub(now()), Relaxed);
    }
}

/// Sees to it that the clocks can be relied upon before the program runs. Inside the critical section, on a thread.
pub fn settle() {
    for _ in 0..MOST_LOOKS {
        if KNOWN.load(Relaxed) == NOT_AT_ALL {
            measure();
        }
        if KNOWN.load(Relaxed) != NOT_AT_ALL {
            break;
        }
        // Asleep, so that a slow or busy host costs time and not instructions.
        thread::wait(&[], now() + BETWEEN_LOOKS);
    }
    if KNOWN.load(Relaxed) == NOT_AT_ALL {
        unknown();
    }
    apic::calibrate();
}

/// There is nothing to measure against.
fn unknown() {
    KNOWN.store(EXACTLY, Relaxed);
    crate::log!(
        Warn,
        "no clock of known speed (kvm-clock, CPUID, interval or ACPI timer): time is unreliable"
    );
}

/// Measures the frequency again once enough time has passed. Called where the machine is idle or a tick came, inside the
/// critical section.
#[inline]
pub fn refine() {
    if KNOWN.load(Relaxed) == ROUGHLY {
        measure();
    }
}

/// How long the machine may sleep at most, nanoseconds: until [`refine`] has something to do, else a second.
pub fn longest_sleep() -> u64 {
    if KNOWN.load(Relaxed) == EXACTLY {
        1_000_000_000
    } else {
        LONG + LONG / 8
    }
}

#[cold]
fn measure() {
    // SAFETY: inside the critical section, and nothing below waits.
    let (scale, measurement) = unsafe { (SCALE.get(), MEASUREMENT.get()) };
    let (reference, start) = (measurement.reference, measurement.start);
    let first = KNOWN.load(Relaxed) == NOT_AT_ALL;
    if !first && scale.span(cpu::timestamp().saturating_sub(start.timestamp)) < LONG {
        return;
    }
    let sample = Sample::take(reference);
    let ticks = sample.timestamp.saturating_sub(start.timestamp);
    // By the sample's own time: the host may have stalled the machine just before it, and the counter may have wrapped.
    let passed = scale.span(ticks);
    let counts = reference.counts(start.counter, sample.counter);
    let (too_late, precision, then) = if first {
        (ticks > MOST_TICKS, ROUGHNESS, ROUGHLY)
    } else {
        (passed > LONGEST, measurement.fineness, EXACTLY)
    };
    let precise = (sample.doubt + start.doubt).saturating_mul(precision) <= ticks;
    if too_late {
        measurement.start = sample;
    } else if counts >= SHORT && precise {
        *scale = scale.at_frequency(
            cpu::timestamp(),
            measured_frequency(ticks, counts, reference::FREQUENCY),
        );
        KNOWN.store(then, Relaxed);
    } else if !first {
        measurement.start = sample;
        measurement.fineness /= 2;
        if measurement.fineness < LEAST_FINENESS {
            KNOWN.store(EXACTLY, Relaxed);
        }
    } else if counts == 0 {
        // It stands still: there is none.
        match Reference::second_choice() {
            Some(other) => {
                measurement.reference = other;
                measurement.start = Sample::take(other);
            }
            None => unknown(),
        }
    } else if sample.doubt < start.doubt {
        measurement.start = sample;
    }
}

/// Nanoseconds since boot.
#[inline]
pub fn now() -> u64 {
    // SAFETY: three words only changed at boot and in `measure`, inside the critical section, by the one CPU there is.
    unsafe { SCALE.get() }.nanoseconds(cpu::timestamp())
}

/// How far the TSC gets in `nanoseconds`, which are less than four seconds.
pub fn ticks(nanoseconds: u64) -> u64 {
    // SAFETY: as in now.
    unsafe { SCALE.get() }.ticks(nanoseconds)
}

/// Nanoseconds since the Unix epoch, or `None` when the machine has no wall clock.
pub fn wall() -> Option<u64> {
    let offset = WALL_OFFSET.load(Relaxed);
    (offset != 0).then(|| offset + now())
}
