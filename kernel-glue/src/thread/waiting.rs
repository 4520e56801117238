//! Wait channels, deadlines and futexes. A waiting thread hangs one node for each channel into a hash table of lists; the nodes
//! are on its own stack, so that neither waiting nor waking allocates.

use super::scheduler::{State, Thread, schedule, scheduler};
use super::{Channel, Wake};
use crate::clock;
use crate::critical::{self, Guarded};
use crate::errno::{Errno, Result};
use crate::heap::{self, Vec};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

pub(super) struct Node {
    channel: Channel,
    thread: *mut Thread,
    next: *mut Node,
    previous: *mut Node,
}

struct Bucket {
    first: *mut Node,
    last: *mut Node,
}

const BUCKETS: usize = 128;
/// Channels a thread may wait on without an allocation.
const FEW: usize = 6;

static BUCKETS_TABLE: Guarded<[Bucket; BUCKETS]> = Guarded::new(
    [const {
        Bucket {
            first: null_mut(),
            last: null_mut(),
        }
    }; BUCKETS],
);

fn bucket(channel: Channel) -> &'static mut Bucket {
    // Fibonacci hashing: addresses differ in their middle bits.
    let index = (channel.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BUCKETS.trailing_zeros());
    // SAFETY: inside the critical section; the reference is used within one operation on the list.
    unsafe { &mut BUCKETS_TABLE.get()[index as usize] }
}

/// Blocks the calling thread until one of `channels` is woken or the monotonic clock reaches `deadline` (ns; `u64::MAX`: never).
pub fn wait(channels: &[Channel], deadline: u64) -> Wake {
    let _critical = critical::enter();
    let node = |channel: &Channel| Node {
        channel: *channel,
        thread: null_mut(),
        next: null_mut(),
        previous: null_mut(),
    };
    if channels.len() <= FEW {
        let mut nodes: [Node; FEW] = core::array::from_fn(|index| node(channels.get(index).unwrap_or(&Channel(0))));
        return wait_on(&mut nodes[..channels.len()], deadline);
    }
    let mut nodes: Vec<Node> = heap::vec();
    if nodes.try_reserve_exact(channels.len()).is_err() {
        // Callers look at what they waited for again whenever they are woken: without memory for nodes they poll.
        super::yield_now();
        return if clock::now() >= deadline {
            Wake::TimedOut
        } else {
            Wake::Woken
        };
    }
    nodes.extend(channels.iter().map(node));
    wait_on(&mut nodes, deadline)
}

fn wait_on(nodes: &mut [Node], deadline: u64) -> Wake {
    let current = scheduler().current;
    for node in nodes.iter_mut() {
        node.thread = current;
        // SAFETY: nodes outlive the wait: `unlink` takes them out before the thread runs on and this frame ends.
        unsafe { append(node) };
    }
    // SAFETY: the running thread's record is alive, and only the critical section touches it.
    let thread = unsafe { &mut *current };
    thread.nodes = nodes.as_mut_ptr();
    thread.node_count = nodes.len();
    thread.state = State::Blocked;
    thread.timed_out = false;
    thread.deadline = deadline;
    if deadline != u64::MAX {
        scheduler().timers.insert(current);
    }
    schedule();
    // SAFETY: as above; read anew because other threads wrote it meanwhile.
    if unsafe { (*current).timed_out } {
        Wake::TimedOut
    } else {
        Wake::Woken
    }
}

/// # Safety
/// `node` stays where it is until `unlink`.
unsafe fn append(node: &mut Node) {
    let bucket = bucket(node.channel);
    node.previous = bucket.last;
    node.next = null_mut();
    // SAFETY: nodes in a list are alive: they are taken out before their thread goes on.
    unsafe {
        if bucket.last.is_null() {
            bucket.first = node
        } else {
            (*bucket.last).next = node
        }
    }
    bucket.last = node;
}

/// Takes all of a blocked thread's nodes out of their lists.
///
/// # Safety
/// The thread is blocked in [`wait`], so its nodes are alive.
pub(super) unsafe fn unlink(thread: &mut Thread) {
    for index in 0..thread.node_count {
        // SAFETY: by this function's contract; neighbours are alive for the same reason.
        unsafe {
            let node = &mut *thread.nodes.add(index);
            let bucket = bucket(node.channel);
            if node.previous.is_null() {
                bucket.first = node.next
            } else {
                (*node.previous).next = node.next
            }
            if node.next.is_null() {
                bucket.last = node.previous
            } else {
                (*node.next).previous = node.previous
            }
        }
    }
    thread.node_count = 0;
}

/// Makes up to `limit` threads that wait on `channel` runnable, those first that waited longest; returns how many.
pub fn wake(channel: Channel, limit: usize) -> usize {
    let _critical = critical::enter();
    let mut woken = 0;
    let mut at = bucket(channel).first;
    while !at.is_null() && woken < limit {
        // SAFETY: nodes in a list are alive, and so are their threads, all blocked.
        unsafe {
            let node = &*at;
            at = node.next;
            if node.channel == channel {
                let thread = node.thread;
                // The next node may be another one of the same thread: go on behind those.
                while !at.is_null() && (*at).thread == thread {
                    at = (*at).next;
                }
                unlink(&mut *thread);
                scheduler().timers.remove(thread);
                scheduler().make_ready(thread, true);
                woken += 1;
            }
        }
    }
    woken
}

/// Futex on `word`: 0, or the error (EAGAIN: the word is not `expected`; ETIMEDOUT). `deadline` as in [`wait`].
pub fn futex_wait(word: &AtomicU32, expected: u32, deadline: u64) -> Result<()> {
    let _critical = critical::enter();
    if word.load(SeqCst) != expected {
        return Err(Errno::EAGAIN);
    }
    match wait(&[Channel(word as *const AtomicU32 as usize)], deadline) {
        Wake::Woken => Ok(()),
        Wake::TimedOut => Err(Errno::ETIMEDOUT),
    }
}

pub fn futex_wake(word: *const AtomicU32, count: usize) -> usize {
    wake(Channel(word as usize), count)
}
