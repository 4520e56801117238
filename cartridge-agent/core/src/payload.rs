//! What a payload may be, and how each form becomes text for [`Parameters`](crate::parameters::Parameters):
//!
//! - launch-params text stays as it is;
//! - a JSON object becomes flat text ([`ITEM_END`], [`KEY_END`]), in the same memory: see [`flatten`];
//! - nothing, or blanks, is empty;
//! - what other guests take (cloud-init's scripts and documents, compressed or binary data) is told by its first bytes and refused
//!   with one clear line. It counts as empty.

mod flatten;

use crate::parameters::SIZE_LIMIT;
use core::fmt;

/// Ends each item of a flat text, and is its first byte: ASCII's record separator. Only in a text that begins with it do `,`, `=`,
/// `|` and line ends have no meaning.
pub const ITEM_END: u8 = 0x1e;

/// Ends the key in an item of a flat text: ASCII's unit separator.
pub const KEY_END: u8 = 0x1f;

/// Objects and arrays inside each other, at most.
pub const DEPTH_LIMIT: u32 = 32;

/// Why nothing of a payload is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It begins as a JSON object and is none, from this byte on (counted from 0).
    NotJson(usize),
    /// It is a script or document for cloud-init.
    CloudInit,
    /// It is gzip data (RFC 1952).
    Compressed,
    /// It has a byte 0 in it: neither text.
    Binary,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Unusable::NotJson(at) => {
                return write!(
                    f,
                    "no JSON object from byte {at} on: nothing of it is used; check its quotes, commas and braces"
                );
            }
            Unusable::CloudInit => "for cloud-init",
            Unusable::Compressed => "gzip data",
            Unusable::Binary => "binary data",
        };
        write!(
            f,
            "{what}: nothing of it is used; give KEY=VALUE,KEY=VALUE or a JSON object"
        )
    }
}

/// Makes of the payload `text`, in place, what [`Parameters`](crate::parameters::Parameters) takes, and gives its length.
///
/// # Errors
/// Why it is to count as empty. The text is not to be used then.
#[inline(never)]
pub fn read(text: &mut [u8]) -> Result<usize, Unusable> {
    if text.len() > SIZE_LIMIT {
        // Reported, and not used, by who reads it.
        return Ok(text.len());
    }
    let start = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    let begins = |with: &str| {
        start
            .get(..with.len())
            .is_some_and(|part| part.eq_ignore_ascii_case(with.as_bytes()))
    };
    if start.starts_with(&[0x1f, 0x8b]) {
        return Err(Unusable::Compressed);
    }
    if [
        "#!",
        "#cloud-",
        "#include",
        "#part-handler",
        "## template",
        "content-type:",
        "mime-version:",
    ]
    .into_iter()
    .any(begins)
    {
        return Err(Unusable::CloudInit);
    }
    if text.contains(&0) {
        return Err(Unusable::Binary);
    }
    if start.starts_with(b"{") {
        let before = text.len() - start.len();
        return flatten::flatten(text, before).map_err(Unusable::NotJson);
    }
    Ok(text.len())
}

/// Makes flat text of the JSON object `text`, in place, and gives its length.
///
/// # Errors
/// Where it is no such object.
pub fn flat_json(text: &mut [u8]) -> Result<usize, usize> {
    flatten::flatten(text, 0)
}

#[cfg(test)]
mod tests;
