//! Functions and lines for addresses, from an image's unstripped twin.

use std::fmt;
use std::path::{Path, PathBuf};

/// Line tables and symbols of one program.
pub struct Symbols(addr2line::Loader);

/// The twin cannot be read.
#[derive(Debug)]
pub struct Error(PathBuf, String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read the symbols in {}: {}", self.0.display(), self.1)
    }
}

/// What stands for an address in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// Of the instruction itself.
    Exact,
    /// Of the instruction after a call: the call is what is wanted.
    Return,
}

impl Symbols {
    pub fn open(twin: &Path) -> Result<Self, Error> {
        addr2line::Loader::new(twin)
            .map(Self)
            .map_err(|error| Error(twin.into(), error.to_string()))
    }

    /// `function (file:line)`, inlined functions first, joined by ` in `; `None` outside the program's code.
    pub fn describe(&self, address: u64, kind: Address) -> Option<String> {
        let probe = match kind {
            Address::Exact => address,
            Address::Return => address.checked_sub(1)?,
        };
        let mut frames = Vec::new();
        let mut found = self.0.find_frames(probe).ok()?;
        while let Ok(Some(frame)) = found.next() {
            let function = frame
                .function
                .as_ref()
                .and_then(|name| name.demangle().ok().map(|name| short(&name)));
            let place = frame
                .location
                .as_ref()
                .and_then(|place| Some(format!("{}:{}", tidy(place.file?), place.line?)));
            frames.push((function, place));
        }
        // The symbol has the whole path of the enclosing function; line tables have its last name at best.
        let symbol = self
            .0
            .find_symbol(probe)
            .map(|symbol| short(&format!("{:#}", rustc_demangle::demangle(symbol))));
        match (frames.last_mut(), symbol) {
            (Some((function, _)), Some(symbol)) => *function = Some(symbol),
            (None, symbol) => frames.push((symbol, None)),
            _ => {}
        }
        frames.drain(INLINED_SHOWN.min(frames.len() - 1)..frames.len() - 1);
        let parts = frames.into_iter().filter_map(|frame| match frame {
            (Some(function), Some(place)) => Some(format!("{function} ({place})")),
            (part, other) => part.or(other),
        });
        Some(parts.collect::<Vec<_>>().join(" in ")).filter(|text| !text.is_empty())
    }

    /// The file of the function that encloses `address`, not that of what was inlined there.
    pub fn file(&self, address: u64) -> Option<String> {
        let mut frames = self.0.find_frames(address).ok()?;
        let mut file = None;
        while let Ok(Some(frame)) = frames.next() {
            if let Some(found) = frame.location.and_then(|place| place.file) {
                file = Some(tidy(found).to_string());
            }
        }
        file
    }
}

/// The name without type arguments, and without the hash that ends a legacy symbol. A leading `<T as Trait>` stays.
fn short(name: &str) -> String {
    let hash =
        |tail: &str| tail.len() == 17 && tail.starts_with('h') && tail[1..].chars().all(|c| c.is_ascii_hexdigit());
    let name = name
        .rsplit_once("::")
        .filter(|(_, tail)| hash(tail))
        .map_or(name, |(head, _)| head);
    let (mut text, mut depth) = (String::new(), 0);
    for (at, letter) in name.char_indices() {
        let follows_name =
            |text: &str| text.ends_with("::") || text.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        match letter {
            '<' if depth > 0 || (at > 0 && follows_name(&text)) => depth += 1,
            '>' if depth > 0 && !name[..at].ends_with('-') => depth -= 1,
            _ if depth == 0 => text.push(letter),
            _ => {}
        }
    }
    text.replace("::::", "::").trim_end_matches("::").into()
}

/// A source file by the names the builder gives to folders, without those of the folder cargo happened to be in.
fn tidy(file: &str) -> &str {
    let crates = file.find("/crates/").map(|at| &file[at + 1..]);
    crates.unwrap_or_else(|| file.strip_prefix("cartridge/").unwrap_or(file))
}

/// Inlined functions shown of one address; those between them and the enclosing one say little more.
const INLINED_SHOWN: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_type_arguments_and_hashes() {
        assert_eq!(short("core::fmt::write::h0123456789abcdef"), "core::fmt::write");
        assert_eq!(short("call_once<fn() -> u8, ()>"), "call_once");
        assert_eq!(
            short("<alloc::vec::Vec<u8> as core::ops::Drop>::drop"),
            "<alloc::vec::Vec as core::ops::Drop>::drop"
        );
        assert_eq!(
            short("std::rt::lang_start::<()>::{closure#0}"),
            "std::rt::lang_start::{closure#0}"
        );
        assert_eq!(short("hello::main"), "hello::main");
    }

    #[test]
    fn files_lose_the_folder_of_the_compilation() {
        assert_eq!(tidy("cartridge/apps/hello/src/main.rs"), "apps/hello/src/main.rs");
        assert_eq!(
            tidy("library/std/crates/hashbrown-0.16.1/src/raw/mod.rs"),
            "crates/hashbrown-0.16.1/src/raw/mod.rs"
        );
        assert_eq!(tidy("library/std/src/rt.rs"), "library/std/src/rt.rs");
    }

    /// This test program stands in for a twin: it is an ELF with symbols and line tables, too.
    #[test]
    fn a_function_of_this_program_is_found_by_name_file_and_line() {
        let own = std::env::current_exe().unwrap();
        let symbols = Symbols::open(&own).unwrap();
        let file = std::fs::read(&own).unwrap();
        let object = object::File::parse(&*file).unwrap();
        use object::{Object, ObjectSymbol};
        let is_tidy = |name: &str| short(&rustc_demangle::demangle(name).to_string()) == "cartridge::symbols::tidy";
        let symbol = object.symbols().find(|symbol| symbol.name().is_ok_and(is_tidy));
        let place = symbols.describe(symbol.unwrap().address(), Address::Exact).unwrap();
        assert!(
            place.contains("symbols::tidy (") && place.contains("symbols.rs:"),
            "{place}"
        );
    }
}
