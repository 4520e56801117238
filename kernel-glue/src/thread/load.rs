//! The load average: how many threads ran or were ready to run, damped over a minute, as Unix tells it.
//!
//! Unix counts the threads every 5 s. An idle machine must not be woken for that, and one that wakes every 5 s by itself would be
//! counted at just these moments. So the count is weighed by the time it lasted, which the scheduler tells whenever it knows:
//! before a sleep, after it, and at each poll of a program that computes. Every 5 s of that go into the average as their mean.

/// The average is taken on by so much at a time, nanoseconds.
const PERIOD: u64 = 5_000_000_000;
/// Fixed-point numbers have 16 bits behind the point.
const ONE: u64 = 1 << 16;
/// How much of the average is left after a period: e^(-5/60).
const LEFT: u64 = 60_296;
/// After so many periods, 25 min, nothing is left of what was before.
const MOST_PERIODS: u64 = 300;

/// One minute's average.
pub struct Load {
    /// In 65536ths of a thread.
    average: u64,
    /// Until when time was counted.
    counted: u64,
    /// When the period at hand began, and its threads times nanoseconds.
    began: u64,
    sum: u64,
}

impl Load {
    pub const fn new() -> Self {
        Load {
            average: 0,
            counted: 0,
            began: 0,
            sum: 0,
        }
    }

    /// Since the last call and until `now`, `threads` ran or were ready to run.
    pub fn count(&mut self, now: u64, threads: u64) {
        let lasted = now.saturating_sub(self.counted);
        self.counted = now;
        self.sum = self.sum.saturating_add(lasted.saturating_mul(threads));
        let elapsed = now.saturating_sub(self.began);
        if elapsed >= PERIOD {
            self.take_on(elapsed);
        }
    }

    /// Takes the average on by the whole periods of `elapsed` nanoseconds.
    #[cold]
    fn take_on(&mut self, elapsed: u64) {
        let mean = self.sum / (elapsed / ONE);
        let periods = elapsed / PERIOD;
        for _ in 0..periods.min(MOST_PERIODS) {
            self.average = (self.average * LEFT + mean * (ONE - LEFT)) / ONE;
        }
        let rest = elapsed % PERIOD;
        self.began += elapsed - rest;
        self.sum = mean * (rest / ONE);
    }

    /// The average in hundredths of a thread.
    pub fn hundredths(&self) -> u64 {
        (self.average * 100 + ONE / 2) / ONE
    }
}

impl Default for Load {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    /// The longest a computing program goes without a poll.
    const TURN: u64 = 5_000_000;

    /// What the average would be after `seconds` of `threads`, beginning with 0.
    fn expected(threads: f64, seconds: f64) -> f64 {
        100.0 * threads * (1.0 - (-seconds / 60.0).exp())
    }

    fn near(load: &Load, expected: f64) {
        let hundredths = load.hundredths() as f64;
        assert!(
            (hundredths - expected).abs() <= 2.0 + expected / 100.0,
            "{hundredths} is not {expected}"
        );
    }

    /// `threads` compute from `from` on for so many seconds.
    fn compute(load: &mut Load, from: u64, seconds: u64, threads: u64) -> u64 {
        let end = from + seconds * SECOND;
        for now in (from..=end).step_by(TURN as usize) {
            load.count(now, threads);
        }
        end
    }

    #[test]
    fn a_busy_machine_comes_near_its_threads_as_on_unix() {
        for threads in [1, 3, 24, 1000] {
            let (mut load, mut now) = (Load::new(), 0);
            for minute in 1..=5 {
                now = compute(&mut load, now, 60, threads);
                near(&load, expected(threads as f64, 60.0 * f64::from(minute)));
            }
        }
    }

    #[test]
    fn what_was_is_forgotten_at_the_same_pace_asleep_and_awake() {
        let mut slept = Load::new();
        let now = compute(&mut slept, 0, 300, 8);
        slept.count(now + 60 * SECOND, 0);
        near(&slept, expected(8.0, 300.0) * (-1f64).exp());
        let mut woken = Load::new();
        let mut at = compute(&mut woken, 0, 300, 8);
        for _ in 0..6000 {
            at += SECOND / 100;
            woken.count(at, 0);
        }
        near(&woken, slept.hundredths() as f64);
    }

    #[test]
    fn a_machine_that_works_for_a_moment_each_second_has_a_load_of_that_share() {
        let mut load = Load::new();
        for second in 0..600 {
            let wakes = second * SECOND;
            load.count(wakes, 0);
            load.count(wakes + SECOND / 20, 1);
        }
        near(&load, 5.0);
    }

    #[test]
    fn a_long_sleep_ends_with_no_load_and_in_bounded_time() {
        let mut load = Load::new();
        let now = compute(&mut load, 0, 600, 1000);
        load.count(now + 1_000_000 * SECOND, 0);
        assert_eq!(load.hundredths(), 0);
        load.count(u64::MAX, u64::MAX);
        let _ = load.hundredths();
    }

    #[test]
    fn a_clock_that_stands_still_counts_nothing() {
        let mut load = Load::new();
        load.count(SECOND, 1);
        load.count(SECOND, 1);
        load.count(0, 1);
        assert_eq!(load.hundredths(), 0);
    }
}
