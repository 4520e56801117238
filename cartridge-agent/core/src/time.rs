//! Wall-clock time as text: RFC 3339 section 5.6, UTC, milliseconds.

/// Milliseconds since 1970-01-01T00:00:00Z (leap seconds not counted, as in POSIX).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp(pub u64);

/// 9999-12-31T23:59:59.999Z, the last instant with a year of four digits.
const LAST: u64 = 253_402_300_799_999;

/// The digits of a day's milliseconds up to the minutes, from the last: where each stands, and its base.
const DIGITS: [[u8; 2]; 7] = [[22, 10], [21, 10], [20, 10], [18, 10], [17, 6], [15, 10], [14, 6]];

impl Timestamp {
    /// The time as text, in `out`.
    pub fn text(self, out: &mut [u8; 24]) -> &str {
        let milliseconds = self.0.min(LAST);
        *out = *b"0000-00-00T00:00:00.000Z";
        let mut rest = milliseconds;
        for [at, base] in &DIGITS {
            if let Some(digit) = out.get_mut(usize::from(*at)) {
                *digit += (rest % u64::from(*base)) as u8;
            }
            rest /= u64::from(*base);
        }
        let (days, hour) = (rest as u32 / 24, rest as u32 % 24);
        let (year, month, day) = civil_from_days(days);
        // The year's four digits, and two each.
        let mut rest = u64::from((year * 100 + month) * 100 + day) * 100 + u64::from(hour);
        for at in [12u8, 11, 9, 8, 6, 5, 3, 2, 1, 0].iter() {
            if let Some(digit) = out.get_mut(usize::from(*at)) {
                *digit += (rest % 10) as u8;
            }
            rest /= 10;
        }
        core::str::from_utf8(out).unwrap_or_default()
    }
}

/// Year, month (1-12) and day (1-31) of the day `days` after 1970-01-01 in the proleptic Gregorian calendar: years are
/// counted from March, so that the leap day is the last of its year, in eras of 400 years (146,097 days).
#[inline(never)]
fn civil_from_days(days: u32) -> (u32, u32, u32) {
    let from_march_0000 = days + 719_468;
    let (era, day_of_era) = (from_march_0000 / 146_097, from_march_0000 % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u32::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_795_197_580_123, "2026-11-20T17:59:40.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp(milliseconds).text(&mut [0; 24]), text);
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=146_097 {
            assert_eq!(civil_from_days(days), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 => 28 + u32::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            (year, month, day) = match (month, day == last) {
                (12, true) => (year + 1, 1, 1),
                (_, true) => (year, month + 1, 1),
                (_, false) => (year, month, day + 1),
            };
        }
    }
}
