//! What the member tells the platform: four events, each once, in order.

use super::settings::Settings;
use crate::json::Json;
use crate::lifecycle::State;
use alloc::vec::Vec;

/// One of the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The app runs.
    Started,
    /// Its ports accept connections.
    Activated,
    /// It finishes its work.
    MaintenanceMode,
    /// It is done.
    ReadyToShutdown,
}

impl Status {
    const ALL: [Status; 4] = [
        Status::Started,
        Status::Activated,
        Status::MaintenanceMode,
        Status::ReadyToShutdown,
    ];

    /// The event for a member that has entered `state`.
    pub fn of(state: State) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.state() == state)
    }

    /// The state that the platform's side gives the member by it.
    pub fn state(self) -> State {
        match self {
            Status::Started => State::Starting,
            Status::Activated => State::Active,
            Status::MaintenanceMode => State::InMaintenance,
            Status::ReadyToShutdown => State::ReadyToShutDown,
        }
    }

    /// Its topic.
    pub fn topic(self) -> &'static str {
        match self {
            Status::Started => "instance/status/InstanceStartedEvent",
            Status::Activated => "instance/status/InstanceActivatedEvent",
            Status::MaintenanceMode => "instance/status/InstanceMaintenanceModeEvent",
            Status::ReadyToShutdown => "instance/status/InstanceReadyToShutdownEvent",
        }
    }

    /// Its name, the last level of its topic.
    pub fn name(self) -> &'static str {
        self.topic().rsplit('/').next().unwrap_or_default()
    }

    /// Its document: the keys that upstream's agent sends, in its order, `null` for what is absent.
    pub fn document(self, settings: &Settings<'_>) -> Vec<u8> {
        let fields = [
            ("applicationId", settings.application),
            ("clusterId", Some(settings.cluster)),
            ("clusterInstanceId", settings.cluster_instance),
            ("instanceId", settings.instance),
            ("memberId", Some(settings.member)),
            ("networkPartitionId", settings.network_partition),
            ("partitionId", settings.partition),
            ("serviceName", settings.service),
        ];
        // Quotes and backslashes are escaped; there are no control characters in a parameter but the tab.
        let room = fields
            .iter()
            .map(|(name, value)| name.len() + 8 + value.map_or(0, str::len) * 6);
        let mut document = alloc::vec![0; 2 + room.sum::<usize>()];
        let mut json = Json::new(&mut document);
        let with_application = usize::from(self != Status::Started);
        for (name, value) in &fields[with_application..] {
            match value {
                Some(value) => json.member(name, value),
                None => {
                    json.raw(if json.length() == 0 { b"{" } else { b"," });
                    json.string(name);
                    json.raw(b":null");
                }
            }
        }
        json.raw(b"}");
        let length = json.length();
        document.truncate(length);
        document
    }
}

/// An event on its way to the broker (QoS 2).
#[derive(Clone, Copy, Debug)]
pub struct InFlight {
    /// Which.
    pub status: Status,
    /// Its packet identifier.
    pub packet: u16,
    /// The broker that it was sent to.
    pub broker: usize,
    /// The broker has it, and was or is to be told to deliver it.
    pub is_received: bool,
    /// The broker says that it is delivered, but may have forgotten it; the platform is asked.
    pub is_complete: bool,
    /// The platform's topologies since then do not show it.
    pub is_denied: bool,
    /// It was sent on the connection there is now.
    pub is_out: bool,
    /// It was taken up on a connection after the one it was first sent on.
    pub is_resumed: bool,
    /// The broker has forgotten the session: nobody knows but the platform whether it was delivered.
    pub is_doubtful: bool,
}

/// The events that wait, and the one on its way: there is one at a time, so they arrive in order.
#[derive(Default)]
pub struct Outbox {
    waiting: [Option<Status>; 4],
    /// On its way.
    pub in_flight: Option<InFlight>,
}

impl Outbox {
    /// One more. (There are never more than four: each state is entered once.)
    pub fn push(&mut self, status: Status) {
        if let Some(place) = self.waiting.iter_mut().find(|place| place.is_none()) {
            *place = Some(status);
        }
    }

    /// The next that waits.
    pub fn pop(&mut self) -> Option<Status> {
        let first = self.waiting[0].take();
        self.waiting.rotate_left(1);
        first
    }

    /// True if the broker has taken all.
    pub fn is_empty(&self) -> bool {
        self.in_flight.is_none() && self.waiting[0].is_none()
    }
}
