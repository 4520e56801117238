//! The members of the own cluster and of those it depends on, as the platform last told them.
//!
//! The table is the truth and what changed in it is marked, so an app that does not listen loses no state, only the ways there.
//!
//! **A member never goes back by what may be old news.** An event, or one topology, that shows it in an earlier state than known
//! is passed over; it is believed when the next topology says the same (they come every minute). Going forward, and being gone, is
//! believed at once.

use crate::control::Member;
use crate::lifecycle::State;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Members kept; further ones are not shown to the app.
pub const MEMBER_LIMIT: usize = 256;

/// Clusters looked at: the own, and those it depends on.
pub const CLUSTER_LIMIT: usize = 16;

/// The longest member identifier kept, in bytes: a cluster's name and a UUID.
const NAME_LIMIT: usize = 160;

/// The longest address kept, in bytes: IPv6 with an embedded IPv4 address (RFC 4291 section 2.2).
const ADDRESS_LIMIT: usize = 45;

/// What is said of a member.
pub struct Seen<'a> {
    /// Its cluster.
    pub cluster: &'a str,
    /// Its service.
    pub service: Option<&'a str>,
    /// Its identifier.
    pub member: &'a str,
    /// Its state; what is not known is passed over.
    pub state: State,
    /// Its address inside.
    pub private_address: Option<&'a str>,
    /// Its address outside.
    pub public_address: Option<&'a str>,
}

struct Cluster {
    name: Box<str>,
    service: Option<Box<str>>,
}

struct Row {
    cluster: u8,
    member: Box<str>,
    private_address: Option<Box<str>>,
    public_address: Option<Box<str>>,
    /// As the app is told it.
    state: State,
    /// In the topology that is being read: this state.
    staged: Option<State>,
    /// The last topology showed an earlier state.
    is_behind: bool,
    /// It counts as Terminated because the last topology does not have it: that topology may be the one that is old.
    is_missing: bool,
    /// In the topology that is being read and in none before.
    is_new: bool,
    /// An address differs; told together with the state.
    is_moved: bool,
    /// To be told to the app.
    is_changed: bool,
}

/// The table.
#[derive(Default)]
pub struct Members {
    clusters: Vec<Cluster>,
    rows: Vec<Row>,
    /// Members there was no room for, in the topology being read.
    left_out: u32,
    is_full_reported: bool,
}

impl Members {
    /// An empty table for these clusters; those past [`CLUSTER_LIMIT`] are passed over.
    pub fn of<'a>(clusters: impl Iterator<Item = &'a str>) -> Self {
        let mut table = Members::default();
        for name in clusters.take(CLUSTER_LIMIT) {
            if table.cluster(name).is_none() {
                table.clusters.push(Cluster {
                    name: name.into(),
                    service: None,
                });
            }
        }
        table
    }

    /// True for a cluster that is looked at.
    pub fn has_cluster(&self, name: &str) -> bool {
        self.cluster(name).is_some()
    }

    fn cluster(&self, name: &str) -> Option<usize> {
        self.clusters.iter().position(|cluster| *cluster.name == *name)
    }

    fn row(&mut self, cluster: usize, member: &str) -> Option<usize> {
        let is_it = |row: &Row| usize::from(row.cluster) == cluster && *row.member == *member;
        self.rows.iter().position(is_it)
    }

    /// A topology begins.
    pub fn begin(&mut self) {
        self.abort();
    }

    /// A member in the topology that is being read.
    pub fn stage(&mut self, seen: &Seen<'_>) {
        if let Some(row) = self.place(seen) {
            row.staged = Some(seen.state);
        }
    }

    /// An event says this of a member.
    pub fn update(&mut self, seen: &Seen<'_>) {
        if let Some(row) = self.place(seen) {
            let is_news = row.is_missing || seen.state > row.state;
            row.is_changed |= row.is_new || row.is_moved || is_news;
            if is_news {
                (row.state, row.is_missing) = (seen.state, false);
            }
            (row.is_new, row.is_moved) = (false, false);
        }
    }

    /// The row of a member, a new one if it has none.
    fn place(&mut self, seen: &Seen<'_>) -> Option<&mut Row> {
        let cluster = self.cluster(seen.cluster)?;
        if let Some(service) = seen.service
            && service.len() <= NAME_LIMIT
            && self.clusters[cluster].service.as_deref() != Some(service)
        {
            self.clusters[cluster].service = Some(service.into());
        }
        if seen.member.is_empty() || seen.member.len() > NAME_LIMIT {
            return None;
        }
        let index = match self.row(cluster, seen.member) {
            Some(index) => index,
            // One that has left for good needs no row.
            None if seen.state == State::Terminated => return None,
            None if !self.has_room() => {
                self.left_out += 1;
                return None;
            }
            None => {
                self.rows.push(Row {
                    cluster: cluster as u8,
                    member: seen.member.into(),
                    private_address: None,
                    public_address: None,
                    state: seen.state,
                    staged: None,
                    is_behind: false,
                    is_missing: false,
                    is_new: true,
                    is_moved: false,
                    is_changed: false,
                });
                self.rows.len() - 1
            }
        };
        let row = self.rows.get_mut(index)?;
        row.is_moved |=
            set(&mut row.private_address, seen.private_address) | set(&mut row.public_address, seen.public_address);
        Some(row)
    }

    /// True if there is room for another member: one that has left makes room for one that lives.
    fn has_room(&mut self) -> bool {
        if self.rows.len() < MEMBER_LIMIT {
            return true;
        }
        let gone = self.rows.iter().position(|row| row.state == State::Terminated);
        gone.map(|gone| self.rows.remove(gone)).is_some()
    }

    /// The topology was read to its end: what it says holds now. Members it does not have are gone.
    pub fn commit(&mut self) {
        for row in &mut self.rows {
            let is_missing = row.staged.is_none();
            let state = row.staged.take().unwrap_or(State::Terminated);
            let is_behind = state < row.state && !row.is_missing;
            // Twice the same old news is none.
            if !is_behind || row.is_behind {
                row.is_missing = is_missing && (row.is_missing || row.state < State::Terminated);
                row.is_changed |= row.is_new || row.is_moved || state != row.state;
                row.state = state;
            }
            row.is_behind = is_behind && !row.is_behind;
            (row.is_new, row.is_moved) = (false, false);
        }
    }

    /// The topology was not read to its end: it says nothing.
    pub fn abort(&mut self) {
        self.rows.retain(|row| !row.is_new);
        for row in &mut self.rows {
            row.staged = None;
        }
        self.left_out = 0;
    }

    /// How many members there is no room for, the first time that there is none.
    pub fn left_out(&mut self) -> Option<u32> {
        let is_first = self.left_out > 0 && !core::mem::replace(&mut self.is_full_reported, true);
        is_first.then_some(self.left_out)
    }

    /// A member to tell the app of.
    pub fn changed(&self) -> Option<Member<&str>> {
        let row = self.rows.iter().find(|row| row.is_changed)?;
        let cluster = self.clusters.get(usize::from(row.cluster))?;
        Some(Member {
            service: cluster.service.as_deref().unwrap_or_default(),
            cluster: &cluster.name,
            member: &row.member,
            state: row.state,
            private_address: row.private_address.as_deref(),
            public_address: row.public_address.as_deref(),
        })
    }

    /// The app was told what [`Members::changed`] gave.
    pub fn told(&mut self) {
        if let Some(index) = self.rows.iter().position(|row| row.is_changed) {
            self.rows[index].is_changed = false;
            if self.rows[index].state == State::Terminated {
                self.rows.remove(index);
            }
        }
    }
}

/// Sets an address; true if it is another now. What is absent leaves it as it is: events leave out what has not changed.
fn set(place: &mut Option<Box<str>>, value: Option<&str>) -> bool {
    match value {
        Some(value) if value.len() <= ADDRESS_LIMIT && place.as_deref() != Some(value) => {
            *place = Some(value.into());
            true
        }
        _ => false,
    }
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
