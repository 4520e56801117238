//! A command's arguments: options with values, plain values, and errors that say what would have been right.

use super::{Error, nearest};
use std::ffi::OsString;
use std::str::FromStr;

/// The arguments of one command, read one after the other.
pub struct Arguments {
    command: &'static str,
    parser: lexopt::Parser,
    all: Vec<OsString>,
}

/// What comes next.
pub enum Next {
    /// An option as written, with its dashes.
    Option(String),
    Value(OsString),
}

impl Arguments {
    pub fn new(command: &'static str, all: Vec<OsString>) -> Self {
        Self {
            command,
            parser: lexopt::Parser::from_args(all.clone()),
            all,
        }
    }

    /// What follows, as arguments of `command`.
    pub fn rest(mut self, command: &'static str) -> Result<Self, Error> {
        let rest = self
            .parser
            .raw_args()
            .map_err(|error| usage(self.command, error))?
            .collect();
        Ok(Self::new(command, rest))
    }

    /// Whether -h or --help is among them (before a `--`).
    pub fn asks_for_help(&self) -> bool {
        self.all
            .iter()
            .take_while(|word| *word != "--")
            .any(|word| word == "-h" || word == "--help")
    }

    pub fn next(&mut self) -> Result<Option<Next>, Error> {
        let next = match self.parser.next().map_err(|error| usage(self.command, error))? {
            None => return Ok(None),
            Some(lexopt::Arg::Short(letter)) => Next::Option(format!("-{letter}")),
            Some(lexopt::Arg::Long(name)) => Next::Option(format!("--{name}")),
            Some(lexopt::Arg::Value(value)) => Next::Value(value),
        };
        Ok(Some(next))
    }

    /// Everything that is left, taken as it is.
    pub fn remaining(mut self) -> Result<Vec<OsString>, Error> {
        Ok(self
            .parser
            .raw_args()
            .map_err(|error| usage(self.command, error))?
            .collect())
    }

    /// The value of the option just read.
    pub fn value(&mut self) -> Result<OsString, Error> {
        self.parser.value().map_err(|error| usage(self.command, error))
    }

    /// The value of the option just read, parsed; `expected` describes it.
    pub fn parse<T: FromStr>(&mut self, option: &str, expected: &str) -> Result<T, Error> {
        let value = self.value()?;
        let parsed = value.to_str().and_then(|text| text.parse().ok());
        parsed.ok_or_else(|| {
            self.usage(
                format!("{option} {} is not {expected}", value.display()),
                self.see_help(),
            )
        })
    }

    /// The value of the option just read, which must be one of `choices`.
    pub fn choice(&mut self, option: &str, choices: &[&'static str]) -> Result<&'static str, Error> {
        let value = self.value()?;
        if let Some(choice) = choices.iter().find(|choice| value == **choice) {
            return Ok(choice);
        }
        let hint = match nearest(&value.to_string_lossy(), choices.iter().copied()) {
            Some(near) => format!("did you mean {near}? the choices are {}", choices.join(", ")),
            None => format!("the choices are {}", choices.join(", ")),
        };
        Err(self.usage(format!("{option} {} is not known", value.display()), hint))
    }

    pub fn unknown_option(&self, option: &str, known: &[&str]) -> Error {
        let hint = match nearest(option, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => self.see_help(),
        };
        self.usage(format!("there is no option {option}"), hint)
    }

    pub fn usage(&self, what: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::Usage {
            command: self.command,
            what: what.into(),
            hint: hint.into(),
        }
    }

    /// The hint where nothing better is known.
    pub fn see_help(&self) -> String {
        format!("./cartridge {} --help lists its options", self.command).replace("  ", " ")
    }

    /// A plain value: stored in `place`, or refused when there is one already.
    pub fn only(&self, place: &mut Option<OsString>, value: OsString, what: &str) -> Result<(), Error> {
        if place.is_some() {
            return Err(self.usage(
                format!("one {what} at a time: {} is one too many", value.display()),
                self.see_help(),
            ));
        }
        *place = Some(value);
        Ok(())
    }

    /// The plain value that must have been there.
    pub fn required(&self, place: Option<OsString>, what: &str, example: &str) -> Result<OsString, Error> {
        place.ok_or_else(|| {
            self.usage(
                format!("which {what}?"),
                format!("for example: ./cartridge {} {example}", self.command),
            )
        })
    }
}

fn usage(command: &'static str, error: lexopt::Error) -> Error {
    Error::Usage {
        command,
        what: error.to_string(),
        hint: format!("./cartridge {command} --help lists its options").replace("  ", " "),
    }
}
