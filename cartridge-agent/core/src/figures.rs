//! What a member tells its control plane of its health.

use crate::parameters::decimal;

/// How a member is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Memory in use, in bytes.
    pub memory_used_bytes: u64,
    /// All memory, in bytes; 0 if it is not known.
    pub memory_total_bytes: u64,
    /// The load average of the last minute, in hundredths of a thread that ran or was ready to run.
    pub load_hundredths: u32,
    /// Processors in use; 0 if that is not known.
    pub processors: u32,
    /// When this was so, in milliseconds since 1970-01-01T00:00:00Z.
    pub unix_ms: u64,
}

impl Figures {
    /// The figures of the guest's `stats` file, lines of `name value`. (It has one processor.) What is not in it is 0.
    pub fn parse(stats: &str) -> Self {
        let mut figures = Figures {
            processors: 1,
            ..Figures::default()
        };
        for line in stats.split('\n') {
            let (name, value) = line.split_once(' ').unwrap_or_default();
            let value = decimal(value).unwrap_or_default();
            match name {
                "memory_used_bytes" => figures.memory_used_bytes = value,
                "memory_total_bytes" => figures.memory_total_bytes = value,
                "load1_hundredths" => figures.load_hundredths = value.min(u64::from(u32::MAX)) as u32,
                _ => {}
            }
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_the_guest_are_read() {
        let stats = "memory_total_bytes 8388608\nmemory_used_bytes 2097152\nthreads 5\nload1_hundredths 150\n";
        let expected = Figures {
            memory_used_bytes: 2_097_152,
            memory_total_bytes: 8_388_608,
            load_hundredths: 150,
            processors: 1,
            unix_ms: 0,
        };
        assert_eq!(Figures::parse(stats), expected);
        let none = Figures {
            processors: 1,
            ..Figures::default()
        };
        assert_eq!(Figures::parse("load1_hundredths x\nmemory_used_bytes\n\nquux"), none);
    }
}
