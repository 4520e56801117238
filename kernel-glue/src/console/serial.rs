//! The first serial port, a 16550 (National Semiconductor PC16550D data sheet).

use crate::arch::port::{read8, write8};
use crate::clock;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

const DATA: u16 = 0x3f8;
const FIFO_CONTROL: u16 = DATA + 2;
const LINE_STATUS: u16 = DATA + 5;
const SCRATCH: u16 = DATA + 7;
const TRANSMITTER_EMPTY: u8 = 0x20;
const ENABLE_AND_CLEAR_FIFOS: u8 = 7;
/// Bytes the transmitter takes at once when it is empty.
pub const FIFO_SIZE: usize = 16;
/// How long the port is waited for, ns: 16 bytes at 9600 baud take 17 ms, and meanwhile everything stands still.
const SHORT: u64 = 20_000_000;
const LONG: u64 = 1_000_000_000;
/// Of a port that took nothing for that long (a full pipe behind a hypervisor): it is looked at once for each write.
const STUCK: u64 = 0;
static PATIENCE: AtomicU64 = AtomicU64::new(SHORT);

const UNKNOWN: u8 = 0;
const PRESENT: u8 = 1;
const ABSENT: u8 = 2;
static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);

/// From now on a stuck port is waited for longer.
pub fn be_patient() {
    if PATIENCE.swap(LONG, Relaxed) == STUCK {
        write(b"\n");
    }
}

/// False when it is worth waiting before the next [`FIFO_SIZE`] bytes are written.
pub fn is_ready() -> bool {
    STATE.load(Relaxed) != PRESENT || PATIENCE.load(Relaxed) == STUCK || is_empty()
}

/// Sends bytes; they are lost when there is no port, or a stuck one.
pub fn write(bytes: &[u8]) {
    if STATE.load(Relaxed) == UNKNOWN {
        STATE.store(if probe() { PRESENT } else { ABSENT }, Relaxed);
    }
    for chunk in bytes.chunks(FIFO_SIZE) {
        if STATE.load(Relaxed) == ABSENT || !wait_until_empty() {
            return;
        }
        chunk.iter().copied().for_each(send);
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

/// False when the port is stuck.
fn wait_until_empty() -> bool {
    let patience = PATIENCE.load(Relaxed);
    let begin = clock::now();
    while !is_empty() {
        if clock::now() - begin >= patience {
            PATIENCE.store(STUCK, Relaxed);
            return false;
        }
    }
    if patience == STUCK {
        PATIENCE.store(SHORT, Relaxed);
        // The line it was stuck in is not whole.
        send(b'\n');
    }
    true
}

fn is_empty() -> bool {
    // SAFETY: reading the line status clears error bits nobody looks at.
    unsafe { read8(LINE_STATUS) & TRANSMITTER_EMPTY != 0 }
}

fn send(byte: u8) {
    // SAFETY: the port's data register; sending has no effect on memory.
    unsafe { write8(DATA, byte) };
}
