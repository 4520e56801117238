//! From counter ticks to nanoseconds, with corrections that never turn time back.

/// A line through (`base_ticks`, `base_nanoseconds`) whose slope is `factor` / 2^32 nanoseconds a tick.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scale {
    pub base_ticks: u64,
    pub base_nanoseconds: u64,
    pub factor: u64,
}

impl Scale {
    /// Time begins at 0 with `ticks`, at `frequency` ticks a second (at least 1).
    pub const fn new(ticks: u64, frequency: u64) -> Self {
        Scale {
            base_ticks: ticks,
            base_nanoseconds: 0,
            factor: factor(frequency),
        }
    }

    #[inline(always)]
    pub const fn nanoseconds(&self, ticks: u64) -> u64 {
        // A counter that is behind the base (another CPU's, or one set back) counts as standing still.
        self.base_nanoseconds + self.span(ticks.saturating_sub(self.base_ticks))
    }

    /// Nanoseconds that `ticks` take.
    #[inline(always)]
    pub const fn span(&self, ticks: u64) -> u64 {
        ((ticks as u128 * self.factor as u128) >> 32) as u64
    }

    /// Ticks in `nanoseconds`, which are less than 2^32 (more count as that).
    pub const fn ticks(&self, nanoseconds: u64) -> u64 {
        let nanoseconds = if nanoseconds >> 32 == 0 {
            nanoseconds
        } else {
            u32::MAX as u64
        };
        (nanoseconds << 32) / self.factor
    }

    /// The same time at `ticks`, another speed from there on.
    pub const fn at_frequency(&self, ticks: u64, frequency: u64) -> Self {
        Scale {
            base_ticks: ticks,
            base_nanoseconds: self.nanoseconds(ticks),
            factor: factor(frequency),
        }
    }
}

const fn factor(frequency: u64) -> u64 {
    let frequency = if frequency == 0 { 1 } else { frequency };
    let factor = (1_000_000_000 << 32) / frequency;
    if factor == 0 { 1 } else { factor }
}

/// Ticks a second, when `ticks` passed while a reference of `reference_frequency` counted `reference_ticks`. 64 bits hold what a
/// TSC of 10 GHz does in a second.
pub const fn measured_frequency(ticks: u64, reference_ticks: u64, reference_frequency: u64) -> u64 {
    match ticks.saturating_mul(reference_frequency).checked_div(reference_ticks) {
        Some(frequency) => frequency,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_gigahertz_for_a_year() {
        let scale = Scale::new(5_000, 3_000_000_000);
        assert_eq!(scale.nanoseconds(5_000), 0);
        let year = 365 * 86_400;
        let error = scale
            .nanoseconds(5_000 + year * 3_000_000_000)
            .abs_diff(year * 1_000_000_000);
        assert!(error < year * 10, "{error} ns off");
        assert!(scale.ticks(1_000_000).abs_diff(3_000_000) <= 1);
        assert!(scale.ticks(u64::MAX).abs_diff(3 << 32) <= 4);
    }

    #[test]
    fn a_correction_never_turns_time_back() {
        let first = Scale::new(0, 2_900_000_000);
        let second = first.at_frequency(1_000_000, 3_100_000_000);
        assert_eq!(first.nanoseconds(1_000_000), second.nanoseconds(1_000_000));
        assert!(second.nanoseconds(1_000_001) >= first.nanoseconds(1_000_000));
        assert_eq!(second.nanoseconds(0), second.base_nanoseconds);
    }

    #[test]
    fn odd_frequencies_do_no_harm() {
        for frequency in [0, 1, u64::MAX] {
            let scale = Scale::new(0, frequency);
            let _ = scale.ticks(scale.nanoseconds(1));
        }
        assert_eq!(measured_frequency(1000, 0, 5), 0);
        assert_eq!(measured_frequency(3_000_000, 1193, 1_193_182), 3_000_457_669);
    }
}
