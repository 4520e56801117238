//! Arguments, environment, output.

use crate::report::{Check, Outcome};
use crate::{ensure, ensure_eq, tried};
use std::collections::HashMap;
use std::io::Write;
use std::process::ExitCode;

pub const CHECKS: &[Check] = &[
    ("has a name in its arguments", name),
    ("environment is consistent", environment),
    ("current directory and temporary directory exist", directories),
    ("output and error output can be written", output),
    ("formatting", formatting),
];

/// For the driver: what came in from outside.
pub fn print_environment() -> ExitCode {
    println!("arguments {:?}", std::env::args().collect::<Vec<_>>());
    println!("GREETING {:?}", std::env::var("GREETING"));
    ExitCode::SUCCESS
}

fn name() -> Outcome {
    let name = std::env::args().next().unwrap_or_default();
    ensure!(name.contains("conformance"), "the first argument is {name:?}");
    Ok(())
}

fn environment() -> Outcome {
    let all: HashMap<String, String> = std::env::vars().collect();
    for (key, value) in &all {
        ensure_eq!(std::env::var(key).as_ref(), Ok(value));
    }
    ensure!(
        std::env::var("NO_SUCH_VARIABLE_HERE").is_err(),
        "a variable that is not set was found"
    );
    Ok(())
}

fn directories() -> Outcome {
    let current = tried!(std::env::current_dir());
    ensure!(current.is_absolute(), "{current:?} is not absolute");
    for directory in [current, std::env::temp_dir()] {
        ensure!(directory.is_dir(), "{directory:?} is no directory");
    }
    Ok(())
}

fn output() -> Outcome {
    tried!(std::io::stdout().write_all(b""));
    tried!(std::io::stdout().flush());
    tried!(writeln!(std::io::stderr(), "a line on the error output"));
    Ok(())
}

fn formatting() -> Outcome {
    ensure_eq!(
        format!("{:>8.3}|{:<5}|{:#x}|{:e}", 9.87654, "ab", 255, 1234.5),
        "   9.877|ab   |0xff|1.2345e3"
    );
    ensure_eq!(tried!("2.5e-3".parse::<f64>()), 0.0025);
    ensure_eq!(format!("{}", f64::MAX).len(), 309);
    Ok(())
}
