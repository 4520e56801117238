//! Random bytes for keys: virtio-rng or RDSEED/RDRAND, through a CSPRNG; refusal when the machine has no source.
//!
//! Reseeding: the generator (ChaCha20, crate rand_chacha) starts from 32 bytes of the machine's source at the first request, and
//! takes 32 fresh ones, mixed with its own output, after each MiB it gave or ten minutes, whichever comes first. When the source
//! has dried up by then it goes on from its own output: the seed it had was a full one.

use crate::arch::cpu::{self, cpuid};
use crate::critical::{self, Guarded};
use crate::{clock, devices};
use core::arch::asm;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The machine has neither virtio-rng nor RDSEED nor RDRAND.
pub struct NoEntropy;

struct Generator {
    stream: ChaCha20Rng,
    given: usize,
    seeded: u64,
}

const RESEED_BYTES: usize = 1 << 20;
const RESEED_AFTER: u64 = 600_000_000_000;
type Seed = [u8; 32];

static GENERATOR: Guarded<Option<Generator>> = Guarded::new(None);

/// Fills `buffer` with bytes fit for keys.
pub fn fill(buffer: &mut [u8]) -> Result<(), NoEntropy> {
    let _critical = critical::enter();
    // SAFETY: inside the critical section. Reading virtio-rng does not wait in the scheduler, so nobody else comes here meanwhile.
    let slot = unsafe { GENERATOR.get() };
    let now = clock::now();
    let begin = match slot {
        Some(generator) if generator.given < RESEED_BYTES && now - generator.seeded <= RESEED_AFTER => None,
        Some(generator) => {
            let mut mixed = Seed::default();
            generator.stream.fill_bytes(&mut mixed);
            if let Some(fresh) = seed() {
                mix(&mut mixed, &fresh);
            }
            Some(mixed)
        }
        None => Some(seed().ok_or(NoEntropy)?),
    };
    if let Some(begin) = begin {
        *slot = Some(Generator {
            stream: ChaCha20Rng::from_seed(begin),
            given: 0,
            seeded: now,
        });
    }
    let Some(generator) = slot else { return Err(NoEntropy) };
    generator.stream.fill_bytes(buffer);
    generator.given = generator.given.saturating_add(buffer.len());
    Ok(())
}

/// Unpredictable enough for hash seeds, ports and transaction ids even where [`fill`] refuses; never for keys.
pub fn weak() -> u64 {
    let mut bytes = [0; 8];
    if fill(&mut bytes).is_ok() {
        return u64::from_le_bytes(bytes);
    }
    // SplitMix64 over the time stamp counter.
    let mut mixed = cpu::timestamp().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// 32 bytes from the machine: all sources there are, mixed, of which one has to give all of them.
fn seed() -> Option<Seed> {
    let mut seed = Seed::default();
    let cpu = cpu_random().map(|random| seed = random).is_some();
    let mut device = Seed::default();
    let virtio = devices::hardware_random(&mut device) == device.len();
    mix(&mut seed, &device);
    (cpu || virtio).then_some(seed)
}

#[inline(never)]
fn mix(into: &mut Seed, other: &Seed) {
    for (into, other) in into.iter_mut().zip(other) {
        *into ^= other;
    }
}

/// From RDSEED, else RDRAND; `None` when the CPU has neither or they fail (Intel's DRNG software implementation guide,
/// sections 5.2.1 and 5.3.1: retry ten times).
fn cpu_random() -> Option<Seed> {
    let rdseed = cpuid(7).ebx & 1 << 18 != 0;
    let rdrand = cpuid(1).ecx & 1 << 30 != 0;
    let mut seed = Seed::default();
    for chunk in seed.as_chunks_mut().0 {
        let word = retry(rdseed, rdseed64).or_else(|| retry(rdrand, rdrand64))?;
        *chunk = word.to_le_bytes();
    }
    // Broken ones are known to give all ones or all zeros.
    (seed.iter().any(|byte| *byte != seed[0])).then_some(seed)
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
