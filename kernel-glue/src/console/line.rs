//! A log line of the kernel, as JSON (RFC 8259): `{"ts":"2026-11-20T17:59:40.123Z","level":"info","from":"kernel","msg":"..."}`.

use super::Level;
use crate::clock::civil::Civil;
use core::fmt::Write;

/// Longest line, bytes. A longer message is cut at a character.
const SIZE: usize = 512;
const END: &[u8] = b"\"}\n";

pub struct Line {
    bytes: [u8; SIZE],
    length: usize,
    full: bool,
}

impl Line {
    /// Begins a line at `time`, nanoseconds since the Unix epoch.
    pub fn new(time: u64, level: Level) -> Self {
        let mut line = Line {
            bytes: [0; SIZE],
            length: 0,
            full: false,
        };
        let level = match level {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
        };
        line.push(b"{\"ts\":\"");
        let _ = write!(line, "{}", Civil::from_unix_nanoseconds(time));
        line.push(b"\",\"level\":\"");
        line.push(level.as_bytes());
        line.push(b"\",\"from\":\"kernel\",\"msg\":\"");
        line
    }

    /// The finished line, newline included.
    pub fn finish(&mut self) -> &[u8] {
        self.bytes[self.length..self.length + END.len()].copy_from_slice(END);
        &self.bytes[..self.length + END.len()]
    }

    /// Appends bytes if all of them fit; once something did not, nothing more is taken.
    fn push(&mut self, bytes: &[u8]) {
        self.full |= bytes.len() > SIZE - END.len() - self.length;
        if !self.full {
            self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for character in text.chars() {
            match character {
                '"' => self.push(b"\\\""),
                '\\' => self.push(b"\\\\"),
                '\n' => self.push(b"\\n"),
                '\r' => self.push(b"\\r"),
                '\t' => self.push(b"\\t"),
                control if control < ' ' => {
                    let digit = |value: u32| b"0123456789abcdef"[value as usize & 15];
                    self.push(&[
                        b'\\',
                        b'u',
                        b'0',
                        b'0',
                        digit(control as u32 >> 4),
                        digit(control as u32),
                    ]);
                }
                other => self.push(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> std::string::String {
        let mut line = Line::new(1_795_197_580_123_000_000, Level::Warn);
        line.write_str(message).unwrap();
        std::string::String::from_utf8(line.finish().to_vec()).unwrap()
    }

    #[test]
    fn a_line_has_the_agreed_fields() {
        assert_eq!(
            line("hello"),
            "{\"ts\":\"2026-11-20T17:59:40.123Z\",\"level\":\"warn\",\"from\":\"kernel\",\"msg\":\"hello\"}\n"
        );
    }

    #[test]
    fn what_json_forbids_is_escaped() {
        assert!(line("a\"b\\c\nd\te\u{1}\u{1f}é").contains(r#""msg":"a\"b\\c\nd\te\u0001\u001fé""#));
    }

    #[test]
    fn a_long_message_is_cut_and_still_a_line() {
        for length in 400..600 {
            let message = "é\"".repeat(length);
            let line = line(&message);
            assert!(line.len() <= SIZE && line.ends_with("\"}\n") && !line.ends_with("\\\"}\n\"}\n"));
        }
    }
}
