//! Events that wait for the app, besides those of members: in order, bounded in number and size.

use crate::control::{Artifact, Event, Tenant};
use alloc::boxed::Box;
use alloc::collections::VecDeque;

/// Events that wait at most.
const COUNT_LIMIT: usize = 64;

/// Bytes of text in them at most.
const SIZE_LIMIT: usize = 16 * 1024;

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Texts: number, domain.
    TenantSubscribed,
    /// Texts: number, domain.
    TenantRemoved,
    /// Texts: number, domain.
    SignUpRemoved,
    /// Texts: URL, user, password, tenant.
    ArtifactUpdated,
}

#[derive(PartialEq, Eq)]
struct Waiting {
    what: What,
    texts: [Option<Box<str>>; 4],
}

impl Waiting {
    fn text(&self, index: usize) -> Option<&str> {
        self.texts.get(index).and_then(Option::as_deref)
    }

    fn size(&self) -> usize {
        (0..4).filter_map(|index| self.text(index)).map(str::len).sum()
    }
}

/// The queue.
#[derive(Default)]
pub struct Queue(VecDeque<Waiting>);

impl Queue {
    /// Adds an event; false if older ones had to go for it. What was the last word on a tenant is not said again, and of artifacts only
    /// the newest of each tenant waits.
    pub fn push(&mut self, what: What, texts: [Option<&str>; 4]) -> bool {
        let new = Waiting {
            what,
            texts: texts.map(|text| text.map(Box::from)),
        };
        if what == What::ArtifactUpdated {
            self.0
                .retain(|old| old.what != What::ArtifactUpdated || old.text(3) != new.text(3));
        } else {
            let of_tenant = |old: &&Waiting| old.what != What::ArtifactUpdated && old.text(0) == new.text(0);
            if self.0.iter().rev().find(of_tenant) == Some(&new) {
                return true;
            }
        }
        self.0.push_back(new);
        let mut has_all = true;
        while self.0.len() > COUNT_LIMIT || self.0.len() > 1 && self.size() > SIZE_LIMIT {
            self.0.pop_front();
            has_all = false;
        }
        has_all
    }

    fn size(&self) -> usize {
        self.0.iter().map(Waiting::size).sum()
    }

    /// The oldest.
    pub fn first(&self) -> Option<Event<&str>> {
        let first = self.0.front()?;
        let tenant = Tenant {
            id: first.text(0).unwrap_or_default(),
            domain: first.text(1),
        };
        Some(match first.what {
            What::TenantSubscribed => Event::TenantSubscribed(tenant),
            What::TenantRemoved => Event::TenantRemoved(tenant),
            What::SignUpRemoved => Event::SignUpRemoved(tenant),
            What::ArtifactUpdated => Event::ArtifactUpdated(Artifact {
                url: first.text(0).unwrap_or_default(),
                user: first.text(1),
                password: first.text(2),
                tenant: first.text(3),
            }),
        })
    }

    /// The oldest was taken; false if there was none.
    pub fn pop(&mut self) -> bool {
        self.0.pop_front().is_some()
    }
}
