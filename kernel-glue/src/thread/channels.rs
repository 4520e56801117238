//! Who waits for what: lists of nodes, hashed by their channels. The nodes are on the stacks of those who wait, so nothing here
//! allocates.

use crate::thread_types::Channel;
use core::ptr::null_mut;

/// One waiter and one channel.
pub struct Node<T> {
    channel: Channel,
    waiter: T,
    next: *mut Node<T>,
    previous: *mut Node<T>,
}

impl<T> Node<T> {
    pub const fn new(channel: Channel, waiter: T) -> Self {
        Node {
            channel,
            waiter,
            next: null_mut(),
            previous: null_mut(),
        }
    }
}

/// Nodes of some channels, those first that came first.
struct Bucket<T> {
    first: *mut Node<T>,
    last: *mut Node<T>,
}

const BUCKETS: usize = 128;

pub struct Channels<T> {
    buckets: [Bucket<T>; BUCKETS],
}

impl<T: Copy> Channels<T> {
    pub const fn new() -> Self {
        Channels {
            buckets: [const {
                Bucket {
                    first: null_mut(),
                    last: null_mut(),
                }
            }; BUCKETS],
        }
    }

    fn bucket(&mut self, channel: Channel) -> &mut Bucket<T> {
        // Fibonacci hashing: addresses differ in their middle bits.
        let index = (channel.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BUCKETS.trailing_zeros());
        &mut self.buckets[index as usize]
    }

    /// Hangs `node` behind the others.
    ///
    /// # Safety
    /// `node` is in no list, and stays alive and where it is until [`remove`](Self::remove).
    pub unsafe fn append(&mut self, node: *mut Node<T>) {
        // SAFETY: alive by this function's contract, as are all nodes in the lists.
        unsafe {
            let bucket = self.bucket((*node).channel);
            (*node).previous = bucket.last;
            (*node).next = null_mut();
            match bucket.last.as_mut() {
                Some(last) => last.next = node,
                None => bucket.first = node,
            }
            bucket.last = node;
        }
    }

    /// Takes `node` out.
    ///
    /// # Safety
    /// `node` is in one of the lists.
    pub unsafe fn remove(&mut self, node: *mut Node<T>) {
        // SAFETY: in a list by this function's contract, so it and its neighbours are alive.
        unsafe {
            let Node {
                channel,
                next,
                previous,
                ..
            } = *node;
            let bucket = self.bucket(channel);
            match previous.as_mut() {
                Some(previous) => previous.next = next,
                None => bucket.first = next,
            }
            match next.as_mut() {
                Some(next) => next.previous = previous,
                None => bucket.last = previous,
            }
        }
    }

    /// Who waits longest for `channel`.
    pub fn first(&mut self, channel: Channel) -> Option<T> {
        let mut at = self.bucket(channel).first;
        // SAFETY: nodes in the lists are alive.
        while let Some(node) = unsafe { at.as_ref() } {
            if node.channel == channel {
                return Some(node.waiter);
            }
            at = node.next;
        }
        None
    }
}

impl<T: Copy> Default for Channels<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;

    /// A table whose nodes are boxes, for as long as the test takes.
    struct World(Channels<u32>);

    impl World {
        fn new() -> Self {
            World(Channels::new())
        }

        fn wait(&mut self, channel: usize, waiter: u32) -> *mut Node<u32> {
            let node = Box::leak(Box::new(Node::new(Channel(channel), waiter)));
            // SAFETY: new, and leaked, so alive for ever.
            unsafe { self.0.append(node) };
            node
        }

        fn leave(&mut self, node: *mut Node<u32>) {
            // SAFETY: the tests take out only what `wait` put in, and once.
            unsafe { self.0.remove(node) };
        }

        fn first(&mut self, channel: usize) -> Option<u32> {
            self.0.first(Channel(channel))
        }
    }

    #[test]
    fn who_came_first_is_first() {
        let mut world = World::new();
        let nodes = [1, 2, 3].map(|waiter| world.wait(8, waiter));
        for (node, waiter) in nodes.into_iter().zip(1..) {
            assert_eq!(world.first(8), Some(waiter));
            world.leave(node);
        }
        assert_eq!(world.first(8), None);
        world.wait(8, 4);
        assert_eq!(world.first(8), Some(4));
    }

    #[test]
    fn any_of_them_may_leave() {
        for leaving in 0..3 {
            let mut world = World::new();
            let nodes = [0, 1, 2].map(|waiter| world.wait(8, waiter));
            world.leave(nodes[leaving]);
            let stay: std::vec::Vec<usize> = (0..3).filter(|waiter| *waiter != leaving).collect();
            for waiter in stay {
                assert_eq!(world.first(8), Some(waiter as u32));
                world.leave(nodes[waiter]);
            }
            assert_eq!(world.first(8), None);
        }
    }

    #[test]
    fn channels_that_share_a_list_are_told_apart() {
        let mut world = World::new();
        // More channels than lists, so that all lists are shared.
        let nodes: std::vec::Vec<_> = (0..1000).map(|n| world.wait(n * 64, n as u32)).collect();
        for n in (0..1000).rev() {
            assert_eq!(world.first(n * 64), Some(n as u32));
            world.leave(nodes[n]);
            assert_eq!(world.first(n * 64), None);
        }
    }

    #[test]
    fn one_waiter_may_wait_for_a_channel_twice() {
        let mut world = World::new();
        let nodes = [world.wait(8, 1), world.wait(8, 1), world.wait(8, 2)];
        world.leave(nodes[0]);
        world.leave(nodes[1]);
        assert_eq!(world.first(8), Some(2));
    }
}
