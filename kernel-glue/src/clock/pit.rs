//! The interval timer's channel 2 (Intel 8254 data sheet) as a reference of known speed.

use crate::arch::port::{read8, write8};

const CHANNEL_2: u16 = 0x42;
const COMMAND: u16 = 0x43;
/// Bit 0 opens channel 2's gate, bit 1 the loudspeaker.
const GATE: u16 = 0x61;
/// Channel 2, both bytes, mode 0 (counts down, then wraps).
const ONE_SHOT: u8 = 0xb0;
const LATCH: u8 = 0x80;
const CHANNEL_0: u16 = 0x40;
/// Channel 0, low byte, mode 0.
const ONE_SHOT_0: u8 = 0x10;

/// Lets channel 0, which after a reset ticks 18 times a second although nobody listens, run out for good: an emulated one
/// wakes its host at both edges of each tick.
pub fn silence() {
    // SAFETY: the timer's registers; channel 0's interrupt is used by nobody and masked.
    unsafe {
        write8(COMMAND, ONE_SHOT_0);
        write8(CHANNEL_0, 1);
    }
}

/// Starts counting down from 65535 (54.9 ms), and again and again.
pub fn start() {
    // SAFETY: the timer's registers; channel 2 drives nothing but the loudspeaker, which stays off.
    unsafe {
        write8(GATE, read8(GATE) & !2 | 1);
        write8(COMMAND, ONE_SHOT);
        write8(CHANNEL_2, 0xff);
        write8(CHANNEL_2, 0xff);
    }
}

/// Counts since [`start`], 1,193,182 a second, modulo 65536; always 0 where there is no timer.
pub fn elapsed() -> u16 {
    // SAFETY: as in start.
    unsafe {
        write8(COMMAND, LATCH);
        let low = read8(CHANNEL_2);
        0xffff - u16::from_le_bytes([low, read8(CHANNEL_2)])
    }
}
