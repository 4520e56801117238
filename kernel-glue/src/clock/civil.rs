//! Dates (proleptic Gregorian calendar, UTC) and the battery-backed clock's way to write them.

use core::fmt;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Civil {
    pub year: u32,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    pub millisecond: u32,
}

/// Days from 0000-03-01 (years that begin in March put the leap day last) to 1970-01-01.
const DAYS_TO_EPOCH: u64 = 719_468;
const DAYS_PER_ERA: u64 = 146_097;
const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

impl Civil {
    pub fn from_unix_nanoseconds(nanoseconds: u64) -> Self {
        let seconds = nanoseconds / NANOSECONDS_PER_SECOND;
        let days = seconds / 86_400 + DAYS_TO_EPOCH;
        let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        Civil {
            year: (era * 400 + year_of_era + (month <= 2) as u64) as u32,
            month: month as u32,
            day: (day_of_year - (153 * march_month + 2) / 5 + 1) as u32,
            hour: (seconds / 3600 % 24) as u32,
            minute: (seconds / 60 % 60) as u32,
            second: (seconds % 60) as u32,
            millisecond: (nanoseconds / 1_000_000 % 1000) as u32,
        }
    }

    /// Seconds since the Unix epoch; `None` for a date that is none or lies before it.
    pub fn to_unix_seconds(self) -> Option<u64> {
        let sane = (1970..10_000).contains(&self.year)
            && (1..=12).contains(&self.month)
            && (1..=31).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second < 61;
        if !sane {
            return None;
        }
        let (year, month) = if self.month > 2 {
            (self.year, self.month - 3)
        } else {
            (self.year - 1, self.month + 9)
        };
        let year = year as u64;
        let days = 365 * year + year / 4 - year / 100 + year / 400 + (month as u64 * 153 + 2) / 5 + self.day as u64 - 1;
        let seconds = self.hour as u64 * 3600 + self.minute as u64 * 60 + self.second as u64;
        Some((days - DAYS_TO_EPOCH) * 86_400 + seconds)
    }
}

impl fmt::Display for Civil {
    /// RFC 3339 with milliseconds.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
            millisecond,
        } = self;
        write!(
            formatter,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z"
        )
    }
}

/// Registers of the battery-backed clock as read (Motorola MC146818A data sheet, tables 2 and 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registers {
    pub second: u8,
    pub minute: u8,
    pub hour: u8,
    pub day: u8,
    pub month: u8,
    pub year: u8,
    /// From the register ACPI names, 0 when it names none.
    pub century: u8,
    pub status_b: u8,
}

/// Status register B: hours run to 24, values are binary (else decimal digits in each half byte).
const HOURS_24: u8 = 2;
const BINARY: u8 = 4;
/// In 12-hour mode, the hour's mark for p.m.
const AFTERNOON: u8 = 0x80;

impl Registers {
    /// `None` when the digits make no date.
    pub fn date(self) -> Option<Civil> {
        let mut numbers = [
            self.hour & !AFTERNOON,
            self.year,
            self.month,
            self.day,
            self.minute,
            self.second,
        ]
        .map(u32::from);
        for value in &mut numbers {
            *value = number(self.status_b, *value)?;
        }
        let [mut hour, year, month, day, minute, second] = numbers;
        if self.status_b & HOURS_24 == 0 {
            if !(1..=12).contains(&hour) {
                return None;
            }
            hour = hour % 12 + if self.hour & AFTERNOON != 0 { 12 } else { 0 };
        }
        // Without a century register, years from 1970 on.
        let century = match number(self.status_b, self.century.into()) {
            Some(century @ 19..=99) => century,
            _ if year >= 70 => 19,
            _ => 20,
        };
        Some(Civil {
            year: century * 100 + year,
            month,
            day,
            hour,
            minute,
            second,
            millisecond: 0,
        })
    }
}

/// The number in a register; `None` when it should be decimal digits and is not.
fn number(status_b: u8, value: u32) -> Option<u32> {
    match (status_b & BINARY, value & 15, value >> 4) {
        (BINARY, _, _) => Some(value),
        (_, units @ 0..10, tens @ 0..10) => Some(tens * 10 + units),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn dates_go_both_ways() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_795_197_580, "2026-11-20T17:59:40.000Z"),
            (4_102_444_800, "2100-01-01T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            let civil = Civil::from_unix_nanoseconds(seconds * NANOSECONDS_PER_SECOND);
            assert_eq!(civil.to_string(), text);
            assert_eq!(civil.to_unix_seconds(), Some(seconds));
        }
        for day in 0..80_000u64 {
            let seconds = day * 86_400 + day % 86_400;
            assert_eq!(
                Civil::from_unix_nanoseconds(seconds * NANOSECONDS_PER_SECOND).to_unix_seconds(),
                Some(seconds)
            );
        }
    }

    const EVENING: Registers = Registers {
        second: 0x40,
        minute: 0x59,
        hour: 0x17,
        day: 0x20,
        month: 0x11,
        year: 0x26,
        century: 0x20,
        status_b: 2,
    };

    #[test]
    fn decimal_binary_and_twelve_hours_say_the_same() {
        let expected = EVENING.date().unwrap().to_unix_seconds();
        assert_eq!(expected, Some(1_795_197_580));
        let binary = Registers {
            second: 40,
            minute: 59,
            hour: 17,
            day: 20,
            month: 11,
            year: 26,
            century: 20,
            status_b: 6,
        };
        assert_eq!(binary.date().unwrap().to_unix_seconds(), expected);
        let twelve = Registers {
            hour: 0x85,
            status_b: 0,
            ..EVENING
        };
        assert_eq!(twelve.date().unwrap().to_unix_seconds(), expected);
        let no_century = Registers { century: 0, ..EVENING };
        assert_eq!(no_century.date().unwrap().to_unix_seconds(), expected);
        let midnight = Registers {
            hour: 0x12,
            status_b: 0,
            ..EVENING
        };
        assert_eq!(midnight.date().unwrap().hour, 0);
        let noon = Registers {
            hour: 0x92,
            status_b: 0,
            ..EVENING
        };
        assert_eq!(noon.date().unwrap().hour, 12);
    }

    #[test]
    fn nonsense_is_refused() {
        let ones = Registers {
            second: 255,
            minute: 255,
            hour: 255,
            day: 255,
            month: 255,
            year: 255,
            century: 255,
            status_b: 255,
        };
        assert!(ones.date().and_then(Civil::to_unix_seconds).is_none());
        for value in 0..=255 {
            for status_b in [0, 2, 4, 6] {
                let registers = Registers {
                    second: value,
                    minute: value,
                    hour: value,
                    day: value,
                    month: value,
                    year: value,
                    century: value,
                    status_b,
                };
                let _ = registers.date().and_then(Civil::to_unix_seconds);
            }
        }
        assert!(
            Registers {
                hour: 0,
                status_b: 0,
                ..EVENING
            }
            .date()
            .is_none()
        );
    }
}
