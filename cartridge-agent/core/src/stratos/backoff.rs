//! When to try which broker: each once in a row, then a pause that doubles, with jitter, so that members do not come back in step.

use core::time::Duration;

/// The pause after the first round, in seconds.
const FIRST_PAUSE: u32 = 2;

/// The longest pause, in seconds; upstream's longest, too.
pub const LONGEST_PAUSE: u32 = 60;

/// Between two attempts without a pause: the driver sees in between that the old connection is not wanted.
pub const AT_ONCE: Duration = Duration::from_millis(1);

/// Counts failures.
pub struct Backoff {
    /// Failures since the last success.
    failures: u32,
    random: u64,
}

impl Backoff {
    /// `seed` is any number that differs from member to member.
    pub fn new(seed: u64) -> Self {
        Backoff {
            failures: 0,
            // The generator stays at 0 for ever. The multiplication (by Knuth's constant) spreads seeds that are near.
            random: (seed | 1).wrapping_mul(6_364_136_223_846_793_005),
        }
    }

    /// All is well.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// An attempt failed, of one of `brokers`: how long to wait before the next.
    pub fn failed(&mut self, brokers: u32) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if !self.failures.is_multiple_of(brokers.max(1)) {
            return AT_ONCE;
        }
        let rounds = self.failures / brokers.max(1);
        self.pause(rounds - 1)
    }

    /// The pause after `doublings`: between half of it and all.
    pub fn pause(&mut self, doublings: u32) -> Duration {
        let most = LONGEST_PAUSE.min(FIRST_PAUSE << doublings.min(16)) * 1000;
        // Marsaglia's xorshift.
        for (left, by) in [(true, 13), (false, 7), (true, 17)] {
            self.random ^= if left { self.random << by } else { self.random >> by };
        }
        let part = (self.random >> 32) as u32 % (most / 2 + 1);
        Duration::from_millis(u64::from(most - part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_broker_is_tried_at_once_and_then_the_pauses_double_up_to_a_minute() {
        for brokers in [1, 3] {
            let mut backoff = Backoff::new(7);
            let mut pauses = Vec::new();
            for _ in 0..10 {
                for _ in 1..brokers {
                    assert_eq!(backoff.failed(brokers), AT_ONCE);
                }
                pauses.push(backoff.failed(brokers));
            }
            for (pause, most) in pauses.iter().zip([2, 4, 8, 16, 32, 60, 60, 60]) {
                let most = Duration::from_secs(most);
                assert!(*pause <= most && *pause >= most / 2, "{pause:?} of {most:?}");
            }
            backoff.reset();
            for _ in 1..brokers {
                backoff.failed(brokers);
            }
            assert!(backoff.failed(brokers) <= Duration::from_secs(2));
        }
    }

    #[test]
    fn members_do_not_come_back_in_step() {
        let pauses: Vec<_> = (0..100).map(|seed| Backoff::new(seed).pause(5)).collect();
        let early = pauses.iter().filter(|pause| pause.as_secs() < 45).count();
        assert!((20..80).contains(&early), "{early} of 100");
    }
}
