//! Which folder answers a request: the newest version of an artifact, or as long as there is none the folder the program has.
//!
//! A multi-tenant site serves the platform's own tenant at `/` and each other one at `/t/ID/` and `/t/DOMAIN/`. The tenant is
//! named by the path as it is sent, before anything in it is decoded; what follows is looked for in that tenant's folder only.

use cartridge_agent::{ArtifactVersion, Artifacts};
use std::path::{Path, PathBuf};

const TENANTS: &str = "/t/";

/// All there is to serve.
pub struct Contents {
    own: PathBuf,
    artifacts: Artifacts,
}

/// A folder that stays as it is for as long as this lives.
#[derive(Debug, Clone)]
pub enum Content {
    Own(PathBuf),
    Artifact(ArtifactVersion),
}

/// What a path means.
pub enum Place<'p> {
    /// A path in this content.
    In(Content, &'p str),
    /// A tenant's root without its final slash.
    NeedsSlash,
    Missing,
}

impl Contents {
    /// `own` is served until there is an artifact.
    pub fn new(own: impl Into<PathBuf>, artifacts: Artifacts) -> Contents {
        Contents {
            own: own.into(),
            artifacts,
        }
    }

    pub fn place<'p>(&self, path: &'p str) -> Place<'p> {
        let Some(below) = path.strip_prefix(TENANTS).filter(|_| self.artifacts.are_by_tenant()) else {
            let newest = self.artifacts.current().map(Content::Artifact);
            return Place::In(newest.unwrap_or_else(|| Content::Own(self.own.clone())), path);
        };
        let (tenant, rest) = below.split_at(below.find('/').unwrap_or(below.len()));
        match self.artifacts.of_tenant(tenant) {
            None => Place::Missing,
            Some(_) if rest.is_empty() => Place::NeedsSlash,
            Some(version) => Place::In(Content::Artifact(version), rest),
        }
    }
}

impl Content {
    pub fn root(&self) -> &Path {
        match self {
            Content::Own(folder) => folder,
            Content::Artifact(version) => version.folder(),
        }
    }
}
