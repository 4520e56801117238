//! An app that computes on every thread it has for 30 seconds and looks at nothing else, least of all at a wish to stop. With
//! the argument `print` one of its threads prints lines of a megabyte instead; with `print-only` that is all it does.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

/// So many that an agent which had to wait for its turn among them would answer late.
const THREADS: u64 = 24;
const COMPUTES_FOR: Duration = Duration::from_secs(30);

fn main() {
    let _cartridge = cartridge_agent::start();
    let until = Instant::now() + COMPUTES_FOR;
    let way = std::env::args().nth(1).unwrap_or_default();
    if way.starts_with("print") {
        thread::spawn(move || print(until));
    }
    let threads = if way == "print-only" { 1 } else { THREADS };
    let workers: Vec<_> = (1..threads)
        .map(|seed| thread::spawn(move || compute(seed, until)))
        .collect();
    println!("busy: computing on {threads} threads");
    let mut sum = 0;
    if way == "print-only" {
        thread::sleep(COMPUTES_FOR);
    } else {
        sum = compute(0, until);
    }
    for worker in workers {
        sum ^= worker.join().expect("a worker does not panic");
    }
    println!("busy: done {sum:x}");
}

fn compute(seed: u64, until: Instant) -> u64 {
    let mut sum = seed;
    while Instant::now() < until {
        for step in 0..100_000 {
            sum = black_box(sum.rotate_left(5) ^ step).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }
    sum
}

fn print(until: Instant) {
    let line = "x".repeat(1 << 20);
    while Instant::now() < until {
        println!("{line}");
    }
}
