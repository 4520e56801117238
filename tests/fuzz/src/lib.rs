//! Everything that comes from outside, as targets for a fuzzer.
//!
//! A [`Target`] takes any bytes, hands them to one part of the cartridge, and panics when a promise of that part does not hold: it
//! panics itself, takes more memory than its documentation says, gives more than it may, or makes of bytes in pieces something else
//! than of the same bytes at once. The same targets run in two ways:
//!
//! - under LLVM's libFuzzer, guided by coverage: `./cartridge test fuzz` (see `src/bin/fuzz.rs`);
//! - as ordinary tests over the kept corpus, `corpus/NAME/*`: `tests/corpus.rs`.
//!
//! A target may keep nothing between two inputs, and read no clock: the same bytes do the same.
#![warn(missing_docs)]

pub mod bounds;
pub mod script;
pub mod targets;

/// One kind of input.
pub struct Target {
    /// Its name, which is also that of its folder in `corpus/`.
    pub name: &'static str,
    /// What it feeds.
    pub about: &'static str,
    /// The longest input that is tried, in bytes.
    pub longest: usize,
    /// Takes an input.
    pub run: fn(&[u8]),
}

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    targets::ALL.iter().find(|target| target.name == name)
}
