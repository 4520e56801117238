//! What is picked out of a document while it is read: fields of an event, members of a topology, tenants.

use super::fields::{Fields, Key};
use super::json_stream::{Sink, Token};
use super::members::{Members, Seen};
use super::tenants::Tenants;
use crate::lifecycle::State;
use alloc::string::String;

/// Where in a document the objects are whose fields are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The document is one event.
    Event,
    /// `topology`, `serviceMap`, SERVICE, `clusterIdClusterMap`, CLUSTER, `memberMap`, MEMBER: the members of the clusters
    /// that are looked at.
    Topology,
    /// `tenants`: an array of tenants.
    Tenants,
}

impl Shape {
    /// The depth of the fields that are kept: 1 is in the document's own braces.
    const fn base(self) -> u32 {
        match self {
            Shape::Event => 1,
            Shape::Tenants => 3,
            Shape::Topology => 8,
        }
    }
}

/// Picks them out.
pub struct Collector {
    /// The kind of the document.
    pub shape: Shape,
    depth: u32,
    /// So many levels, from the outermost, have the keys they must have.
    matched: u32,
    /// The fields of the event, or of the object that is being read.
    pub fields: Fields,
    service: String,
    cluster: String,
    member: String,
    own: String,
    /// The document has a map of services: it is a topology.
    pub has_services: bool,
    /// The state of the own member in the document.
    pub own_state: Option<State>,
    /// The members of the clusters that are looked at.
    pub members: Members,
    /// The tenants' domains.
    pub tenants: Tenants,
}

impl Collector {
    /// For the member `own`.
    pub fn new(own: &str, members: Members) -> Self {
        Collector {
            shape: Shape::Event,
            depth: 0,
            matched: 0,
            fields: Fields::default(),
            service: String::new(),
            cluster: String::new(),
            member: String::new(),
            own: own.into(),
            has_services: false,
            own_state: None,
            members,
            tenants: Tenants::default(),
        }
    }

    /// A document begins.
    pub fn begin(&mut self, shape: Shape) {
        self.shape = shape;
        (self.depth, self.matched) = (0, 0);
        (self.has_services, self.own_state) = (false, None);
        self.fields.clear();
        self.members.begin();
    }

    /// True inside an object whose fields are kept.
    fn is_inside(&self) -> bool {
        let base = self.shape.base();
        self.depth >= base && (self.shape != Shape::Topology || self.matched == base - 1)
    }

    /// A key on the way to the members of a topology.
    fn on_the_way(&mut self, name: &str) {
        let above = self.depth - 1;
        if self.matched < above {
            return;
        }
        let keep = |place: &mut String| {
            place.clear();
            place.push_str(name);
            true
        };
        let matches = match self.depth {
            1 => Key::named(name) == Some(Key::Topology),
            2 => Key::named(name) == Some(Key::Services),
            3 => keep(&mut self.service),
            4 => Key::named(name) == Some(Key::Clusters),
            5 => self.members.has_cluster(name) && keep(&mut self.cluster),
            6 => Key::named(name) == Some(Key::Members),
            _ => keep(&mut self.member),
        };
        self.matched = above + u32::from(matches);
    }

    /// The object whose fields are kept is complete.
    fn complete(&mut self) {
        match self.shape {
            Shape::Event => {}
            Shape::Tenants => {
                if let (Some(id), Some(domain)) = (self.fields.get(Key::Tenant), self.fields.get(Key::TenantDomain)) {
                    self.tenants.put(id, domain);
                }
            }
            Shape::Topology => {
                let Some(state) = self.fields.get(Key::States).and_then(state) else {
                    return;
                };
                if self.member == self.own {
                    self.own_state = Some(state);
                }
                let seen = seen(&self.fields, &self.cluster, Some(&self.service), &self.member, state);
                self.members.stage(&seen);
            }
        }
    }
}

impl Sink for Collector {
    fn token(&mut self, token: Token<'_>) {
        match token {
            Token::Object | Token::Array => {
                self.has_services |= token == Token::Object && self.depth == 2 && self.matched == 2;
                self.depth += 1;
                if self.depth == self.shape.base() {
                    self.fields.clear();
                }
            }
            Token::End => {
                if self.is_inside() && self.depth == self.shape.base() {
                    self.complete();
                }
                self.depth = self.depth.saturating_sub(1);
                self.matched = self.matched.min(self.depth);
            }
            _ if self.is_inside() => self.fields.take((self.depth - self.shape.base()) as usize, token),
            Token::Key(name) if self.shape == Shape::Topology && self.depth < Shape::Topology.base() => {
                self.on_the_way(name);
            }
            _ => {}
        }
    }
}

/// A member as `fields` have it.
pub fn seen<'a>(
    fields: &'a Fields,
    cluster: &'a str,
    service: Option<&'a str>,
    member: &'a str,
    state: State,
) -> Seen<'a> {
    let first = |a, b| fields.get(a).or_else(|| fields.get(b));
    Seen {
        cluster,
        service,
        member,
        state,
        private_address: first(Key::PrivateAddress, Key::PrivateAddresses),
        public_address: first(Key::PublicAddress, Key::PublicAddresses),
    }
}

/// The state of this name. A suspended member is not to be used, as one in maintenance.
fn state(name: &str) -> Option<State> {
    if name == "Suspended" {
        return Some(State::InMaintenance);
    }
    State::ALL.into_iter().find(|state| state.name() == name)
}
