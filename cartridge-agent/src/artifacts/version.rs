//! A version of an artifact that is in place: a folder that stays as it is for as long as anybody uses it.

use super::archive::{Unpacked, folder};
use super::digest::Digest;
use super::tenant::TenantId;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A version of an artifact. While there is a clone of it, its folder stays and nothing in it changes; whoever drops the last
/// one after a newer version has come removes the folder.
#[derive(Clone)]
pub struct ArtifactVersion(Arc<Inner>);

struct Inner {
    tenant: TenantId,
    number: u32,
    digest: Digest,
    /// What is removed in the end, and what of it has the files.
    whole: PathBuf,
    folder: PathBuf,
}

impl Drop for Inner {
    fn drop(&mut self) {
        folder::remove(&self.whole);
    }
}

impl ArtifactVersion {
    pub(super) fn new(tenant: TenantId, number: u32, digest: Digest, unpacked: Unpacked) -> Self {
        ArtifactVersion(Arc::new(Inner {
            tenant,
            number,
            digest,
            whole: unpacked.folder,
            folder: unpacked.root,
        }))
    }

    /// The folder with its files.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Counts the versions that this member has had, of all tenants: the higher is the newer.
    pub fn number(&self) -> u32 {
        self.0.number
    }

    /// Whose it is: the tenant's number in decimal, `-1234` where the cartridge has no tenants.
    pub fn tenant(&self) -> String {
        self.0.tenant.to_string()
    }

    /// SHA-256 of the archive, in hexadecimal.
    pub fn digest(&self) -> String {
        self.0.digest.to_string()
    }

    /// Removes the files although there are users: the process ends.
    #[cfg(unix)]
    pub(super) fn remove_files(&self) {
        folder::remove(&self.0.whole);
    }

    pub(super) fn has(&self, digest: Digest) -> bool {
        self.0.digest == digest
    }
}

impl PartialEq for ArtifactVersion {
    /// The same version, not merely the same content.
    fn eq(&self, other: &Self) -> bool {
        self.0.number == other.0.number
    }
}

impl Eq for ArtifactVersion {}

impl fmt::Debug for ArtifactVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ArtifactVersion {{ number: {}, tenant: {} }}",
            self.0.number, self.0.tenant
        )
    }
}
