//! Types of the scheduler that code shared with host tests needs.

/// What a thread waits on: the address of the thing waited for (plus a small offset where one thing has several channels).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Channel(pub usize);

/// Why [`wait`](crate::thread) returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wake {
    Woken,
    TimedOut,
}
