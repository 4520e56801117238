//! The battery-backed clock (Motorola MC146818A data sheet).

use super::civil::Registers;
use crate::arch::port::{read8, write8};

const INDEX: u16 = 0x70;
const DATA: u16 = 0x71;
/// Bit 7 of the index keeps non-maskable interrupts off meanwhile; 0 leaves them on.
const SECOND: u8 = 0;
const MINUTE: u8 = 2;
const HOUR: u8 = 4;
const DAY: u8 = 7;
const MONTH: u8 = 8;
const YEAR: u8 = 9;
const STATUS_A: u8 = 10;
const STATUS_B: u8 = 11;
/// Where PCs keep the century, and what ACPI's FADT names on all machines seen.
const CENTURY: u8 = 0x32;
const UPDATE_IN_PROGRESS: u8 = 0x80;
/// An update takes 2 ms at most; a port read at least 0.2 us.
const MOST_LOOKS: u32 = 20_000;

fn read(register: u8) -> u8 {
    // SAFETY: the clock's index and data registers; reading these has no side effect.
    unsafe {
        write8(INDEX, register);
        read8(DATA)
    }
}

fn registers() -> Registers {
    Registers {
        second: read(SECOND),
        minute: read(MINUTE),
        hour: read(HOUR),
        day: read(DAY),
        month: read(MONTH),
        year: read(YEAR),
        century: read(CENTURY),
        status_b: read(STATUS_B),
    }
}

/// Seconds since the Unix epoch; `None` when there is no clock or its digits make no date.
pub fn unix_seconds() -> Option<u64> {
    const ATTEMPTS: usize = 3;
    let mut before = None;
    for _ in 0..=ATTEMPTS {
        if !(0..MOST_LOOKS).any(|_| read(STATUS_A) & UPDATE_IN_PROGRESS == 0) {
            return None;
        }
        // Read twice alike, nothing changed in between.
        let now = registers();
        if before == Some(now) {
            return now.date()?.to_unix_seconds();
        }
        before = Some(now);
    }
    None
}
