//! What the TSC is measured against: the interval timer, or ACPI's power management timer on machines without one.

use super::pit;
use crate::acpi::{self, fixed::Register};
use crate::arch::port;

/// Counts a second: the power management timer's (ACPI specification 6.5, section 4.8.3.3). The interval timer has a third of
/// them, from the same crystal.
pub const FREQUENCY: u64 = 3_579_545;

#[derive(Clone, Copy)]
pub enum Reference {
    IntervalTimer,
    /// By its port.
    PowerManagementTimer(u16),
}

impl Reference {
    /// The power management timer, if the machine has one.
    pub fn second_choice() -> Option<Self> {
        match acpi::fixed_table()?.timer()? {
            Register::Port(port) => Some(Self::PowerManagementTimer(port)),
            Register::Memory(_) => None,
        }
    }

    pub fn read(self) -> u32 {
        match self {
            Self::IntervalTimer => pit::elapsed().into(),
            // SAFETY: the timer's register, as the fixed table names it; reading has no side effect.
            Self::PowerManagementTimer(port) => unsafe { port::read32(port) },
        }
    }

    /// Counts between two readings that are less than 54.9 ms apart, when the interval timer has wrapped once. The other has 24
    /// bits at least.
    pub fn counts(self, from: u32, to: u32) -> u64 {
        let passed = u64::from(to.wrapping_sub(from));
        match self {
            Self::IntervalTimer => 3 * (passed & 0xffff),
            Self::PowerManagementTimer(_) => passed & 0xff_ffff,
        }
    }
}
