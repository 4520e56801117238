//! A command's arguments: options with values, plain values, and errors that say what would have been right.

use super::{Error, nearest};
use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

/// The longest time that can be asked for: added to the clock, it must stay a time.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

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
    /// Everything after `--`.
    Rest(Vec<OsString>),
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
        if let Some(rest) = self.parser.try_raw_args()
            && rest.peek().is_some_and(|word| word == "--")
        {
            return Ok(Some(Next::Rest(rest.skip(1).collect())));
        }
        let next = match self.parser.next().map_err(|error| usage(self.command, error))? {
            None => return Ok(None),
            Some(lexopt::Arg::Short(letter)) => Next::Option(format!("-{letter}")),
            Some(lexopt::Arg::Long(name)) => Next::Option(format!("--{name}")),
            Some(lexopt::Arg::Value(value)) => Next::Value(value),
        };
        Ok(Some(next))
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

    /// The value of the option just read, whose type lists its choices when it is none of them.
    pub fn word<T: FromStr<Err = String>>(&mut self, option: &str) -> Result<T, Error> {
        let value = self.value()?;
        value
            .to_string_lossy()
            .parse()
            .map_err(|choices| self.usage(format!("{option}: {choices}"), self.see_help()))
    }

    /// The value of the option just read as `HOST:GUEST`.
    pub fn ports(&mut self, option: &str) -> Result<(u16, u16), Error> {
        let value = self.value()?;
        let parsed = value.to_str().and_then(|text| {
            let (host, guest) = text.split_once(':')?;
            Some((host.parse().ok()?, guest.parse().ok().filter(|port| *port != 0)?))
        });
        parsed.ok_or_else(|| {
            let what = format!("{option} {} is not HOST:GUEST", value.display());
            self.usage(
                what,
                format!("write two TCP ports, like {option} 8080:8080; host port 0 takes a free one"),
            )
        })
    }

    /// The value of the option just read as a time; fractions are fine.
    pub fn seconds(&mut self, option: &str) -> Result<Duration, Error> {
        let seconds: f64 = self.parse(option, "a number of seconds")?;
        let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time < LONGEST);
        time.ok_or_else(|| self.usage(format!("{option} {seconds} is not a time to wait"), self.see_help()))
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
