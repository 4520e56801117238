//! What the agent's threads and the app's share. A thread of the app can be stopped anywhere by a more urgent one, also while
//! it holds a lock, so what the agent needs all the time are atomics. It takes one lock that the app takes too, to wake those who
//! wait for [`Told`]: twice in its life, for a few instructions, and at worst as long as the app's other threads take turns. With a
//! control plane that has events there is the lock of their queue as well, as briefly, for each of them.

use crate::events::Listeners;
use crate::files::Files;
use crate::instance::Instance;
use cartridge_agent_core::lifecycle::State;
use cartridge_agent_core::machine::{Cause, StopRequest};
use cartridge_agent_core::parameters::Parameters;
use cartridge_agent_core::settings::Settings;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{Thread, ThreadId};
use std::time::{Duration, Instant};

/// More requests to stop than this are not kept; the first counts anyway.
const REQUEST_LIMIT: usize = 8;

/// What there is from the first moment on, before the payload is known.
pub struct Base {
    pub files: Files,
    pub started: Instant,
    requests: Mutex<Vec<StopRequest>>,
    /// Whoever waits for a request, before there is an agent's thread.
    asked: Condvar,
    agent: OnceLock<Thread>,
}

pub struct Shared {
    base: &'static Base,
    pub parameters: Parameters<'static>,
    pub settings: Settings<'static>,
    pub instance: Instance,
    /// The thread that called `start`: when it drops its handle, the process is about to end by itself.
    pub home: ThreadId,
    /// The state's number.
    state: AtomicU8,
    /// Handles and guards the app holds; it is done when both are 0.
    pub handles: AtomicUsize,
    pub holds: AtomicUsize,
    /// The app has dropped its last handle on the home thread.
    pub leaving: AtomicBool,
    /// Requests to the management endpoint that were answered.
    pub answered: AtomicU32,
    told: Mutex<Told>,
    changed: Condvar,
    pub listeners: Listeners,
}

/// What the app is told.
#[derive(Clone, Copy, Default)]
pub struct Told {
    /// A stop was asked for: the app's work is cut off at this time.
    pub deadline: Option<Instant>,
    /// The member is Terminated.
    pub terminated: bool,
}

impl Base {
    pub fn new(files: Files) -> Self {
        Self {
            files,
            started: Instant::now(),
            requests: Mutex::default(),
            asked: Condvar::new(),
            agent: OnceLock::new(),
        }
    }

    /// The time since the agent started, which is the time of the agent's core.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn set_agent(&self, thread: Thread) {
        let _ = self.agent.set(thread);
    }

    /// True if there is an agent thread to act on requests.
    pub fn has_agent(&self) -> bool {
        self.agent.get().is_some()
    }

    /// Has the agent look again.
    pub fn wake_agent(&self) {
        if let Some(agent) = self.agent.get() {
            agent.unpark();
        }
    }

    pub fn request_stop(&self, cause: Cause, status: i32, drain: Option<Duration>) {
        let mut requests = lock(&self.requests);
        if requests.len() < REQUEST_LIMIT {
            requests.push(StopRequest { cause, status, drain });
        }
        drop(requests);
        self.asked.notify_all();
        self.wake_agent();
    }

    /// What was asked for since the last call. Nothing while someone is asking: whoever asks wakes the agent afterwards.
    pub fn take_requests(&self) -> Vec<StopRequest> {
        let requests = self.requests.try_lock();
        requests.map_or_else(|_| Vec::new(), |mut requests| std::mem::take(&mut *requests))
    }

    /// Waits until `is_done`, of which [`Base::look_again`] tells, but no longer than until a stop is asked for, or `limit`.
    #[cfg(feature = "metadata")]
    pub fn wait_for_stop_or(&self, limit: Duration, is_done: &dyn Fn() -> bool) {
        let end = Instant::now() + limit;
        let mut requests = lock(&self.requests);
        while requests.is_empty() && !is_done() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            requests = self
                .asked
                .wait_timeout(requests, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Something that is waited for may be done.
    #[cfg(feature = "metadata")]
    pub fn look_again(&self) {
        // With the lock, whoever waits has either not looked yet or waits already.
        drop(lock(&self.requests));
        self.asked.notify_all();
    }
}

impl Deref for Shared {
    type Target = Base;

    fn deref(&self) -> &Base {
        self.base
    }
}

impl Shared {
    pub fn new(
        base: &'static Base,
        parameters: Parameters<'static>,
        settings: Settings<'static>,
        instance: Instance,
    ) -> Self {
        Self {
            base,
            parameters,
            settings,
            instance,
            home: std::thread::current().id(),
            state: AtomicU8::new(State::Created as u8),
            handles: AtomicUsize::new(0),
            holds: AtomicUsize::new(0),
            leaving: AtomicBool::new(false),
            answered: AtomicU32::new(0),
            told: Mutex::default(),
            changed: Condvar::new(),
            listeners: Listeners::default(),
        }
    }

    pub fn state(&self) -> State {
        State::from_number(self.state.load(Ordering::Acquire))
    }

    pub fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// True when the app has dropped every handle and guard.
    pub fn is_released(&self) -> bool {
        self.handles.load(Ordering::Acquire) == 0 && self.holds.load(Ordering::Acquire) == 0
    }

    /// Tells the app, waking whoever waits for it.
    pub fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut lock(&self.told));
        self.changed.notify_all();
    }

    pub fn told(&self) -> Told {
        *lock(&self.told)
    }

    /// Waits until the app was told what `enough` wants, or until `limit`; gives what it was told by then.
    pub fn wait_told(&self, limit: Option<Instant>, enough: &dyn Fn(&Told) -> bool) -> Told {
        let mut told = lock(&self.told);
        while !enough(&told) {
            told = match limit.map(|limit| limit.saturating_duration_since(Instant::now())) {
                None => self.changed.wait(told).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => break,
                Some(left) => {
                    self.changed
                        .wait_timeout(told, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
        *told
    }
}

/// Locks `mutex`. A thread that panicked with the lock cannot leave these small values half changed.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A member without payload, for tests.
#[cfg(test)]
pub fn nobody() -> &'static Shared {
    let parameters = Parameters::default();
    let settings = cartridge_agent_core::settings::read(&parameters, &mut |_| {});
    let base = Box::leak(Box::new(Base::new(Files::from_environment())));
    Box::leak(Box::new(Shared::new(base, parameters, settings, Instance::default())))
}
