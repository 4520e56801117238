//! The interval timer's channel 2 (Intel 8254 data sheet) as a reference of known speed.

use crate::arch::port::{read8, write8};

/// Counts a second.
pub const FREQUENCY: u64 = 1_193_182;
const CHANNEL_2: u16 = 0x42;
const COMMAND: u16 = 0x43;
/// Bit 0 opens channel 2's gate, bit 1 the loudspeaker.
const GATE: u16 = 0x61;
/// Channel 2, both bytes, mode 0 (count down once, then wrap).
const ONE_SHOT: u8 = 0xb0;
/// Read-back: latches channel 2's status, then its count.
const LATCH: u8 = 0xc8;
/// In the status: the output, which mode 0 raises at the end of the first round and never lowers.
const OUTPUT: u8 = 0x80;

/// Starts counting down from 65535: 54.9 ms.
pub fn start() {
    // SAFETY: the timer's registers; channel 2 drives nothing but the loudspeaker, which stays off.
    unsafe {
        write8(GATE, read8(GATE) & !2 | 1);
        write8(COMMAND, ONE_SHOT);
        write8(CHANNEL_2, 0xff);
        write8(CHANNEL_2, 0xff);
    }
}

/// Counts since [`start`]; nothing once the counter has wrapped, which no count tells by itself.
pub fn elapsed() -> Option<u16> {
    // SAFETY: as in start.
    let (status, count) = unsafe {
        write8(COMMAND, LATCH);
        let (status, low) = (read8(CHANNEL_2), read8(CHANNEL_2));
        (status, u16::from_le_bytes([low, read8(CHANNEL_2)]))
    };
    (status & OUTPUT == 0).then_some(0xffff - count)
}
