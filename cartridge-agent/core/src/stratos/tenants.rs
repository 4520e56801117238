//! The domains of the tenants: the platform tells them in one list, and its events name tenants by number only.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// Tenants whose domains are kept; further ones have none.
const TENANT_LIMIT: usize = 128;

/// The longest domain kept, in bytes.
const DOMAIN_LIMIT: usize = 100;

/// The longest number, in characters.
const NUMBER_LIMIT: usize = 20;

/// Numbers and domains.
#[derive(Default)]
pub struct Tenants(Vec<(Box<str>, Box<str>)>);

impl Tenants {
    /// Tenant `id` has this domain.
    pub fn put(&mut self, id: &str, domain: &str) {
        if id.len() > NUMBER_LIMIT || domain.len() > DOMAIN_LIMIT {
            return;
        }
        let has_room = self.0.len() < TENANT_LIMIT;
        match self.0.iter_mut().find(|(own, _)| **own == *id) {
            Some((_, kept)) if **kept == *domain => {}
            Some((_, kept)) => *kept = domain.into(),
            None if has_room => self.0.push((id.into(), domain.into())),
            None => {}
        }
    }

    /// The domain of tenant `id`, if it is known.
    pub fn domain(&self, id: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| **own == *id).map(|(_, domain)| &**domain)
    }
}
