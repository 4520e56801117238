//! Ends of a program that are not a return from `main`.

use std::hint::black_box;
use std::io::{self, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::thread;

pub fn panic() -> ExitCode {
    let empty: Vec<u8> = Vec::new();
    ExitCode::from(empty[black_box(3)])
}

/// Where panics unwind, the thread's end is seen and the program goes on to a status of its own.
pub fn panic_in_a_thread() -> ExitCode {
    let thread = thread::Builder::new()
        .name("unlucky".into())
        .spawn(|| panic!("on purpose"));
    match thread.map(|handle| handle.join()) {
        Ok(Err(_)) => println!("the panic stayed in its thread"),
        _ => println!("no panic was seen"),
    }
    ExitCode::from(101)
}

/// Ends in the middle of a line.
pub fn unfinished(status: u8) -> ExitCode {
    print!("a line without an end");
    ExitCode::from(status)
}

pub fn overflow_the_stack() -> ExitCode {
    ExitCode::from(deeper(0) as u8)
}

fn deeper(level: u64) -> u64 {
    let frame = black_box([level; 64]);
    if level == u64::MAX {
        0
    } else {
        deeper(level + 1) + frame[3]
    }
}

pub fn exhaust_the_heap() -> ExitCode {
    let mut kept = Vec::new();
    for block in 0.. {
        kept.push(vec![1u8; 1 << 20]);
        if black_box(block) == usize::MAX {
            break;
        }
    }
    ExitCode::from(kept.len() as u8)
}

/// Asks for one block of so many GiB and uses both ends of it.
pub fn reserve(gibibytes: &str) -> ExitCode {
    let bytes = gibibytes.parse::<usize>().unwrap_or(0) << 30;
    let mut block: Vec<u8> = Vec::new();
    if let Err(error) = block.try_reserve_exact(bytes) {
        println!("{gibibytes} GiB: {error}");
        return ExitCode::FAILURE;
    }
    let room = block.spare_capacity_mut();
    for at in [0, bytes / 2, bytes - 1] {
        println!("at {at}: {}", room[at].write(7));
    }
    ExitCode::SUCCESS
}

/// Sends 200,000 bytes to `PEER` and ends at once, with most of them still to be delivered.
pub fn farewell() -> ExitCode {
    match say_farewell() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("farewell: {error}");
            ExitCode::FAILURE
        }
    }
}

fn say_farewell() -> io::Result<()> {
    let peer = std::env::var("PEER").map_err(io::Error::other)?;
    TcpStream::connect(peer)?.write_all(&[b'x'; 200_000])
}
