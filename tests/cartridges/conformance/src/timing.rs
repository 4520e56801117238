//! Clocks and sleeping.

use crate::ensure;
use crate::report::{Check, Outcome};
use crate::tried;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub const CHECKS: &[Check] = &[
    ("the monotonic clock never goes back", monotonic),
    ("sleeping lasts at least as long as asked, and little longer", sleeping),
    ("no sleep at all returns at once", no_sleep),
    ("the wall clock is set and runs as the monotonic one", wall),
    ("threads wake in the order of their deadlines", order),
];

/// 2025-01-01, seconds since the Unix epoch: before this was written.
const PAST: u64 = 1_735_689_600;

fn monotonic() -> Outcome {
    let mut last = Instant::now();
    for _ in 0..100_000 {
        let now = Instant::now();
        ensure!(now >= last, "it went back by {:?}", last - now);
        last = now;
    }
    Ok(())
}

fn sleeping() -> Outcome {
    for milliseconds in [1, 5, 20, 50] {
        let asked = Duration::from_millis(milliseconds);
        let mut over: Vec<Duration> = Vec::new();
        for _ in 0..9 {
            let start = Instant::now();
            thread::sleep(asked);
            let slept = start.elapsed();
            ensure!(slept >= asked, "{asked:?} took only {slept:?}");
            over.push(slept - asked);
        }
        over.sort();
        let (least, median, most) = (over[0], over[4], over[8]);
        println!("a sleep of {asked:?} lasts {least:?} longer at least, {median:?} in the median, {most:?} at most");
        // A clock that ticks by the 4 or 10 ms would be late by most of a tick each time; a busy host only now and then.
        ensure!(
            least < Duration::from_millis(2),
            "{asked:?} took {least:?} longer at least"
        );
        ensure!(
            median < Duration::from_millis(15),
            "{asked:?} took {median:?} longer in the median"
        );
    }
    Ok(())
}

fn no_sleep() -> Outcome {
    let start = Instant::now();
    for _ in 0..100 {
        thread::sleep(Duration::ZERO);
    }
    ensure!(
        start.elapsed() < Duration::from_secs(1),
        "100 empty sleeps took {:?}",
        start.elapsed()
    );
    Ok(())
}

fn wall() -> Outcome {
    let (wall, monotonic) = (SystemTime::now(), Instant::now());
    let seconds = tried!(wall.duration_since(UNIX_EPOCH)).as_secs();
    ensure!(seconds > PAST, "the wall clock says {seconds} s after 1970");
    thread::sleep(Duration::from_millis(200));
    let (by_wall, by_monotonic) = (tried!(wall.elapsed()), monotonic.elapsed());
    let apart = by_wall.abs_diff(by_monotonic);
    ensure!(
        apart < Duration::from_millis(20),
        "{by_wall:?} by the wall clock, {by_monotonic:?} by the monotonic one"
    );
    Ok(())
}

fn order() -> Outcome {
    let (sender, receiver) = std::sync::mpsc::channel();
    let handles: Vec<_> = [120u64, 40, 80]
        .into_iter()
        .map(|milliseconds| {
            let sender = sender.clone();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(milliseconds));
                sender.send(milliseconds)
            })
        })
        .collect();
    drop(sender);
    let woken: Vec<u64> = receiver.iter().collect();
    ensure!(woken == [40, 80, 120], "they woke as {woken:?}");
    ensure!(
        handles.into_iter().all(|handle| matches!(handle.join(), Ok(Ok(())))),
        "a thread failed"
    );
    Ok(())
}
