//! Threads that are ready to run, in a list that is linked through them: nothing here allocates.

/// What may be queued: a pointer to it, and room in it for the one behind it.
pub trait Linked: Copy {
    fn next(self) -> Option<Self>;
    fn set_next(self, next: Option<Self>);
}

/// First in, first out; whoever was interrupted may have its place at the front back.
pub struct Queue<T> {
    ends: Option<(T, T)>,
}

impl<T: Linked> Queue<T> {
    pub const fn new() -> Self {
        Queue { ends: None }
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_none()
    }

    /// Puts `item`, which is in no queue, behind the others.
    pub fn push(&mut self, item: T) {
        item.set_next(None);
        let first = self.ends.map_or(item, |(first, last)| {
            last.set_next(Some(item));
            first
        });
        self.ends = Some((first, item));
    }

    /// Puts `item`, which is in no queue, before the others.
    pub fn push_front(&mut self, item: T) {
        item.set_next(self.ends.map(|(first, _)| first));
        self.ends = Some((item, self.ends.map_or(item, |(_, last)| last)));
    }

    pub fn pop(&mut self) -> Option<T> {
        let (first, last) = self.ends?;
        self.ends = first.next().map(|next| (next, last));
        Some(first)
    }
}

impl<T: Linked> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    // Items are numbers; who is behind whom is noted here.
    std::thread_local! {
        static BEHIND: [Cell<Option<Item>>; 8] = const { [const { Cell::new(None) }; 8] };
    }

    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Item(usize);

    impl Linked for Item {
        fn next(self) -> Option<Self> {
            BEHIND.with(|behind| behind[self.0].get())
        }
        fn set_next(self, next: Option<Self>) {
            BEHIND.with(|behind| behind[self.0].set(next))
        }
    }

    fn drained(mut queue: Queue<Item>) -> std::vec::Vec<usize> {
        core::iter::from_fn(|| queue.pop()).map(|item| item.0).collect()
    }

    #[test]
    fn the_oldest_comes_first() {
        let mut queue = Queue::new();
        assert!(queue.is_empty() && queue.pop().is_none());
        (0..4).for_each(|item| queue.push(Item(item)));
        assert_eq!(queue.pop(), Some(Item(0)));
        queue.push(Item(0));
        assert_eq!(drained(queue), [1, 2, 3, 0]);
    }

    #[test]
    fn who_is_put_to_the_front_comes_before_the_others_and_keeps_their_order() {
        let mut queue = Queue::new();
        queue.push_front(Item(5));
        queue.push(Item(1));
        queue.push_front(Item(6));
        queue.push(Item(2));
        assert!(!queue.is_empty());
        assert_eq!(drained(queue), [6, 5, 1, 2]);
    }

    #[test]
    fn an_emptied_queue_is_as_good_as_a_new_one() {
        let mut queue = Queue::new();
        queue.push(Item(3));
        assert_eq!(queue.pop(), Some(Item(3)));
        assert!(queue.is_empty() && queue.pop().is_none());
        queue.push(Item(3));
        queue.push(Item(4));
        assert_eq!(drained(queue), [3, 4]);
    }
}
