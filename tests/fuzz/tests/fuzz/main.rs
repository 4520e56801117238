//! The suite `fuzz`: every target of `cartridge_fuzz` under libFuzzer, guided by coverage; its kept corpus first, then what the
//! fuzzer makes of it. What it finds is saved, and the command that repeats it is printed.
//!
//! `./cartridge test fuzz -- --help` tells the options.

mod engine;
mod options;
mod run;

use cartridge_fuzz::Target;
use options::Options;
use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let engine = match engine::build() {
        Ok(engine) => engine,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let waiting: Mutex<VecDeque<&Target>> = Mutex::new(options.targets.iter().copied().collect());
    let failed = Mutex::new(0);
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let workers = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(options.targets.len());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(target) = next() {
                    let outcome = run::run(&engine, target, &options);
                    let said = outcome.unwrap_or_else(|why| {
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                        format!("FAILED\n{why}")
                    });
                    println!("test {} ... {said}", target.name);
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    // As a test program says it: whoever started us adds it up.
    println!(
        "\ntest result: {}. {} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out",
        if failed == 0 { "ok" } else { "FAILED" },
        options.targets.len() - failed
    );
    ExitCode::from(u8::from(failed > 0))
}
