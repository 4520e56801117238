//! What the control plane has for the app: a bounded queue between the agent and whoever listens in the app.
//!
//! The queue comes into being with the first [`Events`]: until then events wait in the adapter, and an app that never asks
//! has nothing of this in its image.

#[cfg(feature = "artifacts")]
use crate::artifacts::{self, ArtifactVersion};
use crate::shared::{Shared, lock};
use cartridge_agent_core::control::{self, ControlPlane};
use futures_core::Stream;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// A member of the own cluster, or of one it depends on.
pub type Member = control::Member<String>;
/// A tenant of a multi-tenant cartridge.
pub type Tenant = control::Tenant<String>;
/// Where a version of the artifact is to be fetched.
pub type Artifact = control::Artifact<String>;

/// What the app is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A member of the own cluster, or of one it depends on, is as told here now.
    Member(Member),
    /// This tenant is served from now on.
    TenantSubscribed(Tenant),
    /// This tenant is served no more.
    TenantRemoved(Tenant),
    /// This tenant has signed off from the application: what is kept for it is to go.
    SignUpRemoved(Tenant),
    /// There is a new version of the artifact.
    ArtifactUpdated(Artifact),
    /// Launch parameters have changed.
    ConfigurationChanged,
    /// A new version of an artifact is in place and the current one (feature `artifacts`, in place of `ArtifactUpdated`: the agent
    /// fetches it).
    #[cfg(feature = "artifacts")]
    ArtifactReady(ArtifactVersion),
    /// A stop was asked for, by whomever: the app's work is cut off at this time. It is the last event.
    ShutdownRequested(Instant),
}

impl From<control::Event<&str>> for Event {
    fn from(event: control::Event<&str>) -> Self {
        match event.map(str::to_owned) {
            control::Event::Member(member) => Event::Member(member),
            control::Event::TenantSubscribed(tenant) => Event::TenantSubscribed(tenant),
            control::Event::TenantRemoved(tenant) => Event::TenantRemoved(tenant),
            control::Event::SignUpRemoved(tenant) => Event::SignUpRemoved(tenant),
            control::Event::ArtifactUpdated(artifact) => Event::ArtifactUpdated(artifact),
            // The core's enum may grow: what this crate does not know is of the kind "look again".
            _ => Event::ConfigurationChanged,
        }
    }
}

/// Events that wait for the app; further ones wait in the adapter.
const WAITING: usize = 64;

/// Tasks that wait at most; the oldest is woken, for nothing, when there are more.
const TASKS: usize = 64;

/// What the agent's thread hands events to: nothing, until the app asks for them.
#[derive(Default)]
pub struct Listeners(OnceLock<&'static Hall>);

/// Where events and those who wait for them meet. The functions are reached through it alone.
struct Hall {
    queue: Mutex<Queue>,
    arrived: Condvar,
    pass_on: fn(&Hall, &mut dyn ControlPlane),
    wake_all: fn(&Hall),
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    tasks: VecDeque<Waker>,
    /// Versions that the app was not told of, one for each tenant at most.
    #[cfg(feature = "artifacts")]
    ready: VecDeque<ArtifactVersion>,
    /// The app has asked for events.
    #[cfg(feature = "artifacts")]
    has_taker: bool,
    /// Someone has the last event.
    is_over: bool,
}

impl Listeners {
    /// Moves events from the control plane to the app as long as there is room; whoever takes one wakes the agent.
    pub fn pass_on(&self, plane: &mut impl ControlPlane) {
        if let Some(hall) = self.0.get() {
            (hall.pass_on)(hall, plane);
        }
    }

    /// Takes in what concerns the agent itself, artifacts and tenants, whether or not the app listens. What is for the app, too, waits
    /// for it; of an app that never listened only the newest.
    #[cfg(feature = "artifacts")]
    pub fn take_in(&self, plane: &mut impl ControlPlane) {
        while let Some(event) = plane.event()
            && !matches!(event, control::Event::Member(_))
        {
            let hall = self.open();
            // At once, and again as long as it waits, which changes nothing.
            if artifacts::intercept(&event, |tenant| plane.domain(tenant)) {
                plane.event_taken();
                continue;
            }
            if !hall.has_room() {
                return;
            }
            let event = Event::from(event);
            plane.event_taken();
            hall.put(event);
        }
    }

    /// A version of an artifact is in place.
    #[cfg(feature = "artifacts")]
    pub fn ready(&self, version: ArtifactVersion) {
        if let Some(hall) = self.0.get() {
            hall.ready(version);
        }
    }

    /// Has those who wait look for a shutdown.
    pub fn tell(&self) {
        if let Some(hall) = self.0.get() {
            (hall.wake_all)(hall);
        }
    }

    fn open(&self) -> &'static Hall {
        self.0.get_or_init(|| {
            Box::leak(Box::new(Hall {
                queue: Mutex::default(),
                arrived: Condvar::new(),
                pass_on: Hall::pass_on,
                wake_all: Hall::wake_all,
            }))
        })
    }
}

impl Hall {
    fn pass_on(&self, plane: &mut dyn ControlPlane) {
        let mut queue = lock(&self.queue);
        #[cfg(feature = "artifacts")]
        if !queue.has_taker {
            return;
        }
        let before = queue.events.len();
        while queue.events.len() < WAITING
            && let Some(event) = plane.event()
        {
            // After the last event nobody listens.
            if !queue.is_over {
                queue.events.push_back(event.into());
            }
            plane.event_taken();
        }
        if queue.events.len() > before {
            let tasks = std::mem::take(&mut queue.tasks);
            drop(queue);
            self.wake(tasks);
        }
    }

    /// True if there is room for an event, made if need be where the app has never listened.
    #[cfg(feature = "artifacts")]
    fn has_room(&self) -> bool {
        let mut queue = lock(&self.queue);
        if queue.events.len() >= WAITING && !queue.has_taker {
            queue.events.pop_front();
        }
        queue.events.len() < WAITING
    }

    #[cfg(feature = "artifacts")]
    fn put(&self, event: Event) {
        let mut queue = lock(&self.queue);
        // After the last event nobody listens.
        if !queue.is_over {
            queue.events.push_back(event);
        }
        drop(queue);
        self.wake_all();
    }

    #[cfg(feature = "artifacts")]
    fn ready(&self, version: ArtifactVersion) {
        let mut queue = lock(&self.queue);
        if !queue.has_taker {
            return;
        }
        let old = queue.ready.iter().position(|old| old.tenant() == version.tenant());
        let old = old.and_then(|old| queue.ready.remove(old));
        queue.ready.push_back(version);
        drop(queue);
        // Without the lock: its files may be removed now.
        drop(old);
        self.wake_all();
    }

    fn wake_all(&self) {
        let tasks = std::mem::take(&mut lock(&self.queue).tasks);
        self.wake(tasks);
    }

    /// Wakes everyone, without the lock: what a task does then is its own affair.
    fn wake(&self, tasks: VecDeque<Waker>) {
        self.arrived.notify_all();
        tasks.into_iter().for_each(Waker::wake);
    }
}

/// The events for the app, in order, each to one taker: of the control plane, and at the end
/// [`Event::ShutdownRequested`]. Those that came before there was a taker wait; of members only what they are now.
///
/// `for event in &events` waits for each; it is a [`Stream`] too. Both end after the last event.
#[derive(Clone)]
pub struct Events {
    shared: &'static Shared,
    hall: &'static Hall,
}

impl Events {
    pub(crate) fn new(shared: &'static Shared) -> Self {
        let hall = shared.listeners.open();
        #[cfg(feature = "artifacts")]
        if !std::mem::replace(&mut lock(&hall.queue).has_taker, true) {
            artifacts::all().into_iter().for_each(|version| hall.ready(version));
        }
        // Events may be waiting in the adapter.
        shared.wake_agent();
        Events { shared, hall }
    }

    /// The next event; `None` after the last one.
    pub fn wait(&self) -> Option<Event> {
        self.wait_until(None)
    }

    /// The next event, waited for until `limit` has passed; `None` if there was none by then.
    pub fn wait_timeout(&self, limit: Duration) -> Option<Event> {
        // A time that cannot be told does not pass.
        self.wait_until(Instant::now().checked_add(limit))
    }

    /// The next event if there is one now.
    pub fn take(&self) -> Option<Event> {
        let event = self.pop(&mut lock(&self.hall.queue));
        self.made_room(event)
    }

    fn wait_until(&self, limit: Option<Instant>) -> Option<Event> {
        let arrived = &self.hall.arrived;
        let mut queue = lock(&self.hall.queue);
        let event = loop {
            let event = self.pop(&mut queue);
            if event.is_some() || queue.is_over {
                break event;
            }
            queue = match limit.map(|limit| limit.saturating_duration_since(Instant::now())) {
                None => arrived.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => break None,
                Some(left) => {
                    let waited = arrived.wait_timeout(queue, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        };
        drop(queue);
        self.made_room(event)
    }

    fn pop(&self, queue: &mut Queue) -> Option<Event> {
        let event = queue.events.pop_front();
        #[cfg(feature = "artifacts")]
        let event = event.or_else(|| queue.ready.pop_front().map(Event::ArtifactReady));
        if event.is_some() || queue.is_over {
            return event;
        }
        let deadline = self.shared.told().deadline?;
        queue.is_over = true;
        // Whoever else waits is done, too.
        self.hall.arrived.notify_all();
        Some(Event::ShutdownRequested(deadline))
    }

    fn made_room(&self, event: Option<Event>) -> Option<Event> {
        if event.is_some() {
            self.shared.wake_agent();
        }
        event
    }
}

/// Waits for one event after another, until the last. (Not `Events` itself: an iterator's `take` is another.)
pub struct EventsIter(Events);

impl Iterator for EventsIter {
    type Item = Event;

    /// Waits for the next event.
    fn next(&mut self) -> Option<Event> {
        self.0.wait()
    }
}

impl IntoIterator for Events {
    type Item = Event;
    type IntoIter = EventsIter;

    fn into_iter(self) -> EventsIter {
        EventsIter(self)
    }
}

impl IntoIterator for &Events {
    type Item = Event;
    type IntoIter = EventsIter;

    fn into_iter(self) -> EventsIter {
        EventsIter(self.clone())
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut queue = lock(&self.hall.queue);
        let event = self.pop(&mut queue);
        if event.is_some() || queue.is_over {
            let tasks = if queue.is_over {
                std::mem::take(&mut queue.tasks)
            } else {
                VecDeque::new()
            };
            drop(queue);
            tasks.into_iter().for_each(Waker::wake);
            return Poll::Ready(self.made_room(event));
        }
        // Under the lock: what arrives from now on wakes it.
        let mut oldest = None;
        if !queue.tasks.iter().any(|task| task.will_wake(context.waker())) {
            oldest = (queue.tasks.len() == TASKS).then(|| queue.tasks.pop_front()).flatten();
            queue.tasks.push_back(context.waker().clone());
        }
        drop(queue);
        if let Some(oldest) = oldest {
            oldest.wake();
        }
        Poll::Pending
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
