//! The `cartridge` command: a thin shell over [`command::run`], which does the work and says what went wrong.

mod advice;
mod blob;
mod command;
mod compile;
mod control_plane;
mod elf;
mod fault;
mod manifest;
mod member;
mod package;
mod process;
mod sizes;
mod symbols;
mod toolchain;
mod unwind;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    match command::run(std::env::args_os().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cartridge: {error}");
            ExitCode::from(error.exit_status())
        }
    }
}
