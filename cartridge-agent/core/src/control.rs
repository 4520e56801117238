//! The seam for control planes.
//!
//! A control plane launches members and tells them what to do: Apache Stratos over MQTT, a BOSH director over NATS,
//! OpenPitrix through its metadata service, or nobody at all ([`Standalone`]). An adapter is one type that implements
//! [`ControlPlane`]; it is sans-IO like the rest of this crate: the driver makes the connections the adapter asks for and
//! moves bytes and time, the adapter keeps the protocol. Adding one touches neither [`crate::machine`] nor the others.
//!
//! Which one a member has is decided at run time: the machine takes any, also a `&mut dyn ControlPlane`. With a type that has
//! no links, as [`Standalone`], the driver's code for links is not in the image at all.

pub use crate::figures::Figures;
use crate::lifecycle::State;
use crate::log::Level;
use crate::text::Message;
use core::fmt;
use core::time::Duration;

/// What a control plane tells its member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The member is known; the app may start. Stratos: MemberInitializedEvent, or the state found in the topology.
    Initialize,
    /// Stop in order. Stratos: InstanceCleanupMemberEvent; BOSH: `drain`, `stop`.
    Stop,
}

/// What a control plane tells the app: borrowed from the adapter (`S` is `&str`), and the app's own after the driver has
/// copied it (`S` is `String`). A stop is no event here: the driver tells the app of it, whoever asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<S> {
    /// A member of the own cluster, or of one it depends on, is as told here now.
    Member(Member<S>),
    /// This tenant is served from now on.
    TenantSubscribed(Tenant<S>),
    /// This tenant is served no more.
    TenantRemoved(Tenant<S>),
    /// This tenant has signed off from the application: what is kept for it is to go.
    SignUpRemoved(Tenant<S>),
    /// There is a new version of the artifact.
    ArtifactUpdated(Artifact<S>),
    /// Launch parameters have changed.
    ConfigurationChanged,
}

/// A member as the control plane knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<S> {
    /// The service (cartridge type) of its cluster.
    pub service: S,
    /// The cluster's identifier.
    pub cluster: S,
    /// The member's identifier.
    pub member: S,
    /// Its state; `Terminated` when it is gone.
    pub state: State,
    /// Its first address inside the platform, if it is known.
    pub private_address: Option<S>,
    /// Its first address outside, if it has one.
    pub public_address: Option<S>,
}

/// A tenant of a multi-tenant cartridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenant<S> {
    /// Its number, in decimal.
    pub id: S,
    /// Its domain, if the control plane told it.
    pub domain: Option<S>,
}

/// Where a version of the artifact is to be fetched. Its secrets are never shown: it has no `Display`, and its `Debug` hides them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Artifact<S> {
    /// The archive's URL.
    pub url: S,
    /// The user name for it.
    pub user: Option<S>,
    /// The password for it, as the control plane sends it (Stratos: encrypted with CARTRIDGE_KEY).
    pub password: Option<S>,
    /// Whose artifact it is, if the cartridge has tenants.
    pub tenant: Option<S>,
}
impl<S> Event<S> {
    /// The same event with each text as `own` makes it.
    pub fn map<T>(self, own: impl Fn(S) -> T) -> Event<T> {
        match self {
            Event::Member(member) => Event::Member(member.map(own)),
            Event::TenantSubscribed(tenant) => Event::TenantSubscribed(tenant.map(own)),
            Event::TenantRemoved(tenant) => Event::TenantRemoved(tenant.map(own)),
            Event::SignUpRemoved(tenant) => Event::SignUpRemoved(tenant.map(own)),
            Event::ArtifactUpdated(artifact) => Event::ArtifactUpdated(artifact.map(own)),
            Event::ConfigurationChanged => Event::ConfigurationChanged,
        }
    }
}

impl<S> Member<S> {
    /// The same member with each text as `own` makes it.
    pub fn map<T>(self, own: impl Fn(S) -> T) -> Member<T> {
        Member {
            service: own(self.service),
            cluster: own(self.cluster),
            member: own(self.member),
            state: self.state,
            private_address: self.private_address.map(&own),
            public_address: self.public_address.map(&own),
        }
    }
}

impl<S> Tenant<S> {
    /// The same tenant with each text as `own` makes it.
    pub fn map<T>(self, own: impl Fn(S) -> T) -> Tenant<T> {
        Tenant {
            id: own(self.id),
            domain: self.domain.map(own),
        }
    }
}

impl<S> Artifact<S> {
    /// The same artifact with each text as `own` makes it.
    pub fn map<T>(self, own: impl Fn(S) -> T) -> Artifact<T> {
        Artifact {
            url: own(self.url),
            user: self.user.map(&own),
            password: self.password.map(&own),
            tenant: self.tenant.map(&own),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Artifact<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A URL may hold a password too.
        write!(f, "Artifact {{ tenant: {:?}, .. }}", self.tenant)
    }
}

/// Where an adapter wants a connection to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer<'a> {
    /// Host name or address.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
}

/// An adapter for one kind of control plane. `now` is the time since the agent started; it never goes back.
///
/// An adapter has [`ControlPlane::links`] TCP connections, numbered from 0: Stratos one to its message broker and one to its
/// event processor. No method may block, and nothing received may make it panic or grow without bound. The defaults suit an
/// adapter without connections and events.
pub trait ControlPlane {
    /// The name in logs.
    fn name(&self) -> &'static str;

    /// The member has entered `state`; to be reported.
    fn entered(&mut self, state: State, now: Duration);

    /// The next command, in order; `None` when there is none now.
    fn command(&mut self, now: Duration) -> Option<Command>;

    /// The next event for the app, in order; `None` when there is none now. It stays the next until the app has room for it:
    /// what the adapter keeps until then is its own to bound.
    fn event(&self) -> Option<Event<&str>> {
        None
    }

    /// The app has the event that [`ControlPlane::event`] gave.
    fn event_taken(&mut self) {}

    /// The domain of the tenant with this number, if it is known.
    fn domain(&self, tenant: &str) -> Option<&str> {
        let _ = tenant;
        None
    }

    /// When to ask again although nothing was received: keep-alives, retries, health reports.
    fn wake(&self) -> Option<Duration> {
        None
    }

    /// False as long as something that was reported has not reached the control plane: the member is not Terminated before,
    /// unless [`crate::machine::FAREWELL`] passes.
    fn is_heard(&self) -> bool {
        true
    }

    /// How many connections it has at most; always the same number.
    fn links(&self) -> usize {
        0
    }

    /// The peer that connection `link` is to have now; a changed answer means: close, and connect anew if there is a peer.
    fn peer(&self, link: usize) -> Option<Peer<'_>> {
        let _ = link;
        None
    }

    /// Connection `link` was made, or it failed or ended. It is made again when the adapter asks for a peer anew, after it
    /// has asked for none: how long to wait between is its own to decide.
    fn connected(&mut self, link: usize, up: bool, now: Duration) {
        let _ = (link, up, now);
    }

    /// Bytes that came on connection `link`.
    fn receive(&mut self, link: usize, bytes: &[u8], now: Duration) {
        let _ = (link, bytes, now);
    }

    /// What there is to send on connection `link`, now that it is up.
    fn to_send(&self, link: usize) -> &[u8] {
        let _ = link;
        &[]
    }

    /// The first `count` bytes of [`ControlPlane::to_send`] were taken by connection `link`.
    fn sent(&mut self, link: usize, count: usize, now: Duration) {
        let _ = (link, count, now);
    }

    /// True if the driver is to tell [`ControlPlane::figures`] now. [`ControlPlane::wake`] has the time for it.
    fn wants_figures(&self, now: Duration) -> bool {
        let _ = now;
        false
    }

    /// The figures that were wanted.
    fn figures(&mut self, figures: Figures, now: Duration) {
        let _ = (figures, now);
    }

    /// Writes the next line to log to `text` and gives its level; `None` when there is none now.
    fn note(&mut self, text: &mut Message) -> Option<Level> {
        let _ = text;
        None
    }
}

/// A control plane that is chosen at run time.
impl<C: ControlPlane + ?Sized> ControlPlane for &mut C {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn entered(&mut self, state: State, now: Duration) {
        (**self).entered(state, now);
    }

    fn command(&mut self, now: Duration) -> Option<Command> {
        (**self).command(now)
    }

    fn event(&self) -> Option<Event<&str>> {
        (**self).event()
    }

    fn event_taken(&mut self) {
        (**self).event_taken();
    }

    fn domain(&self, tenant: &str) -> Option<&str> {
        (**self).domain(tenant)
    }

    fn wake(&self) -> Option<Duration> {
        (**self).wake()
    }

    fn is_heard(&self) -> bool {
        (**self).is_heard()
    }

    fn links(&self) -> usize {
        (**self).links()
    }

    fn peer(&self, link: usize) -> Option<Peer<'_>> {
        (**self).peer(link)
    }

    fn connected(&mut self, link: usize, up: bool, now: Duration) {
        (**self).connected(link, up, now);
    }

    fn receive(&mut self, link: usize, bytes: &[u8], now: Duration) {
        (**self).receive(link, bytes, now);
    }

    fn to_send(&self, link: usize) -> &[u8] {
        (**self).to_send(link)
    }

    fn sent(&mut self, link: usize, count: usize, now: Duration) {
        (**self).sent(link, count, now);
    }

    fn wants_figures(&self, now: Duration) -> bool {
        (**self).wants_figures(now)
    }

    fn figures(&mut self, figures: Figures, now: Duration) {
        (**self).figures(figures, now);
    }

    fn note(&mut self, text: &mut Message) -> Option<Level> {
        (**self).note(text)
    }
}

/// No control plane: the member goes on at once, and stops when the platform or the app says so.
#[derive(Debug, Default)]
pub struct Standalone {
    initialized: bool,
}

impl ControlPlane for Standalone {
    fn name(&self) -> &'static str {
        "standalone"
    }

    fn entered(&mut self, _state: State, _now: Duration) {}

    fn command(&mut self, _now: Duration) -> Option<Command> {
        let first = !self.initialized;
        self.initialized = true;
        first.then_some(Command::Initialize)
    }
}
