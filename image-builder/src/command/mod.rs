//! The commands, one module each, and what they share: arguments, errors, suggestions.

mod arguments;
mod bench;
mod build;
mod dev;
mod error;
mod inspect;
mod new;
mod platform;
mod ready;
mod run;
mod screen;
mod signals;
mod test;
mod test_lint;

pub use error::Error;
pub use screen::note;

use arguments::{Arguments, Next};
use std::ffi::OsString;
use std::process::ExitCode;
use xshell::Shell;

/// One command: its name, its help (the first line is its summary), and what it does.
pub struct Command {
    name: &'static str,
    help: &'static str,
    run: fn(Arguments) -> Result<ExitCode, Error>,
}

const COMMANDS: [Command; 7] = [
    new::COMMAND,
    build::COMMAND,
    run::COMMAND,
    dev::COMMAND,
    inspect::COMMAND,
    bench::COMMAND,
    test::COMMAND,
];

const HELP: &str = "\
Cartridges: an ordinary Rust program and its agent in one bootable image.

usage: ./cartridge COMMAND [ARGUMENTS]      ./cartridge COMMAND --help says more
";

/// Does what the arguments (without the program's name) ask for.
pub fn run(arguments: Vec<OsString>) -> Result<ExitCode, Error> {
    let mut arguments = Arguments::new("", arguments);
    match arguments.next()? {
        None => {
            print!("{}", help());
            Ok(ExitCode::from(2))
        }
        Some(Next::Option(option)) if option == "-h" || option == "--help" => {
            print!("{}", help());
            Ok(ExitCode::SUCCESS)
        }
        Some(Next::Option(option)) => Err(arguments.unknown_option(&option, &["--help"])),
        Some(Next::Rest(_)) => Err(arguments.unknown_option("--", &["--help"])),
        Some(Next::Value(name)) => {
            let name = name.to_string_lossy().into_owned();
            if name == "help" {
                print!("{}", help());
                return Ok(ExitCode::SUCCESS);
            }
            let command = COMMANDS
                .iter()
                .find(|command| command.name == name)
                .ok_or_else(|| unknown_command(&name))?;
            let arguments = arguments.rest(command.name)?;
            if arguments.asks_for_help() {
                print!("{}", command.help);
                return Ok(ExitCode::SUCCESS);
            }
            (command.run)(arguments)
        }
    }
}

fn help() -> String {
    let mut text = HELP.to_string();
    for command in &COMMANDS {
        let summary = command.help.lines().next().unwrap_or_default();
        text += &format!("\n  {:<9} {summary}", command.name);
    }
    text + "\n"
}

fn unknown_command(name: &str) -> Error {
    let near = nearest(name, COMMANDS.iter().map(|command| command.name));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "./cartridge --help lists the commands".into(),
    };
    Error::Usage {
        command: "",
        what: format!("there is no command `{name}`"),
        hint,
    }
}

/// Runs programs; the current folder must exist.
fn shell() -> Result<Shell, Error> {
    Shell::new().map_err(|error| Error::io("enter", ".")(std::io::Error::other(error.to_string())))
}

/// The candidate most like `word`, if any is like enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE: f64 = 0.75;
    let scored = candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate));
    scored
        .filter(|(score, _)| *score >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_gets_its_suggestion_and_nonsense_none() {
        assert_eq!(
            nearest("biuld", COMMANDS.iter().map(|command| command.name)),
            Some("build")
        );
        assert_eq!(nearest("xyzzy", ["build", "run"]), None);
    }
}
