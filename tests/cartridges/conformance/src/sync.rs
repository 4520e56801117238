//! Locks, channels and the like.

use crate::report::{Check, Outcome};
use crate::{ensure, ensure_eq, tried};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError, TrySendError};
use std::sync::{Barrier, Condvar, LazyLock, Mutex, Once, OnceLock, RwLock};
use std::thread;
use std::time::{Duration, Instant};

pub const CHECKS: &[Check] = &[
    ("mutex under contention", mutex),
    ("mutex try_lock", try_lock),
    ("condvar passes a token round", condvar),
    ("condvar time-out", condvar_timeout),
    ("condvar notify_all", notify_all),
    ("rwlock", rwlock),
    ("once, OnceLock and LazyLock run once", once),
    ("barrier", barrier),
    ("channel from many senders", channel),
    ("bounded and rendezvous channels", bounded),
    ("channel time-outs and hang-ups", channel_ends),
    ("atomics", atomics),
];

fn mutex() -> Outcome {
    let counter = Mutex::new(0u64);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for turn in 0..2_000 {
                    if let Ok(mut counter) = counter.lock() {
                        *counter += 1;
                        if turn % 100 == 0 {
                            thread::yield_now();
                        }
                    }
                }
            });
        }
    });
    ensure_eq!(counter.into_inner().ok(), Some(16_000));
    Ok(())
}

fn try_lock() -> Outcome {
    let mutex = Mutex::new(());
    let held = tried!(mutex.lock());
    let refused = thread::scope(|scope| scope.spawn(|| mutex.try_lock().is_err()).join());
    ensure_eq!(refused.ok(), Some(true));
    drop(held);
    ensure!(mutex.try_lock().is_ok(), "a free mutex cannot be taken");
    Ok(())
}

fn condvar() -> Outcome {
    const THREADS: usize = 5;
    const ROUNDS: usize = 200;
    let turn = Mutex::new(0);
    let changed = Condvar::new();
    thread::scope(|scope| {
        for own in 0..THREADS {
            let (turn, changed) = (&turn, &changed);
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let Ok(guard) = turn.lock() else { return };
                    let Ok(mut guard) = changed.wait_while(guard, |turn| *turn % THREADS != own) else {
                        return;
                    };
                    *guard += 1;
                    changed.notify_all();
                }
            });
        }
    });
    ensure_eq!(turn.into_inner().ok(), Some(THREADS * ROUNDS));
    Ok(())
}

fn condvar_timeout() -> Outcome {
    let (mutex, never) = (Mutex::new(false), Condvar::new());
    let start = Instant::now();
    let guard = tried!(mutex.lock());
    let (_guard, result) = tried!(never.wait_timeout_while(guard, Duration::from_millis(30), |set| !*set));
    ensure!(result.timed_out(), "no time-out");
    let waited = start.elapsed();
    ensure!((30..1_000).contains(&waited.as_millis()), "30 ms took {waited:?}");
    Ok(())
}

fn notify_all() -> Outcome {
    let (open, changed, passed) = (Mutex::new(false), Condvar::new(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                if let Ok(guard) = open.lock()
                    && changed.wait_while(guard, |open| !*open).is_ok()
                {
                    passed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        if let Ok(mut open) = open.lock() {
            *open = true;
        }
        changed.notify_all();
    });
    ensure_eq!(passed.into_inner(), 10);
    Ok(())
}

fn rwlock() -> Outcome {
    let lock = RwLock::new((0u64, 0u64));
    let torn = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    if lock.read().is_ok_and(|pair| pair.0 != pair.1) {
                        torn.fetch_add(1, Ordering::Relaxed);
                    }
                    thread::yield_now();
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..200 {
                    if let Ok(mut pair) = lock.write() {
                        pair.0 += 1;
                        thread::yield_now();
                        pair.1 += 1;
                    }
                }
            });
        }
    });
    ensure_eq!(torn.into_inner(), 0);
    ensure_eq!(lock.into_inner().ok(), Some((400, 400)));
    Ok(())
}

fn once() -> Outcome {
    static ONCE: Once = Once::new();
    static CELL: OnceLock<usize> = OnceLock::new();
    static LAZY: LazyLock<usize> = LazyLock::new(|| RUNS.fetch_add(1, Ordering::Relaxed) + 10);
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || {
                ONCE.call_once(|| {
                    thread::sleep(Duration::from_millis(5));
                    RUNS.fetch_add(1, Ordering::Relaxed);
                });
                CELL.get_or_init(|| {
                    RUNS.fetch_add(1, Ordering::Relaxed);
                    number
                });
                *LAZY
            });
        }
    });
    ensure_eq!(RUNS.load(Ordering::Relaxed), 3);
    Ok(())
}

fn barrier() -> Outcome {
    let barrier = Barrier::new(6);
    let (arrived, early, leaders) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for round in 1..=20 {
                    arrived.fetch_add(1, Ordering::SeqCst);
                    let leader = barrier.wait().is_leader();
                    early.fetch_add(
                        usize::from(arrived.load(Ordering::SeqCst) < 6 * round),
                        Ordering::SeqCst,
                    );
                    leaders.fetch_add(usize::from(leader), Ordering::SeqCst);
                    barrier.wait();
                }
            });
        }
    });
    ensure_eq!((early.into_inner(), leaders.into_inner()), (0, 20));
    Ok(())
}

fn channel() -> Outcome {
    let (sender, receiver) = mpsc::channel();
    let handles: Vec<_> = (0..8u64)
        .map(|own| {
            let sender = sender.clone();
            thread::spawn(move || (0..500).try_for_each(|n| sender.send(own * 1_000 + n)))
        })
        .collect();
    drop(sender);
    let mut last = [None; 8];
    let mut count = 0;
    for value in receiver {
        let own = (value / 1_000) as usize;
        ensure!(last[own] < Some(value), "{value} came after {:?}", last[own]);
        last[own] = Some(value);
        count += 1;
    }
    ensure_eq!(count, 4_000);
    ensure!(
        handles.into_iter().all(|handle| matches!(handle.join(), Ok(Ok(())))),
        "a sender failed"
    );
    Ok(())
}

fn bounded() -> Outcome {
    let (sender, receiver) = mpsc::sync_channel(2);
    tried!(sender.send(1));
    tried!(sender.send(2));
    ensure!(
        matches!(sender.try_send(3), Err(TrySendError::Full(3))),
        "a full channel took a value"
    );
    let producer = thread::spawn(move || (3..100).try_for_each(|n| sender.send(n)).is_ok());
    ensure_eq!(receiver.iter().sum::<i32>(), 99 * 100 / 2);
    ensure_eq!(producer.join().ok(), Some(true));

    let (sender, receiver) = mpsc::sync_channel(0);
    let producer = thread::spawn(move || (0..50).try_for_each(|n| sender.send(n)).is_ok());
    ensure_eq!(receiver.iter().collect::<Vec<i32>>(), (0..50).collect::<Vec<_>>());
    ensure_eq!(producer.join().ok(), Some(true));
    Ok(())
}

fn channel_ends() -> Outcome {
    let (sender, receiver) = mpsc::channel::<u8>();
    ensure_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    let start = Instant::now();
    ensure_eq!(
        receiver.recv_timeout(Duration::from_millis(20)),
        Err(RecvTimeoutError::Timeout)
    );
    ensure!(
        start.elapsed() >= Duration::from_millis(20),
        "20 ms took {:?}",
        start.elapsed()
    );
    drop(sender);
    ensure_eq!(
        receiver.recv_timeout(Duration::from_secs(10)),
        Err(RecvTimeoutError::Disconnected)
    );
    let (sender, receiver) = mpsc::channel();
    drop(receiver);
    ensure!(sender.send(1).is_err(), "sending to nobody worked");
    Ok(())
}

fn atomics() -> Outcome {
    let (sum, largest) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for own in 1..=4u64 {
            let (sum, largest) = (&sum, &largest);
            scope.spawn(move || {
                for n in 0..5_000 {
                    sum.fetch_add(own, Ordering::Relaxed);
                    largest.fetch_max(own * n, Ordering::Relaxed);
                }
            });
        }
    });
    ensure_eq!((sum.into_inner(), largest.into_inner()), (50_000, 4 * 4_999));
    Ok(())
}
