use super::*;
use crate::shared::nobody;
use cartridge_agent_core::control::Command;
use cartridge_agent_core::lifecycle::State;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

/// Nothing here takes longer, however busy the machine is.
const DEADLINE: Duration = Duration::from_secs(20);

/// A control plane with so many tenants to tell of.
struct Tenants {
    next: usize,
    names: Vec<String>,
}

impl Tenants {
    fn new(count: usize) -> Self {
        Tenants {
            next: 0,
            names: (0..count).map(|number| number.to_string()).collect(),
        }
    }
}

impl ControlPlane for Tenants {
    fn name(&self) -> &'static str {
        "tenants"
    }
    fn entered(&mut self, _: State, _: Duration) {}
    fn command(&mut self, _: Duration) -> Option<Command> {
        None
    }
    fn event(&self) -> Option<control::Event<&str>> {
        let id = self.names.get(self.next)?;
        Some(control::Event::TenantSubscribed(control::Tenant { id, domain: None }))
    }
    fn event_taken(&mut self) {
        self.next += 1;
    }
}

fn stop(shared: &Shared) -> Instant {
    let deadline = Instant::now() + DEADLINE;
    shared.tell(|told| told.deadline = Some(deadline));
    shared.listeners.tell();
    deadline
}

fn tenant(number: usize) -> Event {
    Event::TenantSubscribed(Tenant {
        id: number.to_string(),
        domain: None,
    })
}

#[test]
fn events_wait_in_the_adapter_until_the_app_asks_and_as_long_as_there_is_no_room() {
    let (shared, mut plane) = (nobody(), Tenants::new(100));
    shared.listeners.pass_on(&mut plane);
    assert_eq!(plane.next, 0, "nobody has asked");
    let events = Events::new(shared);
    for _ in 0..3 {
        shared.listeners.pass_on(&mut plane);
    }
    assert_eq!(plane.next, WAITING);
    let mut taken = Vec::new();
    while let Some(event) = events.take() {
        taken.push(event);
        shared.listeners.pass_on(&mut plane);
    }
    assert_eq!(taken, (0..100).map(tenant).collect::<Vec<_>>());
    assert_eq!(events.wait_timeout(Duration::from_millis(1)), None);
}

#[test]
fn the_shutdown_is_the_last_event_and_ends_every_wait() {
    let (shared, mut plane) = (nobody(), Tenants::new(2));
    let events = Events::new(shared);
    shared.listeners.pass_on(&mut plane);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let events = events.clone();
            std::thread::spawn(move || events.into_iter().collect::<Vec<_>>())
        })
        .collect();
    let deadline = stop(shared);
    let mut taken: Vec<_> = waiting.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    taken.sort_by_key(|event| format!("{event:?}"));
    assert_eq!(taken, [Event::ShutdownRequested(deadline), tenant(0), tenant(1)]);
    shared.listeners.pass_on(&mut Tenants::new(1));
    assert_eq!(
        (events.take(), events.wait(), events.wait_timeout(DEADLINE)),
        (None, None, None)
    );
    // One who comes late, after the stop, is told of it.
    let late = nobody();
    let deadline = stop(late);
    assert_eq!(
        Events::new(late).into_iter().collect::<Vec<_>>(),
        [Event::ShutdownRequested(deadline)]
    );
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_task_is_woken_by_an_event_and_by_the_end() {
    let (shared, mut plane) = (nobody(), Tenants::new(1));
    let mut events = Events::new(shared);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut poll = || Pin::new(&mut events).poll_next(&mut context);
    let count = || woken.0.load(Ordering::Relaxed);
    assert!(poll().is_pending() && poll().is_pending());
    shared.listeners.pass_on(&mut plane);
    assert_eq!(count(), 1, "once, however often it asked");
    assert_eq!(poll(), Poll::Ready(Some(tenant(0))));
    assert!(poll().is_pending());
    let deadline = stop(shared);
    assert_eq!(count(), 2);
    assert_eq!(poll(), Poll::Ready(Some(Event::ShutdownRequested(deadline))));
    assert_eq!(poll(), Poll::Ready(None));
}

#[test]
fn tasks_that_wait_are_bounded_and_none_is_forgotten() {
    let (shared, mut plane) = (nobody(), Tenants::new(1));
    let mut events = Events::new(shared);
    let tasks: Vec<_> = (0..TASKS + 1).map(|_| Arc::new(Woken::default())).collect();
    for task in &tasks {
        let waker = Waker::from(Arc::clone(task));
        assert!(
            Pin::new(&mut events)
                .poll_next(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    let woken = || tasks.iter().map(|task| task.0.load(Ordering::Relaxed)).sum::<usize>();
    assert_eq!(woken(), 1, "the oldest asks again");
    shared.listeners.pass_on(&mut plane);
    assert_eq!(woken(), tasks.len());
}

/// A control plane with these events to tell of.
#[cfg(feature = "artifacts")]
struct Teller {
    next: usize,
    events: Vec<control::Event<&'static str>>,
}

#[cfg(feature = "artifacts")]
impl ControlPlane for Teller {
    fn name(&self) -> &'static str {
        "teller"
    }
    fn entered(&mut self, _: State, _: Duration) {}
    fn command(&mut self, _: Duration) -> Option<Command> {
        None
    }
    fn event(&self) -> Option<control::Event<&str>> {
        self.events.get(self.next).copied()
    }
    fn event_taken(&mut self) {
        self.next += 1;
    }
}

#[cfg(feature = "artifacts")]
#[test]
fn an_artifact_does_not_wait_for_an_app_that_takes_no_events() {
    let shared = nobody();
    artifacts::start(shared, false);
    let served = control::Event::TenantSubscribed(control::Tenant { id: "7", domain: None });
    let updated = control::Event::ArtifactUpdated(control::Artifact {
        url: "http://host/a.tar",
        user: None,
        password: None,
        tenant: None,
    });
    let mut plane = Teller {
        next: 0,
        events: [&[served; WAITING][..], &[updated, served]].concat(),
    };
    let events = Events::new(shared);
    for _ in 0..2 {
        shared.listeners.take_in(&mut plane);
        assert_eq!(plane.next, WAITING + 1);
    }
    let deadline = stop(shared);
    let taken: Vec<_> = std::iter::from_fn(|| events.take()).collect();
    assert_eq!(
        (taken.len(), taken.last()),
        (WAITING + 1, Some(&Event::ShutdownRequested(deadline)))
    );
    shared.listeners.take_in(&mut plane);
    assert_eq!(
        (plane.next, events.take()),
        (WAITING + 2, None),
        "nothing comes after the last event"
    );
}
