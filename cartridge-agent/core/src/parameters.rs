//! Launch parameters: the payload of a member, and the defaults of its manifest below it.
//!
//! Format (Apache Stratos launch-params): `KEY=VALUE` items joined by `,`; nothing is quoted or escaped. A line end also
//! ends an item, so that a payload may be written one item a line. An item is split at its first `=`, blanks around key
//! and value do not count, a value that is empty or `null` (in any case) is absent, and lists inside a value use `|`.
//!
//! Flat text, which [`crate::payload`] makes of JSON, has separators of its own; nothing else in it has a meaning or is cut off.
//!
//! Nothing is copied: a look-up scans the text, which is at most [`SIZE_LIMIT`] bytes and [`ITEM_LIMIT`] items.

use crate::log::Level;
use crate::payload::{ITEM_END, KEY_END};
use crate::settings::near_miss;
use core::fmt;

/// The largest payload taken, in bytes: OpenStack's limit for user-data; EC2 allows 16 KiB.
pub const SIZE_LIMIT: usize = 65_535;

/// Items past this many are not read.
pub const ITEM_LIMIT: usize = 512;

/// A longer key is refused: it is a sign of text in another format. (So no key is too long to be shown.)
const KEY_LIMIT: usize = 128;

/// Launch parameters: what the payload says, and where it says nothing, what the defaults say.
#[derive(Clone, Copy, Default)]
pub struct Parameters<'a> {
    /// In the order in which they count.
    texts: [&'a [u8]; LAYERS],
}

/// Texts that count one after the other: the payload, the one that said where the payload is, the manifest's defaults, and what the
/// machine knows.
const LAYERS: usize = 4;

impl<'a> Parameters<'a> {
    /// Parameters from the two texts. A text above [`SIZE_LIMIT`] counts as empty (see [`Parameters::problems`]).
    pub fn new(defaults: &'a [u8], payload: &'a [u8]) -> Self {
        Self {
            texts: [payload, b"", defaults, b""],
        }
    }

    /// The same with `text` before them: the payload of a metadata service, which the payload at hand said to ask.
    pub fn below(self, text: &'a [u8]) -> Self {
        let [payload, _, defaults, fallback] = self.texts;
        Self {
            texts: [text, payload, defaults, fallback],
        }
    }

    /// The same with `text` below them: what the machine itself knows.
    pub fn fallback(self, text: &'a [u8]) -> Self {
        let [above, payload, defaults, _] = self.texts;
        Self {
            texts: [above, payload, defaults, text],
        }
    }

    /// The value of `key`: the last one given in the payload, else the last one given in the defaults.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.candidates(key).into_iter().flatten().next()
    }

    /// The payload's value of `key` and the defaults', in the order in which they count.
    pub fn candidates(&self, key: &str) -> [Option<&'a str>; LAYERS] {
        self.texts
            .map(|text| if text.is_empty() { None } else { last_value(text, key) })
    }

    /// The values of the list `key`: separated by `|`, blanks and quotes around them removed, empty ones left out.
    pub fn list(&self, key: &str) -> ListItems<'a> {
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
        let texts = self.texts;
        texts.into_iter().enumerate().flat_map(move |(layer, text)| {
            unique(text).filter(move |(key, _)| texts[..layer].iter().all(|above| last_value(above, key).is_none()))
        })
    }

    /// Tells `report` what is wrong with the payload and then with the defaults, in the order of the text.
    pub fn problems(&self, report: &mut dyn FnMut(Source, Problem<'a>)) {
        for (layer, text) in self.texts.into_iter().enumerate() {
            let source = if layer < 2 { Source::Payload } else { Source::Defaults };
            problems(text, &mut |problem| report(source, problem));
        }
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
    /// The item has a control byte in it.
    ControlByte(usize),
    /// The key was given before.
    Duplicate(&'a str),
    /// The key is none of the agent's, but nearly this one.
    NearMiss(&'a str, &'static str),
}

impl Problem<'_> {
    /// How much it matters.
    pub fn level(&self) -> Level {
        match self {
            Problem::NearMiss(..) => Level::Warn,
            _ => Level::Error,
        }
    }
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (item, what, hint) = match self {
            Problem::TooLarge(size) => {
                return write!(
                    f,
                    "it has {size} bytes and at most {SIZE_LIMIT} are read: nothing of it is used"
                );
            }
            Problem::TooMany => return write!(f, "only the first {ITEM_LIMIT} items are used"),
            Problem::Duplicate(key) => return write!(f, "{key} is given more than once: the last value is used"),
            Problem::NearMiss(key, own) => return write!(f, "{key} is left to the app; did you mean {own}?"),
            Problem::NoEquals(item) => (item, "has no '='", "write KEY=VALUE, and no ',' inside a value"),
            Problem::BadKey(item) => (
                item,
                "has no key, or one of more than 128 bytes, before its '='",
                "write KEY=VALUE",
            ),
            Problem::NotUtf8(item) => (item, "is not UTF-8 text", "encode other bytes as base64"),
            Problem::ControlByte(item) => (item, "has a control byte in it", "encode other bytes as base64"),
        };
        write!(f, "item {item} {what}: left out; {hint}")
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
pub fn list_items(value: &str) -> ListItems<'_> {
    ListItems(unquoted(value))
}

/// What [`list_items`] gives.
#[derive(Clone)]
pub struct ListItems<'a>(&'a str);

impl<'a> Iterator for ListItems<'a> {
    type Item = &'a str;

    #[inline(never)]
    fn next(&mut self) -> Option<&'a str> {
        while !self.0.is_empty() {
            let (item, rest) = self.0.split_once('|').unwrap_or((self.0, ""));
            self.0 = rest;
            let item = unquoted(item);
            if !item.is_empty() {
                return Some(item);
            }
        }
        None
    }
}

/// Without blanks and quotes around it (control planes and shells leave quotes on PORTS).
#[inline(never)]
fn unquoted(mut value: &str) -> &str {
    loop {
        let before = value.len();
        value = value.trim_ascii();
        for quote in ["'", "\""] {
            value = value.strip_prefix(quote).unwrap_or(value);
            value = value.strip_suffix(quote).unwrap_or(value);
        }
        if value.len() == before {
            return value;
        }
    }
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

/// The items of a text, numbered from 1: key and value as written, or what is wrong. (A type of its own, so that its code
/// exists once however many look-ups there are.)
#[derive(Clone)]
pub(crate) struct Items<'a> {
    rest: &'a [u8],
    number: usize,
    is_flat: bool,
}

impl<'a> Items<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        let text = if text.len() > SIZE_LIMIT { &[] } else { text };
        Items {
            rest: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
            number: 0,
            is_flat: text.starts_with(&[ITEM_END]),
        }
    }

    /// The next item that is not blank, as it stands in the text.
    #[inline(never)]
    fn next_bytes(&mut self) -> Option<&'a [u8]> {
        let (one, other) = if self.is_flat {
            (ITEM_END, ITEM_END)
        } else {
            (b',', b'\n')
        };
        while !self.rest.is_empty() {
            let end = self
                .rest
                .iter()
                .position(|byte| *byte == one || *byte == other)
                .unwrap_or(self.rest.len());
            let (item, rest) = self.rest.split_at(end);
            self.rest = rest.get(1..).unwrap_or_default();
            let item = if self.is_flat { item } else { item.trim_ascii() };
            if !item.is_empty() {
                self.number += 1;
                return Some(item);
            }
        }
        None
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<(&'a str, &'a str), Problem<'a>>;

    #[inline(never)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.number >= ITEM_LIMIT {
            return None;
        }
        let item = self.next_bytes()?;
        Some(self.key_and_value(item))
    }
}

impl<'a> Items<'a> {
    /// The parts of the item that was read last.
    fn key_and_value(&self, item: &'a [u8]) -> Result<(&'a str, &'a str), Problem<'a>> {
        let number = self.number;
        if !self.is_flat && item.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(Problem::ControlByte(number));
        }
        let item = core::str::from_utf8(item).map_err(|_| Problem::NotUtf8(number))?;
        let key_end = if self.is_flat { char::from(KEY_END) } else { '=' };
        let (key, value) = item.split_once(key_end).ok_or(Problem::NoEquals(number))?;
        let key = key.trim_ascii();
        if key.is_empty() || key.len() > KEY_LIMIT {
            return Err(Problem::BadKey(number));
        }
        Ok((key, if self.is_flat { value } else { value.trim_ascii() }))
    }
}

/// Keys and values of a text, as they stand in it.
pub fn pairs(text: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    Items::new(text).filter_map(Result::ok)
}

/// How often `key` is among the first `count` items of `text`.
fn occurrences(text: &[u8], key: &str, count: usize) -> usize {
    let is_key = |item: &Result<(&str, &str), Problem<'_>>| item.is_ok_and(|(name, _)| name == key);
    Items::new(text).take(count).filter(is_key).count()
}

#[inline(never)]
fn last_value<'a>(text: &'a [u8], key: &str) -> Option<&'a str> {
    let mut last = "";
    let mut items = Items::new(text);
    while items.number < ITEM_LIMIT
        && let Some(item) = items.next_bytes()
    {
        // Only what can be the item asked for is checked and taken apart: look-ups are most of reading the settings.
        if item.starts_with(key.as_bytes())
            && let Ok((name, value)) = items.key_and_value(item)
            && name == key
        {
            last = value;
        }
    }
    (!last.is_empty() && !last.eq_ignore_ascii_case("null")).then_some(last)
}

/// Each key at its first place, with its last value.
fn unique(text: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    Items::new(text).enumerate().filter_map(move |(index, item)| {
        let (key, _) = item.ok()?;
        if occurrences(text, key, index) > 0 {
            None
        } else {
            Some((key, last_value(text, key)?))
        }
    })
}

fn problems<'a>(text: &'a [u8], report: &mut dyn FnMut(Problem<'a>)) {
    if text.len() > SIZE_LIMIT {
        return report(Problem::TooLarge(text.len()));
    }
    let mut items = Items::new(text);
    while let Some(item) = items.next() {
        match item {
            Err(problem) => report(problem),
            Ok((key, _)) => match occurrences(text, key, items.number - 1) {
                0 => {
                    if let Some(own) = near_miss(key) {
                        report(Problem::NearMiss(key, own));
                    }
                }
                1 => report(Problem::Duplicate(key)),
                _ => {}
            },
        }
    }
    if items.next_bytes().is_some() {
        report(Problem::TooMany);
    }
}

#[cfg(test)]
#[path = "parameters_tests.rs"]
mod tests;
