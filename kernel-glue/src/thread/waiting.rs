//! Wait channels, deadlines and futexes. A waiting thread hangs one node for each channel into a hash table of lists; the nodes
//! are on its own stack, so that neither waiting nor waking allocates.

use super::channels::{Channels, Node};
use super::scheduler::{State, Thread, schedule, scheduler};
use super::{Channel, Wake};
use crate::clock;
use crate::critical::{self, Guarded};
use crate::errno::{Errno, Result};
use crate::heap::{self, Vec};
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// Channels a thread may wait on without an allocation.
const FEW: usize = 6;

static CHANNELS: Guarded<Channels<*mut Thread>> = Guarded::new(Channels::new());

fn waiters() -> &'static mut Channels<*mut Thread> {
    // SAFETY: inside the critical section; the reference is used within one operation on the lists.
    unsafe { CHANNELS.get() }
}

/// Blocks the calling thread until one of `channels` is woken or the monotonic clock reaches `deadline` (ns; `u64::MAX`: never).
pub fn wait(channels: &[Channel], deadline: u64) -> Wake {
    let _critical = critical::enter();
    let current = scheduler().current;
    let node = |channel: &Channel| Node::new(*channel, current);
    if channels.len() <= FEW {
        let mut nodes: [Node<*mut Thread>; FEW] =
            core::array::from_fn(|index| node(channels.get(index).unwrap_or(&Channel(0))));
        return wait_on(&mut nodes[..channels.len()], deadline);
    }
    let mut nodes: Vec<Node<*mut Thread>> = heap::vec();
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

fn wait_on(nodes: &mut [Node<*mut Thread>], deadline: u64) -> Wake {
    let current = scheduler().current;
    for node in nodes.iter_mut() {
        // SAFETY: nodes outlive the wait: `unlink` takes them out before the thread runs on and this frame ends.
        unsafe { waiters().append(node) };
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

/// Takes all of a blocked thread's nodes out of their lists.
///
/// # Safety
/// The thread is blocked in [`wait`], so its nodes are alive.
pub(super) unsafe fn unlink(thread: &mut Thread) {
    for index in 0..thread.node_count {
        // SAFETY: by this function's contract; a blocked thread's nodes are all in the lists.
        unsafe { waiters().remove(thread.nodes.add(index)) };
    }
    thread.node_count = 0;
}

/// Makes up to `limit` threads that wait on `channel` runnable, those first that waited longest; returns how many.
pub fn wake(channel: Channel, limit: usize) -> usize {
    let _critical = critical::enter();
    let mut woken = 0;
    while woken < limit
        && let Some(thread) = waiters().first(channel)
    {
        // SAFETY: threads that have a node in a list are alive and blocked.
        unsafe { unlink(&mut *thread) };
        scheduler().timers.remove(thread);
        scheduler().make_ready(thread, true);
        woken += 1;
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
