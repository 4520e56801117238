//! The first serial port, a 16550 (National Semiconductor PC16550D data sheet).

use crate::arch::port::{read8, write8};
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

const DATA: u16 = 0x3f8;
const FIFO_CONTROL: u16 = DATA + 2;
const LINE_STATUS: u16 = DATA + 5;
const SCRATCH: u16 = DATA + 7;
const TRANSMITTER_EMPTY: u8 = 0x20;
const ENABLE_AND_CLEAR_FIFOS: u8 = 7;
/// Bytes the transmitter takes at once when it is empty.
const FIFO_SIZE: usize = 16;
/// A port read takes at least 0.2 us, 16 bytes at 9600 baud 17 ms: after this many looks the port is stuck.
const MOST_LOOKS: u32 = 200_000;

const UNKNOWN: u8 = 0;
const PRESENT: u8 = 1;
const ABSENT: u8 = 2;
static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Sends bytes; they are lost when there is no port, or a stuck one.
pub fn write(bytes: &[u8]) {
    if STATE.load(Relaxed) == UNKNOWN {
        STATE.store(if probe() { PRESENT } else { ABSENT }, Relaxed);
    }
    for chunk in bytes.chunks(FIFO_SIZE) {
        if STATE.load(Relaxed) == ABSENT || !wait_until_empty() {
            return;
        }
        for byte in chunk {
            // SAFETY: the port's data register; sending has no effect on memory.
            unsafe { write8(DATA, *byte) };
        }
    }
}

fn probe() -> bool {
    const MARK: u8 = 0x5a;
    // SAFETY: registers of the serial port, or of nothing.
    unsafe {
        write8(SCRATCH, MARK);
        let there = read8(SCRATCH) == MARK;
        if there {
            write8(FIFO_CONTROL, ENABLE_AND_CLEAR_FIFOS);
        }
        there
    }
}

fn wait_until_empty() -> bool {
    // SAFETY: reading the line status clears error bits nobody looks at.
    if (0..MOST_LOOKS).any(|_| unsafe { read8(LINE_STATUS) } & TRANSMITTER_EMPTY != 0) {
        return true;
    }
    STATE.store(ABSENT, Relaxed);
    false
}
