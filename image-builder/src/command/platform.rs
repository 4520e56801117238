//! The options of `run` and `dev` that give a member a platform.

use super::Error;
use super::arguments::Arguments;
use crate::control_plane::Options;
use std::str::FromStr;

/// The options' names.
pub const OPTIONS: [&str; 3] = ["--control-plane", "--topology", "--json"];

/// What was asked for.
#[derive(Default)]
pub struct Platform {
    kind: Option<Kind>,
    options: Options,
    /// An option that makes no sense alone.
    detail: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Local,
    None,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "local" => Ok(Self::Local),
            "none" => Ok(Self::None),
            _ => Err(format!("{word} is neither local nor none")),
        }
    }
}

impl Platform {
    /// Takes the option if it is one of these.
    pub fn take(&mut self, arguments: &mut Arguments, option: &str) -> Result<bool, Error> {
        match option {
            "--control-plane" => self.kind = Some(arguments.word(option)?),
            "--topology" => {
                self.options.topology = Some(arguments.value()?.into());
                self.detail = Some("--topology");
            }
            "--json" => {
                self.options.json = true;
                self.detail = Some("--json");
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The platform to start, if one was asked for.
    pub fn options(&self, arguments: &Arguments) -> Result<Option<Options>, Error> {
        let wanted = self.kind == Some(Kind::Local);
        match self.detail {
            Some(detail) if !wanted => {
                let what = format!("{detail} is about the platform, and there is none");
                Err(arguments.usage(what, "add --control-plane local"))
            }
            _ => Ok(wanted.then(|| self.options.clone())),
        }
    }
}
