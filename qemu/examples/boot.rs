//! Boots an image, streams its console, and passes its exit status on.
//!
//!     cargo run -p qemu --example boot -- IMAGE [MACHINE] [SECONDS]

use std::process::ExitCode;
use std::time::Duration;

use qemu::{Launch, Machine};

fn main() -> ExitCode {
    match boot() {
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(1)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn boot() -> Result<i32, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let image = arguments.next().ok_or("usage: boot IMAGE [MACHINE] [SECONDS]")?;
    let machine = arguments.next().map_or(Ok(Machine::Microvm), |word| word.parse())?;
    let seconds = arguments.next().map_or(Ok(60), |word| word.parse())?;

    let mut launch = Launch::new(image)
        .forward(0, 8080)
        .on_line(|line| println!("{}", line.text));
    launch.machine = machine;
    let guest = launch.start()?;
    eprintln!("qemu {} {}", guest.pid(), guest.command());
    for notice in guest.notices() {
        eprintln!("{notice}");
    }
    eprintln!("http://{}", guest.address(8080)?);
    let exit = guest.wait(Duration::from_secs(seconds))?;
    eprintln!("{}", exit.describe());
    Ok(exit.status.unwrap_or(1))
}
