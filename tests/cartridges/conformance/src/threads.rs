//! Threads.

use crate::report::{Check, Outcome};
use crate::{ensure, ensure_eq, tried};
use std::collections::HashSet;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

pub const CHECKS: &[Check] = &[
    ("return values", return_values),
    ("names and ids", names_and_ids),
    ("scoped threads borrow", scoped),
    ("park and unpark", park),
    ("park with a time-out", park_timeout),
    ("unpark before park is remembered", unpark_first),
    ("a dropped handle leaves the thread running", detached),
    ("is_finished", finished),
    ("five hundred in a row", many_in_a_row),
    ("sixty-four at once", many_at_once),
    ("deep recursion on a large stack", deep_recursion),
    ("large frames", large_frames),
    ("a spinning thread does not starve the others", spinning),
    ("threads of equal priority share the processor", sharing),
    ("parallelism is at least one", parallelism),
];

fn return_values() -> Outcome {
    let handles: Vec<_> = (0..16u64).map(|n| thread::spawn(move || n * n)).collect();
    for (n, handle) in handles.into_iter().enumerate() {
        ensure_eq!(handle.join().ok(), Some((n * n) as u64));
    }
    Ok(())
}

fn names_and_ids() -> Outcome {
    let named = tried!(
        thread::Builder::new()
            .name("porter".into())
            .spawn(|| thread::current().name().map(String::from))
    );
    ensure_eq!(named.join().ok().flatten().as_deref(), Some("porter"));
    let handles: Vec<_> = (0..20).map(|_| thread::spawn(|| thread::current().id())).collect();
    let ids: HashSet<_> = handles.into_iter().filter_map(|handle| handle.join().ok()).collect();
    ensure_eq!(ids.len(), 20);
    Ok(())
}

fn scoped() -> Outcome {
    let mut numbers = vec![1u64; 1000];
    thread::scope(|scope| {
        for part in numbers.chunks_mut(250) {
            scope.spawn(move || part.iter_mut().for_each(|number| *number += 1));
        }
    });
    ensure_eq!(numbers.iter().sum::<u64>(), 2000);
    Ok(())
}

fn park() -> Outcome {
    let woken = Arc::new(AtomicBool::new(false));
    let flag = woken.clone();
    let sleeper = thread::spawn(move || {
        while !flag.load(Ordering::Acquire) {
            thread::park();
        }
    });
    woken.store(true, Ordering::Release);
    sleeper.thread().unpark();
    ensure!(sleeper.join().is_ok(), "the parked thread failed");
    Ok(())
}

fn park_timeout() -> Outcome {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(30) {
        thread::park_timeout(Duration::from_millis(30).saturating_sub(start.elapsed()));
    }
    ensure!(
        start.elapsed() < Duration::from_secs(2),
        "it took {:?}",
        start.elapsed()
    );
    Ok(())
}

fn unpark_first() -> Outcome {
    let sleeper = thread::spawn(|| {
        thread::sleep(Duration::from_millis(20));
        let start = Instant::now();
        thread::park_timeout(Duration::from_secs(20));
        start.elapsed()
    });
    sleeper.thread().unpark();
    let waited = sleeper.join().map_err(|_| "the thread failed")?;
    ensure!(waited < Duration::from_secs(10), "it waited {waited:?}");
    Ok(())
}

fn detached() -> Outcome {
    let (sender, receiver) = mpsc::channel();
    drop(thread::spawn(move || sender.send(7)));
    ensure_eq!(receiver.recv_timeout(Duration::from_secs(10)), Ok(7));
    Ok(())
}

fn finished() -> Outcome {
    let (sender, receiver) = mpsc::channel::<()>();
    let handle = thread::spawn(move || receiver.recv().is_err());
    ensure!(!handle.is_finished(), "it has ended before it could");
    drop(sender);
    let deadline = Instant::now() + Duration::from_secs(10);
    while !handle.is_finished() && Instant::now() < deadline {
        thread::yield_now();
    }
    ensure!(handle.is_finished(), "it has not ended");
    ensure_eq!(handle.join().ok(), Some(true));
    Ok(())
}

fn many_in_a_row() -> Outcome {
    let mut sum = 0;
    for n in 0..500u64 {
        sum += thread::spawn(move || n)
            .join()
            .map_err(|_| format!("thread {n} failed"))?;
    }
    ensure_eq!(sum, 500 * 499 / 2);
    Ok(())
}

fn many_at_once() -> Outcome {
    let running = Arc::new(AtomicU64::new(0));
    let handles: Vec<_> = (0..64)
        .map(|_| {
            let running = running.clone();
            thread::spawn(move || {
                running.fetch_add(1, Ordering::AcqRel);
                while running.load(Ordering::Acquire) < 64 {
                    thread::yield_now();
                }
            })
        })
        .collect();
    for handle in handles {
        ensure!(handle.join().is_ok(), "a thread failed");
    }
    Ok(())
}

fn deep_recursion() -> Outcome {
    let large = tried!(thread::Builder::new().stack_size(16 << 20).spawn(|| depth(8_000)));
    ensure_eq!(large.join().ok(), Some(8_000));
    let ordinary = thread::spawn(|| depth(500));
    ensure_eq!(ordinary.join().ok(), Some(500));
    Ok(())
}

/// Takes about a kilobyte of stack for each level.
fn depth(level: u64) -> u64 {
    let frame = black_box([level; 64]);
    if level == 0 {
        0
    } else {
        depth(level - 1) + u64::from(frame[3] == level)
    }
}

fn large_frames() -> Outcome {
    let thread = tried!(thread::Builder::new().stack_size(8 << 20).spawn(|| {
        let frame = black_box([1u8; 1 << 20]);
        frame.iter().map(|byte| u64::from(*byte)).sum::<u64>()
    }));
    ensure_eq!(thread.join().ok(), Some(1 << 20));
    Ok(())
}

fn spinning() -> Outcome {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let spinner = thread::spawn(move || {
        let mut turns = 0u64;
        while !flag.load(Ordering::Relaxed) {
            turns += 1;
        }
        turns
    });
    let start = Instant::now();
    thread::sleep(Duration::from_millis(50));
    let slept = start.elapsed();
    stop.store(true, Ordering::Relaxed);
    ensure!(spinner.join().is_ok(), "the spinner failed");
    ensure!(
        slept < Duration::from_millis(500),
        "50 ms of sleep beside a spinning thread took {slept:?}"
    );
    Ok(())
}

fn sharing() -> Outcome {
    let stop = Arc::new(AtomicBool::new(false));
    let spinners: Vec<_> = (0..3)
        .map(|_| {
            let stop = stop.clone();
            thread::spawn(move || {
                let mut turns = 0u64;
                // Counted in a register: an emulator may be ten times slower where two pages a loop touches share a place in its
                // table of translations, which says nothing about the time a thread was given.
                while !stop.load(Ordering::Relaxed) {
                    turns += 1;
                }
                turns
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(400));
    stop.store(true, Ordering::Relaxed);
    let turns: Vec<u64> = spinners.into_iter().filter_map(|spinner| spinner.join().ok()).collect();
    let (least, most) = (
        turns.iter().min().copied().unwrap_or(0),
        turns.iter().max().copied().unwrap_or(0),
    );
    ensure!(turns.len() == 3 && least > most / 10, "unfair: {turns:?}");
    Ok(())
}

fn parallelism() -> Outcome {
    ensure!(tried!(thread::available_parallelism()).get() >= 1, "none");
    Ok(())
}
