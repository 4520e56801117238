//! Log lines: one JSON object a line (JSON Lines), with time stamp, level, sender, message and fields.

use crate::json::Json;
use crate::text::start_at_most;
use crate::time::Timestamp;
use core::fmt;

/// The longest message, in bytes; a longer one is cut.
pub const MESSAGE_LIMIT: usize = 1024;

/// The longest line, in bytes, its line end included.
pub const LINE_LIMIT: usize = 2048;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something does not work; someone has to act.
    Error,
    /// Something is not as it should be, and is gone around.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Every detail.
    Trace,
}

impl Level {
    /// All levels, from the one that matters most.
    pub const ALL: [Level; 5] = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];

    /// The name in a line and in LOG_LEVEL.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }

    /// The level of this name, in any case; `warning` is `warn`.
    pub fn parse(name: &str) -> Option<Level> {
        let name = if name.eq_ignore_ascii_case("warning") {
            "warn"
        } else {
            name
        };
        Level::ALL
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One log line.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// When.
    pub time: Timestamp,
    /// How much it matters.
    pub level: Level,
    /// Who says it: `agent` or `app` (the kernel writes its own lines).
    pub from: &'a str,
    /// What happened.
    pub message: &'a str,
    /// Names and values besides.
    pub fields: &'a [(&'a str, &'a str)],
}

impl Line<'_> {
    /// The line as JSON with its line end, in `buffer`. It is always one whole JSON object: a message too long is cut, and
    /// if the fields alone are too long, they are left out.
    pub fn render<'b>(&self, buffer: &'b mut [u8; LINE_LIMIT]) -> &'b [u8] {
        let mut line = *self;
        line.message = start_at_most(line.message, MESSAGE_LIMIT);
        loop {
            let mut json = Json::new(buffer);
            line.write(&mut json);
            if !json.is_full() {
                let length = json.length();
                return &buffer[..length];
            }
            if line.message.len() > 64 {
                line.message = start_at_most(line.message, line.message.len() / 2);
            } else if !line.fields.is_empty() {
                line.fields = &[];
            } else {
                return b"\n";
            }
        }
    }

    fn write(&self, json: &mut Json<'_>) {
        json.member("ts", self.time.text(&mut [0; 24]));
        json.member("level", self.level.name());
        json.member("from", self.from);
        json.member("msg", self.message);
        for (name, value) in self.fields {
            json.member(name, value);
        }
        json.raw(b"}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn render(message: &str, fields: &[(&str, &str)]) -> String {
        let mut buffer = [0; LINE_LIMIT];
        let line = Line {
            time: Timestamp(1_795_197_580_123),
            level: Level::Info,
            from: "agent",
            message,
            fields,
        };
        String::from_utf8(line.render(&mut buffer).to_vec()).unwrap()
    }

    #[test]
    fn a_line_is_one_json_object() {
        assert_eq!(
            render("Active", &[("event", "lifecycle"), ("state", "Active")]),
            "{\"ts\":\"2026-11-20T17:59:40.123Z\",\"level\":\"info\",\"from\":\"agent\",\"msg\":\"Active\",\
             \"event\":\"lifecycle\",\"state\":\"Active\"}\n"
        );
    }

    #[test]
    fn every_character_survives_a_json_parser() {
        let message: String = (0..0x100u32)
            .chain([0x20ac, 0x1_f600])
            .filter_map(char::from_u32)
            .collect();
        let line = render(&message, &[("\"k\"\n", "\\v\u{7f}\u{0}")]);
        assert_eq!(line.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["msg"], message.as_str());
        assert_eq!(value["\"k\"\n"], "\\v\u{7f}\u{0}");
    }

    #[test]
    fn whatever_the_length_a_line_is_whole() {
        for length in (0..3000).step_by(7) {
            for unit in ["a", "\u{1}", "\u{20ac}", "\""] {
                let line = render(&unit.repeat(length), &[("field", &"x".repeat(length / 2))]);
                assert!(line.len() <= LINE_LIMIT && line.ends_with("}\n"));
                serde_json::from_str::<serde_json::Value>(&line).unwrap();
            }
        }
    }

    #[test]
    fn levels_by_name() {
        assert_eq!(Level::parse("WARNING"), Some(Level::Warn));
        assert_eq!(
            Level::ALL
                .map(|level| Level::parse(level.name()))
                .into_iter()
                .flatten()
                .collect::<Vec<_>>(),
            Level::ALL
        );
        assert_eq!(Level::parse("loud"), None);
    }
}
