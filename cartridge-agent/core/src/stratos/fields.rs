//! The fields of an event, or of one member of a topology, that the agent looks at.

use super::json_stream::Token;
use alloc::vec::Vec;

/// All fields kept of one event together, in bytes: a URL, a user name and a password are the longest.
const SPACE: usize = 4096;

/// The names of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are those of the events, see Key::named")]
pub enum Key {
    Member,
    Cluster,
    ClusterInstance,
    Service,
    Tenant,
    TenantDomain,
    Application,
    Url,
    User,
    Password,
    PrivateAddress,
    PublicAddress,
    PrivateAddresses,
    PublicAddresses,
    StateManager,
    States,
    // What is on the way to a member in a topology.
    Topology,
    Services,
    Clusters,
    Members,
}

/// How many keys have values of their own to be kept.
const KEPT: usize = Key::States as usize + 1;

/// The names on the wire, in the order of [`Key`].
const NAMES: [(&str, Key); 20] = [
    ("memberId", Key::Member),
    ("clusterId", Key::Cluster),
    ("clusterInstanceId", Key::ClusterInstance),
    ("serviceName", Key::Service),
    ("tenantId", Key::Tenant),
    ("tenantDomain", Key::TenantDomain),
    ("applicationId", Key::Application),
    ("repoURL", Key::Url),
    ("repoUserName", Key::User),
    ("repoPassword", Key::Password),
    ("defaultPrivateIP", Key::PrivateAddress),
    ("defaultPublicIP", Key::PublicAddress),
    ("memberPrivateIPs", Key::PrivateAddresses),
    ("memberPublicIPs", Key::PublicAddresses),
    ("memberStateManager", Key::StateManager),
    ("stateStack", Key::States),
    ("topology", Key::Topology),
    ("serviceMap", Key::Services),
    ("clusterIdClusterMap", Key::Clusters),
    ("memberMap", Key::Members),
];

impl Key {
    /// The key of this name.
    pub fn named(name: &str) -> Option<Key> {
        NAMES.iter().find(|(own, _)| *own == name).map(|(_, key)| *key)
    }
}

/// The values found so far of an object whose members are at depth `base`.
#[derive(Default)]
pub struct Fields {
    bytes: Vec<u8>,
    /// Start and end of each value in `bytes`; the same for one that is absent.
    spans: [(u16, u16); KEPT],
    /// The keys we are under, from depth `base` on: of the object, and of what is in it.
    path: [Option<Key>; 2],
}

impl Fields {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans = [(0, 0); KEPT];
        self.path = [None; 2];
    }

    /// The value of `key`; `None` if it is absent, empty, `null` or too long.
    pub fn get(&self, key: Key) -> Option<&str> {
        let (start, end) = *self.spans.get(key as usize)?;
        let value = self.bytes.get(usize::from(start)..usize::from(end))?;
        core::str::from_utf8(value).ok().filter(|value| !value.is_empty())
    }

    /// A token `below` levels below the object's own members: 0 for those.
    pub fn take(&mut self, below: usize, token: Token<'_>) {
        match token {
            Token::Key(name) => match below {
                0 => self.path = [Key::named(name), None],
                1 => self.path[1] = Key::named(name),
                _ => {}
            },
            Token::Text(value) | Token::Number(value) => match (below, self.path) {
                (0, [Some(key), _]) => self.set(key, value),
                // The first of the addresses.
                (1, [Some(key @ (Key::PrivateAddresses | Key::PublicAddresses)), _]) if self.get(key).is_none() => {
                    self.set(key, value);
                }
                // The last of the states.
                (2, [Some(Key::StateManager), Some(Key::States)]) => self.set(Key::States, value),
                _ => {}
            },
            Token::Word | Token::TooLong | Token::Object | Token::Array | Token::End => {}
        }
    }

    fn set(&mut self, key: Key, value: &str) {
        let start = self.bytes.len();
        if let Some(span) = self.spans.get_mut(key as usize)
            && start + value.len() <= SPACE
        {
            self.bytes.extend_from_slice(value.as_bytes());
            *span = (start as u16, self.bytes.len() as u16);
        }
    }
}
