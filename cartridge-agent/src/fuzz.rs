//! Doors for a fuzzer (feature `fuzz`, for hosts only): what of the artifacts reads bytes from outside. The targets are in `tests/fuzz`.

use crate::artifacts::archive::{Folder, Limits, Unpacker, folder};
use crate::artifacts::{decrypt, location};
use cartridge_agent_core::http::client::Url;
use std::path::Path;

/// What was made of an archive.
#[derive(Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Files and folders.
    pub entries: u32,
    /// Bytes of all files.
    pub bytes: u64,
    /// Links and devices that were left out.
    pub skipped: u32,
    /// What `look` gave.
    pub looked: u64,
}

/// Unpacks an archive that comes in these pieces into a new folder in `place`, lets `look` look at it, and removes it. An error is
/// the line that a log would have.
///
/// # Errors
/// Why it is refused.
pub fn unpack<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    place: &Path,
    (bytes, entries): (u64, u32),
    look: impl FnOnce(&Path) -> u64,
) -> Result<Unpacked, String> {
    let limits = Limits { bytes, entries };
    let mut unpacker = Folder::new(place, limits)
        .map(Unpacker::new)
        .map_err(|why| why.to_string())?;
    for piece in pieces {
        unpacker.take(piece).map_err(|why| why.to_string())?;
    }
    let unpacked = unpacker.finish().map_err(|why| why.to_string())?;
    let looked = look(&unpacked.folder);
    folder::remove(&unpacked.folder);
    Ok(Unpacked {
        entries: unpacked.entries,
        bytes: unpacked.bytes,
        skipped: unpacked.skipped,
        looked,
    })
}

/// A repository's password, decrypted.
pub fn password(encrypted: &str, key: &str) -> Option<String> {
    decrypt::password(encrypted, key)
}

/// An artifact's URL, with user and password beside it: as it would be fetched, and as it would be shown.
pub fn location(url: &str, user: Option<&str>, password: Option<&str>) -> Option<(String, String)> {
    let location = location::Location::new(url, user, password).ok()?;
    let shown = location.shown().to_owned();
    Some((location.url, shown))
}

/// Where a redirect from `url` to `location` leads.
pub fn redirected(url: &str, location: &str) -> Option<String> {
    location::redirected(&Url::parse(url)?, location).ok()
}
