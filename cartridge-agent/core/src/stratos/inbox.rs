//! What the platform publishes: topic and document in, and out what it means to this member.

use super::collect::{Collector, Shape, seen};
use super::fields::Key;
use super::json_stream::{Fault, Tokenizer};
use super::members::Members;
use super::queue::{Queue, What};
use super::settings::Settings;
use crate::control::Event;
use crate::lifecycle::State;

/// The events looked at, by the last level of their topic: the platform's own agent tells them apart by that, too.
const TOPICS: [(&str, Kind); 16] = [
    ("CompleteTopologyEvent", Kind::Topology),
    ("MemberCreatedEvent", Kind::Member(State::Created)),
    ("MemberInitializedEvent", Kind::Member(State::Initialized)),
    ("MemberStartedEvent", Kind::Member(State::Starting)),
    ("MemberActivatedEvent", Kind::Member(State::Active)),
    ("MemberMaintenanceModeEvent", Kind::Member(State::InMaintenance)),
    ("MemberSuspendedEvent", Kind::Member(State::InMaintenance)),
    ("MemberReadyToShutdownEvent", Kind::Member(State::ReadyToShutDown)),
    ("MemberTerminatedEvent", Kind::Member(State::Terminated)),
    ("InstanceCleanupMemberEvent", Kind::CleanupMember),
    ("InstanceCleanupClusterEvent", Kind::CleanupCluster),
    ("ArtifactUpdatedEvent", Kind::Artifact),
    ("CompleteTenantEvent", Kind::Tenants),
    ("TenantSubscribedEvent", Kind::Tenant(What::TenantSubscribed)),
    ("TenantUnSubscribedEvent", Kind::Tenant(What::TenantRemoved)),
    ("ApplicationSignUpRemovedEvent", Kind::SignUpRemoved),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Topology,
    /// A member has entered this state.
    Member(State),
    CleanupMember,
    CleanupCluster,
    Artifact,
    Tenants,
    Tenant(What),
    SignUpRemoved,
}

/// What a message means.
#[derive(Default)]
pub struct Heard {
    /// A whole topology came, as it is now.
    pub is_topology: bool,
    /// The platform's side is there: it has just said something of a member.
    pub is_platform: bool,
    /// The member is to stop.
    pub is_stop: bool,
    /// The state in which the platform knows this member, from Initialized on.
    pub known_as: Option<State>,
    /// The event that was left out, and why.
    pub fault: Option<(&'static str, Fault)>,
    /// The event that was left out because it was retained by the broker: it is of the past.
    pub stale: Option<&'static str>,
    /// Events for the app had to go because it takes none.
    pub has_dropped: bool,
    /// So many members had no room.
    pub left_out: Option<u32>,
}

/// Reads messages, one after another.
pub struct Inbox<'a> {
    settings: Settings<'a>,
    tokenizer: Tokenizer,
    collector: Collector,
    queue: Queue,
    /// The event being read, if it is looked at.
    reading: Option<(&'static str, Kind)>,
    is_retained: bool,
    fault: Option<Fault>,
    /// The state of this member in the last topology; `None` if it is not in it.
    pub own_state: Option<State>,
}

impl<'a> Inbox<'a> {
    /// For the member of these settings.
    pub fn new(settings: Settings<'a>) -> Self {
        let clusters = core::iter::once(settings.cluster).chain(settings.dependencies());
        Inbox {
            settings,
            tokenizer: Tokenizer::default(),
            collector: Collector::new(settings.member, Members::of(clusters)),
            queue: Queue::default(),
            reading: None,
            is_retained: false,
            fault: None,
            own_state: None,
        }
    }

    /// A message begins.
    pub fn begin(&mut self, topic: &str, is_retained: bool) {
        let last = topic.rsplit('/').next().unwrap_or_default();
        self.reading = TOPICS.into_iter().find(|(name, _)| *name == last);
        (self.is_retained, self.fault) = (is_retained, None);
        self.tokenizer.reset();
        self.collector.begin(match self.reading {
            Some((_, Kind::Topology)) => Shape::Topology,
            Some((_, Kind::Tenants)) => Shape::Tenants,
            _ => Shape::Event,
        });
    }

    /// The next piece of its document.
    pub fn payload(&mut self, bytes: &[u8]) {
        if self.reading.is_some() && self.fault.is_none() {
            self.fault = self.tokenizer.feed(bytes, &mut self.collector).err();
        }
    }

    /// The message is complete.
    pub fn end(&mut self) -> Heard {
        let mut heard = Heard::default();
        let Some((name, kind)) = self.reading.take() else {
            return heard;
        };
        let fault = self.fault.or(self.tokenizer.finish().err());
        let hollow = || (!self.has_subject(kind)).then_some(Fault::Hollow);
        if let Some(fault) = fault.or_else(hollow) {
            self.collector.members.abort();
            heard.fault = Some((name, fault));
            return heard;
        }
        // Lists that are retained are as old as the platform lets them be; a retained command was meant for the past.
        if self.is_retained && !matches!(kind, Kind::Topology | Kind::Tenants) {
            heard.stale = Some(name);
            return heard;
        }
        self.understand(kind, &mut heard);
        heard.left_out = self.collector.members.left_out();
        heard
    }

    /// The connection ended, maybe within a message.
    pub fn interrupt(&mut self) {
        self.reading = None;
        self.collector.members.abort();
    }

    /// True if the document has what an event of this kind must have.
    fn has_subject(&self, kind: Kind) -> bool {
        let has = |key| self.collector.fields.get(key).is_some();
        match kind {
            Kind::Topology => self.collector.has_services,
            Kind::Tenants => true,
            Kind::Member(_) => has(Key::Member) && has(Key::Cluster),
            Kind::CleanupMember => has(Key::Member),
            Kind::CleanupCluster | Kind::Artifact => has(Key::Cluster),
            Kind::Tenant(_) | Kind::SignUpRemoved => has(Key::Tenant),
        }
    }

    fn understand(&mut self, kind: Kind, heard: &mut Heard) {
        // Only what no broker keeps (QoS 0, not retained) has just been said.
        heard.is_platform = !self.is_retained && matches!(kind, Kind::Topology | Kind::Member(_));
        let Collector {
            fields,
            members,
            tenants,
            own_state,
            ..
        } = &mut self.collector;
        let is = |key, own: &str| fields.get(key) == Some(own);
        let is_ours = |key, own: Option<&str>| own.is_none() || fields.get(key) == own;
        match kind {
            Kind::Topology => {
                members.commit();
                self.own_state = *own_state;
                heard.is_topology = !self.is_retained;
                heard.known_as = self.own_state.filter(|state| *state >= State::Initialized);
            }
            Kind::Member(state) => {
                let (member, cluster) = (fields.get(Key::Member), fields.get(Key::Cluster));
                if let (Some(member), Some(cluster)) = (member, cluster) {
                    members.update(&seen(fields, cluster, fields.get(Key::Service), member, state));
                }
                if member == Some(self.settings.member) && (State::Initialized..=State::Active).contains(&state) {
                    heard.known_as = Some(state);
                }
            }
            Kind::CleanupMember if is(Key::Member, self.settings.member) => heard.is_stop = true,
            Kind::CleanupCluster
                if is(Key::Cluster, self.settings.cluster)
                    && is_ours(Key::ClusterInstance, self.settings.cluster_instance) =>
            {
                heard.is_stop = true;
            }
            Kind::Artifact if is(Key::Cluster, self.settings.cluster) => {
                let texts = [Key::Url, Key::User, Key::Password, Key::Tenant].map(|key| fields.get(key));
                heard.has_dropped = texts[0].is_some() && !self.queue.push(What::ArtifactUpdated, texts);
            }
            Kind::Tenant(what) if is_ours(Key::Service, self.settings.service) => {
                heard.has_dropped = push_tenant(&mut self.queue, what, fields.get(Key::Tenant), tenants);
            }
            Kind::SignUpRemoved if is_ours(Key::Application, self.settings.application) => {
                heard.has_dropped = push_tenant(&mut self.queue, What::SignUpRemoved, fields.get(Key::Tenant), tenants);
            }
            _ => {}
        }
    }

    /// The next event for the app.
    pub fn event(&self) -> Option<Event<&str>> {
        self.queue
            .first()
            .or_else(|| self.collector.members.changed().map(Event::Member))
    }

    /// The domain of this tenant.
    pub fn domain(&self, tenant: &str) -> Option<&str> {
        self.collector.tenants.domain(tenant)
    }

    /// The app has it.
    pub fn event_taken(&mut self) {
        if !self.queue.pop() {
            self.collector.members.told();
        }
    }
}

/// Queues an event about a tenant; true if others had to go for it.
fn push_tenant(queue: &mut Queue, what: What, id: Option<&str>, tenants: &super::tenants::Tenants) -> bool {
    id.is_some_and(|id| !queue.push(what, [Some(id), tenants.domain(id), None, None]))
}

#[cfg(test)]
#[path = "inbox_tests.rs"]
mod tests;
