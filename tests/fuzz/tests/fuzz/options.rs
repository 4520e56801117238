//! What is to be run.

use cartridge_fuzz::{Target, targets};
use std::path::PathBuf;

pub const HELP: &str = "\
usage: ./cartridge test fuzz [-- [--executions N] [--seed N] [--input FILE] [TARGET...]]

  TARGET          default: all
  --executions N  so many inputs for each target; default: a short while, with as many as come
  --seed N        of the fuzzer's random numbers; default 1: every run tries the same inputs in the same order
  --input FILE    only this input, as it was saved when it was found; takes one TARGET";

/// Options and targets.
pub struct Options {
    /// At least one.
    pub targets: Vec<&'static Target>,
    pub executions: Option<u64>,
    pub seed: u32,
    pub input: Option<PathBuf>,
}

impl Options {
    /// Reads them; `None` for help.
    pub fn read(mut words: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
        let mut options = Options {
            targets: Vec::new(),
            executions: None,
            seed: 1,
            input: None,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value\n\n{HELP}"));
            match word.as_str() {
                "--help" => return Ok(None),
                "--executions" => options.executions = Some(number(&value()?)?),
                "--seed" => options.seed = number(&value()?)?,
                "--input" => options.input = Some(value()?.into()),
                // Ours prints all there is anyway.
                "--nocapture" => {}
                name => options
                    .targets
                    .push(cartridge_fuzz::target(name).ok_or_else(|| unknown(name))?),
            }
        }
        if options.input.is_some() && options.targets.len() != 1 {
            return Err(format!("--input takes one TARGET\n\n{HELP}"));
        }
        if options.targets.is_empty() {
            options.targets = targets::ALL.iter().collect();
        }
        Ok(Some(options))
    }
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse()
        .map_err(|_| format!("{word} is not a number that fits\n\n{HELP}"))
}

fn unknown(name: &str) -> String {
    let mut text = format!("there is no target {name}; there are:");
    for target in targets::ALL {
        text += &format!("\n  {:<14} {}", target.name, target.about);
    }
    text
}
