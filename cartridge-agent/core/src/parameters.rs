//! Launch parameters: the payload of a member, and the defaults of its manifest below it.
//!
//! Format (Apache Stratos launch-params): `KEY=VALUE` items joined by `,`; nothing is quoted or escaped. A line end also
//! ends an item, so that a payload may be written one item a line. An item is split at its first `=`, blanks around key
//! and value do not count, a value that is empty or `null` (in any case) is absent, and lists inside a value use `|`.
//!
//! Nothing is copied: a look-up scans the text, which is at most [`SIZE_LIMIT`] bytes and [`ITEM_LIMIT`] items.

use crate::text::start_at_most;
use core::fmt;

/// The largest payload taken, in bytes: OpenStack's limit for user-data; EC2 allows 16 KiB.
pub const SIZE_LIMIT: usize = 65_535;

/// Items past this many are not read.
pub const ITEM_LIMIT: usize = 512;

/// A longer key is refused: it is a sign of text in another format.
const KEY_LIMIT: usize = 128;

/// Launch parameters: what the payload says, and where it says nothing, what the defaults say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parameters<'a> {
    defaults: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Parameters<'a> {
    /// Parameters from the two texts. A text above [`SIZE_LIMIT`] counts as empty (see [`Parameters::problems`]).
    pub fn new(defaults: &'a [u8], payload: &'a [u8]) -> Self {
        Self { defaults, payload }
    }

    /// The value of `key`: the last one given in the payload, else the last one given in the defaults.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.candidates(key).into_iter().flatten().next()
    }

    /// The payload's value of `key` and the defaults', in the order in which they count.
    pub fn candidates(&self, key: &str) -> [Option<&'a str>; 2] {
        [last_value(self.payload, key), last_value(self.defaults, key)]
    }

    /// The values of the list `key`: separated by `|`, blanks and quotes around them removed, empty ones left out.
    pub fn list(&self, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        list_items(self.get(key).unwrap_or_default())
    }

    /// The value of `key` as a boolean: `true` or `false` in any case.
    ///
    /// # Errors
    /// The value, when it is neither.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>, &'a str> {
        match self.get(key) {
            None => Ok(None),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(value) => Err(value),
        }
    }

    /// The value of `key` as a decimal number.
    ///
    /// # Errors
    /// The value, when it is not a number below 2^64.
    pub fn number(&self, key: &str) -> Result<Option<u64>, &'a str> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => decimal(value).map(Some).ok_or(value),
        }
    }

    /// Every key with its value, each key once, payload first. Absent values are left out.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let Self { defaults, payload } = *self;
        let of_payload = unique(payload);
        let of_defaults = unique(defaults).filter(move |(key, _)| last_value(payload, key).is_none());
        of_payload.chain(of_defaults)
    }

    /// What is wrong with the payload and then with the defaults, in the order of the text.
    pub fn problems(&self) -> impl Iterator<Item = (Source, Problem<'a>)> + use<'a> {
        let payload = problems(self.payload).map(|problem| (Source::Payload, problem));
        payload.chain(problems(self.defaults).map(|problem| (Source::Defaults, problem)))
    }
}

/// Where a parameter was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The payload, given at launch.
    Payload,
    /// The defaults of the cartridge's manifest.
    Defaults,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Payload => "payload",
            Source::Defaults => "defaults of the manifest",
        })
    }
}

/// Something wrong with launch-params text. Only keys are ever shown: a part of the text that is not understood may be
/// a part of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem<'a> {
    /// The text is larger than [`SIZE_LIMIT`] bytes.
    TooLarge(usize),
    /// There are more than [`ITEM_LIMIT`] items.
    TooMany,
    /// The item has no `=`.
    NoEquals(usize),
    /// The item has nothing before its `=`, or more than a key can be.
    BadKey(usize),
    /// The item is not UTF-8.
    NotUtf8(usize),
    /// The item has this control byte in it.
    ControlByte(usize, u8),
    /// The key was given before.
    Duplicate(&'a str),
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::TooLarge(size) => {
                write!(
                    f,
                    "it has {size} bytes and at most {SIZE_LIMIT} are read: nothing of it is used"
                )
            }
            Problem::TooMany => write!(f, "only the first {ITEM_LIMIT} items are used"),
            Problem::NoEquals(item) => {
                write!(
                    f,
                    "item {item} has no '=': left out; write KEY=VALUE, and no ',' inside a value"
                )
            }
            Problem::BadKey(item) => {
                write!(
                    f,
                    "item {item} has no key of 1 to {KEY_LIMIT} bytes before its '=': left out; write KEY=VALUE"
                )
            }
            Problem::NotUtf8(item) => write!(
                f,
                "item {item} is not UTF-8 text: left out; encode other bytes as base64"
            ),
            Problem::ControlByte(item, byte) => {
                write!(
                    f,
                    "item {item} has the control byte 0x{byte:02x} in it: left out; encode other bytes as base64"
                )
            }
            Problem::Duplicate(key) => {
                write!(
                    f,
                    "{} is given more than once: the last value is used",
                    start_at_most(key, 64)
                )
            }
        }
    }
}

/// True for keys whose values must never be printed.
pub fn is_secret(key: &str) -> bool {
    let contains = |word: &str| {
        key.as_bytes()
            .windows(word.len())
            .any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    };
    ["TOKEN", "PASSWORD", "SECRET", "KEY", "CREDENTIAL"]
        .into_iter()
        .any(contains)
}

/// The entries of a list value (see [`Parameters::list`]).
pub fn list_items(value: &str) -> impl Iterator<Item = &str> {
    unquoted(value).split('|').map(unquoted).filter(|item| !item.is_empty())
}

/// Without blanks and one pair of quotes around it (control planes and shells leave them on PORTS).
fn unquoted(value: &str) -> &str {
    value.trim_matches(|c: char| c == '\'' || c == '"' || c.is_ascii_whitespace())
}

/// A decimal number without sign.
pub(crate) fn decimal(value: &str) -> Option<u64> {
    if value.is_empty() || value.len() > 20 {
        return None;
    }
    value.bytes().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// The items that can be read, numbered from 1, with key and value as written.
fn items(text: &[u8]) -> impl Iterator<Item = Result<(&str, &str), Problem<'_>>> {
    let text = if text.len() > SIZE_LIMIT { &[] } else { text };
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    text.split(|byte| matches!(byte, b',' | b'\n'))
        .map(<[u8]>::trim_ascii)
        .filter(|item| !item.is_empty())
        .take(ITEM_LIMIT)
        .enumerate()
        .map(|(index, item)| key_and_value(index + 1, item))
}

fn key_and_value(number: usize, item: &[u8]) -> Result<(&str, &str), Problem<'_>> {
    if let Some(byte) = item
        .iter()
        .copied()
        .find(|byte| byte.is_ascii_control() && *byte != b'\t')
    {
        return Err(Problem::ControlByte(number, byte));
    }
    let item = core::str::from_utf8(item).map_err(|_| Problem::NotUtf8(number))?;
    let (key, value) = item.split_once('=').ok_or(Problem::NoEquals(number))?;
    let key = key.trim_ascii();
    if key.is_empty() || key.len() > KEY_LIMIT {
        return Err(Problem::BadKey(number));
    }
    Ok((key, value.trim_ascii()))
}

fn last_value<'a>(text: &'a [u8], key: &str) -> Option<&'a str> {
    let (_, value) = items(text).flatten().filter(|(name, _)| *name == key).last()?;
    present(value)
}

fn present(value: &str) -> Option<&str> {
    (!value.is_empty() && !value.eq_ignore_ascii_case("null")).then_some(value)
}

/// Each key at its first place, with its last value.
fn unique(text: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    items(text).enumerate().filter_map(move |(index, item)| {
        let (key, _) = item.ok()?;
        let given_before = items(text).take(index).flatten().any(|(name, _)| name == key);
        if given_before {
            None
        } else {
            Some((key, last_value(text, key)?))
        }
    })
}

fn problems(text: &[u8]) -> impl Iterator<Item = Problem<'_>> {
    let too_large = (text.len() > SIZE_LIMIT).then_some(Problem::TooLarge(text.len()));
    let in_items = items(text).enumerate().filter_map(move |(index, item)| match item {
        Err(problem) => Some(problem),
        Ok((key, _)) => {
            let earlier = items(text)
                .take(index)
                .flatten()
                .filter(|(name, _)| *name == key)
                .count();
            (earlier == 1).then_some(Problem::Duplicate(key))
        }
    });
    let too_many = too_large.is_none() && text.len() / 2 >= ITEM_LIMIT && more_items_than_limit(text);
    too_large
        .into_iter()
        .chain(in_items)
        .chain(too_many.then_some(Problem::TooMany))
}

fn more_items_than_limit(text: &[u8]) -> bool {
    text.split(|byte| matches!(byte, b',' | b'\n'))
        .filter(|item| !item.trim_ascii().is_empty())
        .count()
        > ITEM_LIMIT
}

#[cfg(test)]
#[path = "parameters_tests.rs"]
mod tests;
