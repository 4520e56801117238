//! Measures an image: boot and HTTP figures as JSON.
//!
//!     cargo run -p qemu --example measure -- IMAGE [MACHINE] [READY-TEXT]

use std::process::ExitCode;

use qemu::measure::{BootOptions, HttpOptions, Ready, boot, http};
use qemu::{Launch, Machine};

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let image = arguments.next().ok_or("usage: measure IMAGE [MACHINE] [READY-TEXT]")?;
    let machine = arguments.next().map_or(Ok(Machine::Microvm), |word| word.parse())?;
    let ready = arguments.next().map_or(Ready::agent(), Ready::Line);
    let mut launch = Launch::new(image).forward(0, 8080);
    launch.machine = machine;
    let mut progress = |step: &str| eprintln!("{step}");
    let options = BootOptions {
        ready: ready.clone(),
        ..BootOptions::default()
    };
    println!(
        "{}",
        serde_json::to_string_pretty(&boot(&launch, &options, &mut progress)?)?
    );
    let options = HttpOptions {
        ready,
        ..HttpOptions::default()
    };
    println!(
        "{}",
        serde_json::to_string_pretty(&http(&launch, &options, &mut progress)?)?
    );
    Ok(())
}
