//! What the stack needs of the rest of the kernel. Host tests and fuzzers put a simulated clock and scheduler in its place.

pub use kernel::*;

#[cfg(target_os = "hermit")]
mod kernel {
    use crate::thread_types::{Channel, Wake};

    /// Monotonic nanoseconds.
    pub fn now() -> u64 {
        crate::clock::now()
    }

    pub fn wait(channels: &[Channel], deadline: u64) -> Wake {
        crate::thread::wait(channels, deadline)
    }

    pub fn wake(channel: Channel) {
        crate::thread::wake(channel, usize::MAX);
    }

    /// Unpredictable to peers: ports, transaction ids, initial sequence numbers.
    pub fn random() -> u64 {
        crate::entropy::weak()
    }

    /// Bytes that connections may come from: free RAM, and what the kernel's heap has already and does not use.
    pub fn free_memory() -> u64 {
        let memory = crate::memory::statistics();
        memory.free + memory.kernel_heap_unused
    }

    pub fn warn(message: core::fmt::Arguments) {
        crate::console::log_line(crate::console::Level::Warn, message);
    }

    pub fn info(message: core::fmt::Arguments) {
        crate::console::log_line(crate::console::Level::Info, message);
    }
}

#[cfg(all(not(target_os = "hermit"), any(test, feature = "fuzz")))]
mod kernel {
    use crate::thread_types::{Channel, Wake};
    use std::boxed::Box;
    use std::cell::{Cell, RefCell};
    use std::vec::Vec;

    std::thread_local! {
        static NOW: Cell<u64> = const { Cell::new(1_000_000_000) };
        static FREE: Cell<u64> = const { Cell::new(16 << 20) };
        static IDLE: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
        static WOKEN: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    }

    /// Sets what runs while the test's thread waits: the rest of the simulated world.
    pub fn while_waiting(run: impl FnMut() + 'static) {
        IDLE.with(|idle| *idle.borrow_mut() = Some(Box::new(run)));
    }

    pub fn advance(nanoseconds: u64) {
        NOW.with(|now| now.set(now.get() + nanoseconds));
    }

    pub fn now() -> u64 {
        NOW.with(Cell::get)
    }

    /// Simulated time goes on in steps of 1 ms until one of the channels is woken or the deadline has come: a wake-up that is
    /// missing is missed, as on the real scheduler.
    pub fn wait(channels: &[Channel], deadline: u64) -> Wake {
        WOKEN.with(|woken| woken.borrow_mut().clear());
        let patience = now() + 24 * 3600 * 1_000_000_000;
        while now() < deadline {
            assert!(now() < patience, "nobody wakes the thread");
            advance(1_000_000);
            IDLE.with(|idle| {
                if let Some(run) = idle.borrow_mut().as_mut() {
                    run()
                }
            });
            if WOKEN.with(|woken| channels.iter().any(|channel| woken.borrow().contains(&channel.0))) {
                return Wake::Woken;
            }
        }
        Wake::TimedOut
    }

    pub fn wake(channel: Channel) {
        WOKEN.with(|woken| woken.borrow_mut().push(channel.0));
    }

    pub fn random() -> u64 {
        0x9e37_79b9_7f4a_7c15
    }

    pub fn free_memory() -> u64 {
        FREE.with(Cell::get)
    }

    pub fn set_free_memory(bytes: u64) {
        FREE.with(|free| free.set(bytes));
    }

    pub fn warn(message: core::fmt::Arguments) {
        say("warn", message);
    }

    pub fn info(message: core::fmt::Arguments) {
        say("info", message);
    }

    fn say(level: &str, message: core::fmt::Arguments) {
        if cfg!(test) {
            std::eprintln!("{level}: {message}");
        } else {
            // A fuzzer has no use for it, but its making is under test.
            std::hint::black_box(std::format!("{level}: {message}"));
        }
    }

    /// Begins another simulated world.
    #[cfg(feature = "fuzz")]
    pub fn reset() {
        NOW.set(1_000_000_000);
        WOKEN.with(|woken| woken.borrow_mut().clear());
    }
}
