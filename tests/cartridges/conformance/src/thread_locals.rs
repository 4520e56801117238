//! Thread-local values and their destructors.

use crate::ensure_eq;
use crate::report::{Check, Outcome};
use std::cell::{Cell, RefCell};
use std::sync::mpsc::{self, Sender};
use std::thread;

pub const CHECKS: &[Check] = &[
    ("each thread has its own", own_values),
    ("destructors run at the end of the thread", destructors),
    ("a destructor may use another thread-local", nested_destructors),
    ("large and aligned", large),
    ("aligned to more than a cache line", widely_aligned),
];

thread_local! {
    static CONSTANT: Cell<u64> = const { Cell::new(7) };
    static LAZY: RefCell<Vec<u64>> = RefCell::new(vec![1, 2, 3]);
    static NOTE: RefCell<Option<Note>> = const { RefCell::new(None) };
    static OUTER: RefCell<Option<Outer>> = const { RefCell::new(None) };
    static LARGE: Cell<Aligned> = const { Cell::new(Aligned([5; 200])) };
    static PADDED: Cell<Padded> = const { Cell::new(Padded(6)) };
    static PAGED: Cell<Paged> = const { Cell::new(Paged(0, 8)) };
}

/// Tells its number when it goes.
struct Note(u32, Sender<u32>);

impl Drop for Note {
    fn drop(&mut self) {
        let _ = self.1.send(self.0);
    }
}

/// Reads another thread-local when it goes.
struct Outer(Sender<u64>);

impl Drop for Outer {
    fn drop(&mut self) {
        let seen = CONSTANT.try_with(Cell::get).unwrap_or(0);
        let _ = self.0.send(seen);
    }
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Aligned([u8; 200]);

/// As crossbeam's CachePadded is.
#[derive(Clone, Copy)]
#[repr(align(128))]
struct Padded(u64);

#[derive(Clone, Copy)]
#[repr(align(4096))]
struct Paged(u64, u64);

fn own_values() -> Outcome {
    CONSTANT.set(1);
    LAZY.with_borrow_mut(|numbers| numbers.push(4));
    let other = thread::spawn(|| {
        CONSTANT.set(CONSTANT.get() + 1);
        LAZY.with_borrow_mut(|numbers| numbers.push(9));
        (CONSTANT.get(), LAZY.with_borrow(Clone::clone))
    });
    ensure_eq!(other.join().ok(), Some((8, vec![1, 2, 3, 9])));
    ensure_eq!(CONSTANT.get(), 1);
    ensure_eq!(LAZY.with_borrow(Clone::clone), [1, 2, 3, 4]);
    Ok(())
}

fn destructors() -> Outcome {
    let (sender, receiver) = mpsc::channel();
    let handles: Vec<_> = (0..10)
        .map(|number| {
            let sender = sender.clone();
            thread::spawn(move || NOTE.set(Some(Note(number, sender))))
        })
        .collect();
    drop(sender);
    for handle in handles {
        handle.join().map_err(|_| "a thread failed")?;
    }
    let mut seen: Vec<u32> = receiver.iter().collect();
    seen.sort();
    ensure_eq!(seen, (0..10).collect::<Vec<_>>());
    Ok(())
}

fn nested_destructors() -> Outcome {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        CONSTANT.set(42);
        OUTER.set(Some(Outer(sender)));
    });
    thread.join().map_err(|_| "the thread failed")?;
    ensure_eq!(receiver.recv(), Ok(42));
    Ok(())
}

fn large() -> Outcome {
    let thread = thread::spawn(|| LARGE.with(|large| (large.get().0, &raw const *large as usize % 64)));
    ensure_eq!(thread.join().ok(), Some(([5; 200], 0)));
    Ok(())
}

fn widely_aligned() -> Outcome {
    let look = || {
        let padded = PADDED.with(|padded| (padded.get().0, &raw const *padded as usize % 128));
        let paged = PAGED.with(|paged| (paged.get().0, paged.get().1, &raw const *paged as usize % 4096));
        // Their neighbours too.
        let others = (CONSTANT.replace(1), LAZY.with_borrow(Clone::clone));
        PADDED.set(Padded(1));
        PAGED.set(Paged(2, 3));
        (padded, paged, others)
    };
    for _ in 0..3 {
        let seen = thread::spawn(look).join().map_err(|_| "the thread failed")?;
        ensure_eq!(seen, ((6, 0), (0, 8, 0), (7, vec![1, 2, 3])));
    }
    Ok(())
}
