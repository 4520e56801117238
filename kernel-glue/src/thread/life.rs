//! A thread's beginning and end: stack, thread-local storage, record.

use super::scheduler::{State, Thread, schedule, scheduler};
use super::{Channel, Priority, wait, wake};
use crate::arch::{context, image};
use crate::critical::{self, DEPTH};
use crate::errno::{Errno, Result};
use crate::heap::{self, Box};
use crate::memory::stacks;
use core::ptr::null_mut;
use core::sync::atomic::{Ordering::Relaxed, Ordering::SeqCst, compiler_fence};

/// Less than this a stack is never, bytes: kernel calls run on it.
const SMALLEST_STACK: usize = 32 << 10;
/// Room for the thread control block behind the thread-local variables (its first word points to itself: x86-64 psABI,
/// "ELF Handling For Thread-Local Storage", variant II), bytes.
const CONTROL_BLOCK: usize = 64;

/// Starts a thread; its stack is lazily backed, `stack` bytes long, with a guard page below.
pub fn spawn(entry: extern "C" fn(usize), argument: usize, stack: usize, priority: Priority) -> Result<u32> {
    let _critical = critical::enter();
    if !scheduler().timers.reserve(scheduler().count + 1) {
        return Err(Errno::ENOMEM);
    }
    let locals = image::thread_locals();
    // Thread-local variables lie at the stack's top end: no allocation of their own, and out of reach of an overflow.
    let control = CONTROL_BLOCK.max(locals.align);
    let block = locals.offset + control;
    let bytes = stack.max(SMALLEST_STACK).checked_add(block).ok_or(Errno::ENOMEM)?;
    let stack = stacks::take(bytes).ok_or(Errno::ENOMEM)?;
    let fs_base = stack.top() - control as u64;
    let variables = stack.top() - block as u64;
    // SAFETY: the block is the top of a stack that belongs to the new thread alone; unbacked pages are backed by the fault.
    let stack_pointer = unsafe {
        let initial = locals.initial;
        core::ptr::copy_nonoverlapping(initial.as_ptr(), variables as *mut u8, initial.len());
        core::ptr::write_bytes((variables as *mut u8).add(initial.len()), 0, block - initial.len());
        (fs_base as *mut u64).write(fs_base);
        context::prepare(variables, entry as *const () as u64, argument as u64)
    };
    let id = free_id();
    let Some(record) = heap::try_box(Thread::new(id, priority, stack, fs_base, stack_pointer)) else {
        stacks::give(stack);
        return Err(Errno::ENOMEM);
    };
    let (thread, _) = Box::into_raw_with_allocator(record);
    enlist(thread);
    scheduler().make_ready(thread, true);
    Ok(id)
}

/// The next number that no living thread has (they wrap after four thousand million).
fn free_id() -> u32 {
    loop {
        let id = scheduler().next_id;
        scheduler().next_id = id.checked_add(1).unwrap_or(1);
        if find(id).is_null() {
            return id;
        }
    }
}

fn find(id: u32) -> *mut Thread {
    let mut at = scheduler().all;
    // SAFETY: listed threads are alive.
    unsafe {
        while !at.is_null() && (*at).id != id {
            at = (*at).next;
        }
    }
    at
}

fn enlist(thread: *mut Thread) {
    let scheduler = scheduler();
    // SAFETY: the new record and the listed ones are alive.
    unsafe {
        (*thread).next = scheduler.all;
        if !scheduler.all.is_null() {
            (*scheduler.all).previous = thread;
        }
    }
    scheduler.all = thread;
    scheduler.count += 1;
}

fn delist(thread: *mut Thread) {
    let scheduler = scheduler();
    // SAFETY: the record and its neighbours are alive.
    unsafe {
        let (previous, next) = ((*thread).previous, (*thread).next);
        if previous.is_null() {
            scheduler.all = next
        } else {
            (*previous).next = next
        }
        if !next.is_null() {
            (*next).previous = previous;
        }
    }
    scheduler.count -= 1;
}

/// A new thread's first function, entered by the switch to it.
pub extern "C" fn begin(entry: extern "C" fn(usize), argument: usize) -> ! {
    reap();
    // As Critical's drop does: what came up meanwhile is seen to before the program runs.
    compiler_fence(SeqCst);
    DEPTH.store(0, Relaxed);
    drop(critical::enter());
    entry(argument);
    exit()
}

/// Ends the calling thread.
pub fn exit() -> ! {
    core::mem::forget(critical::enter());
    let thread = scheduler().current;
    // SAFETY: the running thread's record is alive until `reap`.
    unsafe { (*thread).state = State::Dead };
    delist(thread);
    // SAFETY: as above.
    wake(ended(unsafe { (*thread).id }), usize::MAX);
    scheduler().dead = thread;
    schedule();
    unreachable!("a thread that has ended ran again")
}

/// Frees a thread that has ended; called by the next one that runs.
pub(super) fn reap() {
    let dead = core::mem::replace(&mut scheduler().dead, null_mut());
    if !dead.is_null() {
        // SAFETY: made by `spawn`, in no list any more, and its stack was left by the switch before this.
        let record = unsafe { Box::from_raw_in(dead, heap::KernelHeap) };
        stacks::give(record.stack);
    }
}

/// Woken when thread `id` ends. Non-canonical addresses, so that no other channel is the same.
fn ended(id: u32) -> Channel {
    Channel(1 << 63 | id as usize)
}

/// Waits until thread `id` has ended (at once when there is none).
pub fn join(id: u32) {
    let _critical = critical::enter();
    while !find(id).is_null() {
        wait(&[ended(id)], u64::MAX);
    }
}
