//! Who runs: two first-in-first-out queues (High before Normal), time slices, polling, idling.

use super::channels::Node;
use super::load::Load;
use super::queue::{Linked, Queue};
use super::timers::{NOWHERE, Sleeper, Timers};
use super::{Priority, Statistics};
use crate::arch::{apic, context, cpu, interrupts};
use crate::clock;
use crate::critical::{self, ATTENTION, DEPTH, Guarded, INTERRUPTED, OUTRANKED};
use crate::memory::{reserve, stacks::Stack};
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{Ordering::Relaxed, Ordering::SeqCst, compiler_fence};

/// What moves packets (or any other polled work) when threads do not: called by the scheduler, never re-entered.
pub trait Poller {
    /// Does a bounded amount of work: called when idle, at preemption and every few switches.
    fn poll(&self);
    /// Monotonic nanoseconds at which `poll` next has something to do; `u64::MAX` for never.
    fn deadline(&self) -> u64;
    /// Asks the device for an interrupt; false when work is already there (then do not sleep).
    fn arm(&self) -> bool;
}

/// How long a thread runs before others of its priority have their turn, nanoseconds.
const SLICE: u64 = 5_000_000;
/// How long the program runs at least between two polls while frames never end, nanoseconds.
const SHARE_UNDER_FLOOD: u64 = 200_000;
/// While threads keep handing the CPU to each other, devices are polled at every so many switches.
const SWITCHES_BETWEEN_POLLS: u32 = 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Ready,
    Blocked,
    Dead,
}

/// A thread. Lives in the kernel heap from spawn to the switch after its exit.
pub(super) struct Thread {
    pub stack_pointer: u64,
    pub fs_base: u64,
    pub id: u32,
    pub errno: i32,
    /// See [`set_denied`].
    pub denied: usize,
    pub priority: Priority,
    pub state: State,
    pub timed_out: bool,
    pub deadline: u64,
    pub timer_place: usize,
    /// The wait nodes of a blocked thread, on its own stack.
    pub nodes: *mut Node<*mut Thread>,
    pub node_count: usize,
    pub next_ready: Option<NonNull<Thread>>,
    pub next: *mut Thread,
    pub previous: *mut Thread,
    pub stack: Stack,
}

impl Sleeper for *mut Thread {
    fn deadline(self) -> u64 {
        // SAFETY: only living threads are in the heap, and only the critical section touches it.
        unsafe { (*self).deadline }
    }
    fn place(self) -> usize {
        // SAFETY: as above.
        unsafe { (*self).timer_place }
    }
    fn set_place(self, place: usize) {
        // SAFETY: as above.
        unsafe { (*self).timer_place = place }
    }
}

impl Linked for NonNull<Thread> {
    fn next(self) -> Option<Self> {
        // SAFETY: queued threads are alive, and only the critical section touches the queues.
        unsafe { (*self.as_ptr()).next_ready }
    }
    fn set_next(self, next: Option<Self>) {
        // SAFETY: as above.
        unsafe { (*self.as_ptr()).next_ready = next }
    }
}

pub(super) struct Scheduler {
    high: Queue<NonNull<Thread>>,
    normal: Queue<NonNull<Thread>>,
    /// How many are in the two queues.
    ready: u32,
    load: Load,
    pub current: *mut Thread,
    /// Every thread, newest first.
    pub all: *mut Thread,
    pub count: usize,
    pub next_id: u32,
    /// A thread that has exited and whose stack is no longer in use, to be freed by the next one to run.
    pub dead: *mut Thread,
    pub timers: Timers<*mut Thread>,
    poller: Option<&'static dyn Poller>,
    switches: u32,
    slice_end: u64,
    /// From when on `idle` may put off a timer that would wake the machine for nothing.
    may_rest: u64,
    idle: u64,
}

pub(super) static SCHEDULER: Guarded<Scheduler> = Guarded::new(Scheduler {
    high: Queue::new(),
    normal: Queue::new(),
    ready: 0,
    load: Load::new(),
    current: null_mut(),
    all: null_mut(),
    count: 0,
    next_id: 1,
    dead: null_mut(),
    timers: Timers::new(),
    poller: None,
    switches: 0,
    slice_end: 0,
    may_rest: 0,
    idle: 0,
});

/// The scheduler's state. Every function of this folder that is called from outside enters the critical section first.
#[allow(clippy::mut_from_ref)] // as Guarded::get
#[inline(always)]
pub(super) fn scheduler() -> &'static mut Scheduler {
    // SAFETY: inside the critical section; references are not kept across a poll, a switch or a call that takes another.
    unsafe { SCHEDULER.get() }
}

pub fn set_poller(poller: &'static dyn Poller) {
    let _critical = critical::enter();
    scheduler().poller = Some(poller);
}

pub fn statistics() -> Statistics {
    let _critical = critical::enter();
    let now = clock::now();
    scheduler().count_load(now, true);
    Statistics {
        threads: scheduler().count,
        idle_ns: scheduler().idle,
        busy_ns: now.saturating_sub(scheduler().idle),
        load_hundredths: scheduler().load.hundredths(),
    }
}

fn current() -> Option<&'static mut Thread> {
    // SAFETY: the running thread's record lives until the switch after its exit.
    unsafe { scheduler().current.as_mut() }
}

/// The running thread's number, from 1; 0 at boot.
pub fn current_id() -> u32 {
    current().map_or(0, |thread| thread.id)
}

pub fn errno() -> i32 {
    current().map_or(0, |thread| thread.errno)
}

pub fn set_errno(errno: i32) {
    if let Some(thread) = current() {
        thread.errno = errno;
    }
}

/// The calling thread's priority.
pub fn priority() -> Priority {
    current().map_or(Priority::Normal, |thread| thread.priority)
}

/// Changes the calling thread's priority.
pub fn set_priority(priority: Priority) {
    let _critical = critical::enter();
    if let Some(thread) = current() {
        thread.priority = priority;
        // Lowered, it may be outranked now.
        ATTENTION.fetch_or(OUTRANKED, Relaxed);
    }
}

/// Notes what the calling thread's last allocation asked for in vain, bytes; 0 when it was given.
#[inline(always)]
pub fn set_denied(bytes: usize) {
    if let Some(thread) = current() {
        thread.denied = bytes;
    }
}

/// Bytes the calling thread's last allocation asked for in vain, 0 if it did not.
pub fn denied() -> usize {
    current().map_or(0, |thread| thread.denied)
}

impl Scheduler {
    fn queue(&mut self, priority: Priority) -> &mut Queue<NonNull<Thread>> {
        if priority == Priority::High {
            &mut self.high
        } else {
            &mut self.normal
        }
    }

    /// Puts a thread behind the others of its priority, or, if its turn is not over yet, before them.
    pub fn make_ready(&mut self, thread: *mut Thread, turn_over: bool) {
        // SAFETY: the thread is alive (and so not null), as is the current one (if any), and only the critical section touches them.
        unsafe {
            (*thread).state = State::Ready;
            let priority = (*thread).priority;
            self.ready += 1;
            let (queue, entry) = (self.queue(priority), NonNull::new_unchecked(thread));
            if turn_over {
                queue.push(entry)
            } else {
                queue.push_front(entry)
            }
            if self.current.as_ref().is_some_and(|current| priority > current.priority) {
                ATTENTION.fetch_or(OUTRANKED, Relaxed);
            }
        }
    }

    fn next(&mut self) -> Option<*mut Thread> {
        let thread = self.high.pop().or_else(|| self.normal.pop())?;
        self.ready -= 1;
        Some(thread.as_ptr())
    }

    /// Until now, those in the queues were ready and, if one `runs`, it was too. Whatever else was done was done for one at least.
    fn count_load(&mut self, now: u64, runs: bool) {
        let threads = self.ready + u32::from(runs);
        self.load.count(now, threads.max(1).into());
    }

    fn none_ready(&self) -> bool {
        self.high.is_empty() && self.normal.is_empty()
    }

    /// A thread that is more urgent than the running one is ready.
    fn outranked(&self) -> bool {
        !self.high.is_empty() && current().is_some_and(|thread| thread.priority == Priority::Normal)
    }
}

/// Polls the devices and wakes the threads whose deadline has come; answers what time it is. The current thread `runs`, unless
/// it has blocked or is queued.
fn poll(runs: bool) -> u64 {
    ATTENTION.store(0, Relaxed);
    scheduler().switches = 0;
    reserve::refill();
    if let Some(poller) = scheduler().poller {
        poller.poll();
    }
    crate::power::announce_stop();
    let now = clock::now();
    scheduler().count_load(now, runs);
    while let Some(thread) = scheduler().timers.expired(now) {
        // SAFETY: only living, blocked threads have a deadline.
        unsafe {
            (*thread).timed_out = true;
            super::waiting::unlink(&mut *thread);
        }
        scheduler().make_ready(thread, true);
    }
    now
}

/// Halts until an interrupt or the next deadline, unless there is work already.
fn idle() {
    let mut deadline = scheduler().timers.first();
    if let Some(poller) = scheduler().poller {
        if !poller.arm() {
            return;
        }
        deadline = deadline.min(poller.deadline());
    }
    let before = clock::now();
    if deadline > before {
        // The end of a turn, armed for a thread that waits by now, need not wake the machine. Once in a while is enough to
        // keep an idle machine asleep: arming costs an exit to the hypervisor, and a busy one is idle ever so often.
        if before >= scheduler().may_rest {
            scheduler().may_rest = before + SLICE;
            apic::forget();
        }
        interrupts::sleep(|| apic::arm_by(deadline));
        let after = clock::now();
        scheduler().idle += after - before;
        scheduler().load.count(after, 0);
        clock::refine();
    }
}

/// Gives the CPU to the next ready thread, and returns when the calling one has it again. The caller has queued the current
/// thread, or blocked it, or it is dead.
pub(super) fn schedule() {
    scheduler().switches += 1;
    if scheduler().switches >= SWITCHES_BETWEEN_POLLS || scheduler().none_ready() {
        let now = poll(false);
        begin_slice(now);
    } else {
        // The caller's own deadline may be nearer than what the timer is armed for.
        apic::arm_by(scheduler().timers.first());
    }
    let next = loop {
        match scheduler().next() {
            Some(thread) => break thread,
            None => idle(),
        }
        let now = poll(false);
        if !scheduler().none_ready() {
            begin_slice(now);
        }
    };
    let previous = core::mem::replace(&mut scheduler().current, next);
    if next == previous {
        return;
    }
    let depth = DEPTH.load(Relaxed);
    // SAFETY: both records are alive (a dead one until `reap` below runs); `next` is suspended in this function or new, and its
    // thread-local block belongs to it.
    unsafe {
        cpu::write_msr(cpu::IA32_FS_BASE, (*next).fs_base);
        context::context_switch(&mut (*previous).stack_pointer, (*next).stack_pointer);
    }
    DEPTH.store(depth, Relaxed);
    super::life::reap();
}

/// Begins the running thread's turn.
fn begin_slice(now: u64) {
    scheduler().slice_end = now + SLICE;
    arm();
}

/// Sees to it that the running thread is interrupted when its turn is over or another's sleep is.
fn arm() {
    apic::arm_by(scheduler().slice_end.min(scheduler().timers.first()));
}

/// Lets the other threads of the caller's priority (and above) run first.
pub fn yield_now() {
    let _critical = critical::enter();
    give_way(true);
}

/// Lets others run: those that are more urgent and, with `turn_over`, those of the same priority.
fn give_way(turn_over: bool) {
    let current = scheduler().current;
    if current.is_null() || scheduler().none_ready() {
        return;
    }
    scheduler().make_ready(current, turn_over);
    schedule();
}

/// Called by the interrupt trampoline inside the critical section: an interrupt came while the program ran.
pub extern "C" fn preempted() {
    attend(true);
}

/// Sees to what an interrupt may have been about. With `fair`, threads of the running one's priority have their turn when its
/// own is over.
fn attend(fair: bool) {
    let now = poll(true);
    clock::refine();
    let outranked = scheduler().outranked();
    let turn_over = fair && (outranked || now >= scheduler().slice_end);
    if turn_over {
        begin_slice(now);
    } else {
        arm();
    }
    if turn_over || outranked {
        give_way(turn_over);
    }
    // A program that computes does not poll: packets have to interrupt it. Where more are there already, or the poller's time
    // has come, they wait for its share, or a flood would keep the program from running at all.
    if let Some(poller) = scheduler().poller {
        let soon = clock::now() + SHARE_UNDER_FLOOD; // others may have run meanwhile
        apic::arm_by(if poller.arm() {
            poller.deadline().max(soon)
        } else {
            soon
        });
    }
}

/// Does what ATTENTION asks for: called in the middle of long work inside the kernel, where nothing of it is borrowed. Without
/// `fair` only more urgent threads run.
pub fn breathe(fair: bool) {
    let attention = ATTENTION.load(Relaxed);
    if attention & INTERRUPTED != 0 {
        attend(fair);
    } else if attention != 0 {
        // This bit alone and in one instruction: an interrupt may leave its mark at any moment.
        ATTENTION.fetch_and(!OUTRANKED, Relaxed);
        if scheduler().outranked() {
            give_way(fair);
        }
    }
}

/// Called when the kernel is left with something in ATTENTION. Enters it again, deals with it, and leaves it.
#[cold]
pub fn leave_kernel() {
    while DEPTH.load(Relaxed) == 0 && ATTENTION.load(Relaxed) != 0 {
        DEPTH.store(1, Relaxed);
        // The fences keep what the kernel does between the two stores.
        compiler_fence(SeqCst);
        breathe(true);
        compiler_fence(SeqCst);
        DEPTH.store(0, Relaxed);
    }
}

/// Runs the first thread; the boot stack is not used again.
pub fn start() -> ! {
    let first = scheduler().next().expect("no thread to start");
    scheduler().current = first;
    let now = clock::now();
    begin_slice(now);
    let mut boot_stack_pointer = 0;
    // SAFETY: `first` is new and prepared; nothing comes back to the boot stack.
    unsafe {
        cpu::write_msr(cpu::IA32_FS_BASE, (*first).fs_base);
        context::context_switch(&mut boot_stack_pointer, (*first).stack_pointer);
    }
    cpu::halt()
}

impl Thread {
    pub fn new(id: u32, priority: Priority, stack: Stack, fs_base: u64, stack_pointer: u64) -> Self {
        Thread {
            stack_pointer,
            fs_base,
            id,
            errno: 0,
            denied: 0,
            priority,
            state: State::Blocked,
            timed_out: false,
            deadline: u64::MAX,
            timer_place: NOWHERE,
            nodes: null_mut(),
            node_count: 0,
            next_ready: None,
            next: null_mut(),
            previous: null_mut(),
            stack,
        }
    }
}
