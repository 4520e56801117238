//! Random bytes for keys: virtio-rng or RDSEED/RDRAND, through a CSPRNG; refusal when the machine has no source. What the program brings
//! ([`add`], a cloud's random seed) is mixed in, and is a source where the machine has none.
//!
//! Reseeding: the generator (ChaCha20, crate rand_chacha) starts from 32 bytes of the machine's sources at the first request, and
//! takes fresh ones, mixed with its own output, after each MiB it gave or ten minutes, whichever comes first. What the sources do
//! not have ready then is done without: the seed it had was a full one.
//!
//! The CPU answers at once. virtio-rng is asked ahead of time, and only where it is the one source the first request waits for
//! it: asleep, while other threads run.

use crate::arch::cpu::{self, cpuid};
use crate::critical::{self, Guarded};
use crate::{clock, devices, thread};
use core::arch::asm;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The machine has neither virtio-rng nor RDSEED nor RDRAND, and nothing was brought.
pub struct NoEntropy;

struct Generator {
    stream: ChaCha20Rng,
    given: usize,
    seeded: u64,
}

const RESEED_BYTES: usize = 1 << 20;
const RESEED_AFTER: u64 = 600_000_000_000;
type Seed = [u8; 32];
/// How long the first request waits for virtio-rng, and how often it looks meanwhile, nanoseconds.
const PATIENCE: u64 = 1_000_000_000;
const BETWEEN_LOOKS: u64 = 1_000_000;

static GENERATOR: Guarded<Option<Generator>> = Guarded::new(None);

/// Fills `buffer` with bytes fit for keys. The first request may wait for a second; it comes from a thread.
pub fn fill(buffer: &mut [u8]) -> Result<(), NoEntropy> {
    fill_until(buffer, PATIENCE)
}

fn fill_until(buffer: &mut [u8], patience: u64) -> Result<(), NoEntropy> {
    let _critical = critical::enter();
    let now = clock::now();
    let mut seed = Seed::default();
    // SAFETY: inside the critical section, and the reference ends before anything waits.
    let (due, first) = match unsafe { GENERATOR.get() } {
        Some(generator) if generator.given < RESEED_BYTES && now - generator.seeded <= RESEED_AFTER => (false, false),
        Some(generator) => {
            generator.stream.fill_bytes(&mut seed);
            (true, false)
        }
        None => (true, true),
    };
    let complete = due && gather(&mut seed, if first { now + patience } else { 0 });
    // SAFETY: as above; nothing below waits. Another thread may have seeded meanwhile.
    let slot = unsafe { GENERATOR.get() };
    if complete || due && !first {
        *slot = Some(Generator {
            stream: ChaCha20Rng::from_seed(seed),
            given: 0,
            seeded: now,
        });
    }
    let Some(generator) = slot else { return Err(NoEntropy) };
    generator.stream.fill_bytes(buffer);
    generator.given = generator.given.saturating_add(buffer.len());
    Ok(())
}

/// What is brought has to be as long as this to count as a full seed, bytes: 32 of them random, in base64 or hexadecimal.
const FULL_SEED: usize = 64;

/// Mixes in random bytes that the program has from elsewhere, in any encoding; all of them count. Where there was no source they are
/// the seed, if there are [`FULL_SEED`] of them.
pub fn add(bytes: &[u8]) -> Result<(), NoEntropy> {
    let mut seed = Seed::default();
    let has_source = fill(&mut seed).is_ok();
    if !has_source && bytes.len() < FULL_SEED {
        return Err(NoEntropy);
    }
    // Each part goes through the generator: what comes out depends on all of what went in.
    for part in bytes.chunks(seed.len()) {
        for (into, byte) in seed.iter_mut().zip(part) {
            *into ^= byte;
        }
        ChaCha20Rng::from_seed(seed).fill_bytes(&mut seed);
    }
    let seeded = clock::now();
    let _critical = critical::enter();
    // SAFETY: inside the critical section; the reference ends here.
    *unsafe { GENERATOR.get() } = Some(Generator {
        stream: ChaCha20Rng::from_seed(seed),
        given: 0,
        seeded,
    });
    Ok(())
}

/// Unpredictable enough for hash seeds, ports and transaction ids even where [`fill`] refuses; never for keys. Never waits.
pub fn weak() -> u64 {
    let mut bytes = [0; 8];
    if fill_until(&mut bytes, 0).is_ok() {
        return u64::from_le_bytes(bytes);
    }
    // SplitMix64 over the time stamp counter.
    let mut mixed = cpu::timestamp().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Mixes bytes of all the machine's sources into `seed`; true when one of them gave as many as that. Where that can only be
/// virtio-rng it is waited for until `deadline`.
fn gather(seed: &mut Seed, deadline: u64) -> bool {
    let cpu = cpu_random(seed);
    let mut device = Seed::default();
    let mut taken = 0;
    while let Some(more) = devices::hardware_random(&mut device[taken..]) {
        taken += more;
        let now = clock::now();
        if cpu || taken == device.len() || now >= deadline {
            break;
        }
        thread::wait(&[], now + BETWEEN_LOOKS);
    }
    mix(seed, &device);
    cpu || taken == device.len()
}

#[inline(never)] // as a loop of its own it is small
fn mix(into: &mut Seed, other: &Seed) {
    for (into, other) in into.iter_mut().zip(other) {
        *into ^= other;
    }
}

/// From RDSEED, else RDRAND; false when the CPU has neither or they fail (Intel's DRNG software implementation guide,
/// sections 5.2.1 and 5.3.1: retry ten times).
fn cpu_random(seed: &mut Seed) -> bool {
    let rdseed = cpuid(7).ebx & 1 << 18 != 0;
    let rdrand = cpuid(1).ecx & 1 << 30 != 0;
    let mut random = Seed::default();
    for chunk in random.as_chunks_mut().0 {
        let Some(word) = retry(rdseed, rdseed64).or_else(|| retry(rdrand, rdrand64)) else {
            return false;
        };
        *chunk = word.to_le_bytes();
    }
    mix(seed, &random);
    // Broken ones are known to give all ones or all zeros.
    random.iter().any(|byte| *byte != random[0])
}

/// Asks an instruction that the CPU `has`.
#[inline(never)]
fn retry(has: bool, read: fn() -> Option<u64>) -> Option<u64> {
    let tries = if has { 10 } else { 0 };
    (0..tries).find_map(|_| read())
}

fn rdseed64() -> Option<u64> {
    let (value, valid): (u64, u8);
    // SAFETY: only called when CPUID lists the instruction; it changes the register and the flags.
    unsafe { asm!("rdseed {}", "setc {}", out(reg) value, out(reg_byte) valid, options(nomem, nostack)) };
    (valid != 0).then_some(value)
}

fn rdrand64() -> Option<u64> {
    let (value, valid): (u64, u8);
    // SAFETY: as in rdseed64.
    unsafe { asm!("rdrand {}", "setc {}", out(reg) value, out(reg_byte) valid, options(nomem, nostack)) };
    (valid != 0).then_some(value)
}
