//! What the control plane has for the app: a bounded queue between the agent and whoever listens in the app.

use crate::shared::{Shared, lock};
use cartridge_agent_core::control::{self, ControlPlane};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// An event with texts of its own.
pub type Event = control::Event<String>;

/// Events that wait for the app; further ones wait in the adapter.
const WAITING: usize = 64;

static QUEUE: Mutex<VecDeque<Event>> = Mutex::new(VecDeque::new());
static ARRIVED: Condvar = Condvar::new();

/// Moves events from the control plane to the app as long as there is room; whoever takes one wakes the agent.
pub fn pass_on(plane: &mut impl ControlPlane) {
    // Known when a control plane without events is compiled: nothing is left of this then.
    if plane.event().is_none() {
        return;
    }
    #[cfg(feature = "artifacts")]
    while let Some(event) = plane.event()
        && crate::artifacts::intercept(&event)
    {
        plane.event_taken();
    }
    let mut queue = lock(&QUEUE);
    while queue.len() < WAITING
        && let Some(event) = plane.event()
    {
        queue.push_back(event.map(str::to_owned));
        plane.event_taken();
    }
    ARRIVED.notify_all();
}

/// The events of the control plane for the app, in order, each to one taker. Those that came before there was a taker wait.
#[derive(Clone, Copy)]
pub struct Events {
    shared: &'static Shared,
}

impl Events {
    pub(crate) fn new(shared: &'static Shared) -> Self {
        Events { shared }
    }

    /// The next event, waited for until `limit` has passed; `None` if there was none by then.
    pub fn wait_timeout(&self, limit: Duration) -> Option<Event> {
        let queue = ARRIVED.wait_timeout_while(lock(&QUEUE), limit, |queue| queue.is_empty());
        let event = queue.unwrap_or_else(PoisonError::into_inner).0.pop_front();
        if event.is_some() {
            // There is room again.
            self.shared.wake_agent();
        }
        event
    }

    /// The next event if there is one now.
    pub fn take(&self) -> Option<Event> {
        self.wait_timeout(Duration::ZERO)
    }
}
