//! How long the end of the program waits for peers to acknowledge what it sent them.

pub struct Delivery {
    /// When it is over, whatever comes, ns.
    end: u64,
    /// How long nothing may be acknowledged, ns.
    patience: u64,
    progress: u64,
    owed: usize,
}

impl Delivery {
    pub fn new(now: u64, patience: u64, limit: u64) -> Delivery {
        Delivery {
            end: now + limit,
            patience,
            progress: now,
            owed: usize::MAX,
        }
    }

    /// True when nothing is `owed` any more (bytes), or there is no use in waiting longer.
    pub fn is_over(&mut self, owed: usize, now: u64) -> bool {
        if owed < self.owed {
            (self.owed, self.progress) = (owed, now);
        }
        owed == 0 || now >= self.end.min(self.progress + self.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_over_when_all_is_delivered_or_nothing_moves() {
        let mut delivery = Delivery::new(1000, 100, 2000);
        assert!(!delivery.is_over(50, 1001));
        assert!(!delivery.is_over(50, 1100));
        assert!(delivery.is_over(50, 1101));
        assert!(!delivery.is_over(49, 1150));
        assert!(delivery.is_over(0, 1151));
    }

    #[test]
    fn readers_that_take_byte_by_byte_hold_it_up_to_the_limit_and_no_longer() {
        let mut delivery = Delivery::new(0, 100, 2000);
        let ended = (0..).find(|step| delivery.is_over(1_000_000 - step, *step as u64 * 50));
        assert_eq!(ended, Some(40));
    }
}
