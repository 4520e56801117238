//! Deadlines of waiting threads: a binary heap whose entries know their place, so that adding and removing cost O(log n) and
//! removing the one that was added last costs next to nothing.

use crate::heap::{self, Vec};

/// Whose deadline it is, and where its place in the heap is noted.
pub trait Sleeper: Copy {
    fn deadline(self) -> u64;
    fn place(self) -> usize;
    fn set_place(self, place: usize);
}

/// The place of a sleeper that is in no heap.
pub const NOWHERE: usize = usize::MAX;

pub struct Timers<S> {
    heap: Vec<S>,
}

impl<S: Sleeper> Timers<S> {
    pub const fn new() -> Self {
        Timers { heap: heap::vec() }
    }

    /// Makes room for `count` sleepers in all, so that `insert` never allocates; false when memory is exhausted.
    pub fn reserve(&mut self, count: usize) -> bool {
        self.heap.try_reserve(count.saturating_sub(self.heap.len())).is_ok()
    }

    /// The earliest deadline, `u64::MAX` when there is none.
    pub fn first(&self) -> u64 {
        self.heap.first().map_or(u64::MAX, |sleeper| sleeper.deadline())
    }

    /// Takes out a sleeper whose deadline is not after `now`.
    pub fn expired(&mut self, now: u64) -> Option<S> {
        let sleeper = *self.heap.first()?;
        (sleeper.deadline() <= now).then(|| {
            self.remove(sleeper);
            sleeper
        })
    }

    pub fn insert(&mut self, sleeper: S) {
        self.heap.push(sleeper);
        self.sift_up(self.heap.len() - 1);
    }

    /// Takes `sleeper` out, if it is in.
    pub fn remove(&mut self, sleeper: S) {
        let place = sleeper.place();
        if place >= self.heap.len() {
            return;
        }
        sleeper.set_place(NOWHERE);
        self.heap.swap_remove(place);
        if place < self.heap.len() {
            self.sift_up(place);
            self.sift_down(place);
        }
    }

    fn sift_up(&mut self, mut place: usize) {
        let sleeper = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent].deadline() <= sleeper.deadline() {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, sleeper);
    }

    fn sift_down(&mut self, mut place: usize) {
        let sleeper = self.heap[place];
        loop {
            let mut child = 2 * place + 1;
            if child + 1 < self.heap.len() && self.heap[child + 1].deadline() < self.heap[child].deadline() {
                child += 1;
            }
            if child >= self.heap.len() || sleeper.deadline() <= self.heap[child].deadline() {
                break;
            }
            self.put(place, self.heap[child]);
            place = child;
        }
        self.put(place, sleeper);
    }

    fn put(&mut self, place: usize, sleeper: S) {
        self.heap[place] = sleeper;
        sleeper.set_place(place);
    }
}

impl<S: Sleeper> Default for Timers<S> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    struct Thread {
        deadline: u64,
        place: Cell<usize>,
    }
    impl Sleeper for &Thread {
        fn deadline(self) -> u64 {
            self.deadline
        }
        fn place(self) -> usize {
            self.place.get()
        }
        fn set_place(self, place: usize) {
            self.place.set(place)
        }
    }

    /// A small generator of numbers that repeat on every run.
    fn numbers(count: usize) -> std::vec::Vec<u64> {
        let mut state = 0x2545_f491_4f6c_dd1du64;
        (0..count)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % 1000
            })
            .collect()
    }

    #[test]
    fn deadlines_expire_in_order_even_when_others_leave() {
        let threads: std::vec::Vec<Thread> = numbers(300)
            .into_iter()
            .map(|deadline| Thread {
                deadline,
                place: Cell::new(NOWHERE),
            })
            .collect();
        let mut timers = Timers::new();
        assert!(timers.reserve(threads.len()));
        threads.iter().for_each(|thread| timers.insert(thread));
        threads.iter().step_by(3).for_each(|thread| timers.remove(thread));
        threads
            .iter()
            .step_by(3)
            .for_each(|thread| assert_eq!(thread.place.get(), NOWHERE));
        let mut left: std::vec::Vec<u64> = threads
            .iter()
            .enumerate()
            .filter(|(index, _)| index % 3 != 0)
            .map(|(_, thread)| thread.deadline)
            .collect();
        left.sort();
        for deadline in left {
            assert_eq!(timers.first(), deadline);
            assert!(deadline == 0 || timers.expired(deadline - 1).is_none());
            assert_eq!(timers.expired(deadline).map(|thread| thread.deadline), Some(deadline));
        }
        assert_eq!(timers.first(), u64::MAX);
        assert!(timers.expired(u64::MAX).is_none());
    }

    #[test]
    fn removing_what_is_not_there_does_nothing() {
        let thread = Thread {
            deadline: 1,
            place: Cell::new(NOWHERE),
        };
        let mut timers = Timers::new();
        timers.remove(&thread);
        timers.insert(&thread);
        timers.remove(&thread);
        timers.remove(&thread);
        assert_eq!(timers.first(), u64::MAX);
    }
}
