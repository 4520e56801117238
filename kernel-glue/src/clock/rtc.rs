//! The battery-backed clock (Motorola MC146818A data sheet).

use super::civil::Registers;
use crate::arch::port::{read8, write8};

const INDEX: u16 = 0x70;
const DATA: u16 = 0x71;
/// Bit 7 of the index keeps non-maskable interrupts off meanwhile; 0 leaves them on.
const STATUS_A: u8 = 10;
/// Second, minute, hour, day, month, year, where PCs keep the century (and what ACPI's FADT names on all machines seen), and
/// status B.
const REGISTERS: [u8; 8] = [0, 2, 4, 7, 8, 9, 0x32, 11];
const UPDATE_IN_PROGRESS: u8 = 0x80;
/// An update takes 2 ms at most; a port read at least 0.2 us.
const MOST_LOOKS: u32 = 20_000;

#[inline(never)]
fn read(register: u8) -> u8 {
    // SAFETY: the clock's index and data registers; reading these has no side effect.
    unsafe {
        write8(INDEX, register);
        read8(DATA)
    }
}

/// Seconds since the Unix epoch; `None` when there is no clock or its digits make no date.
pub fn unix_seconds() -> Option<u64> {
    const ATTEMPTS: usize = 3;
    let mut before = [0; REGISTERS.len()];
    for _ in 0..=ATTEMPTS {
        // All ones: there is no clock. The bits below the first are a rate and a divider, never all set.
        (0..MOST_LOOKS)
            .map(|_| read(STATUS_A))
            .find(|status| *status == 0xff || status & UPDATE_IN_PROGRESS == 0)
            .filter(|status| *status != 0xff)?;
        // Read twice alike, nothing changed in between.
        let mut same = true;
        for (before, register) in before.iter_mut().zip(REGISTERS) {
            let now = read(register);
            same &= core::mem::replace(before, now) == now;
        }
        // The day is never zero, so the first reading is never the same as the zeros before it in a clock that works.
        if same {
            let [second, minute, hour, day, month, year, century, status_b] = before;
            let registers = Registers {
                second,
                minute,
                hour,
                day,
                month,
                year,
                century,
                status_b,
            };
            return registers.date()?.to_unix_seconds();
        }
    }
    None
}
