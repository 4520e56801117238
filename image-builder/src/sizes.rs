//! Bytes of an image per crate, from the symbols of its twin.
//!
//! Each byte of a loaded segment that the image holds belongs to the symbol that covers it, and each symbol to the crate that defines its
//! function: the first path of its demangled name. Symbols with C names (the kernel's interface) are told apart by the source file of their
//! code. What no symbol covers is constants (strings, tables) and padding; what is in no segment is headers. The sum is the image's size.

use crate::command::Error;
use crate::elf::{PT_LOAD, read::Executable};
use crate::symbols::Symbols;
use object::{Object, ObjectSymbol, SymbolKind};
use std::collections::BTreeMap;
use std::path::Path;

/// So many bytes of the image belong to `name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub name: String,
    pub bytes: u64,
}

const CONSTANTS: &str = "(constants without a symbol, padding)";
const FILES: &str = "(files and defaults)";
const HEADERS: &str = "(ELF headers)";
const NAMELESS: &str = "(C names of unknown origin)";
/// The linker script's names for the ends of the file blob.
const FILES_SYMBOLS: [&str; 2] = ["__files_start", "__files_end"];

/// A range of addresses with its owner.
struct Piece {
    start: u64,
    end: u64,
    owner: String,
}

/// Who has how much of `image` (already parsed as `program`), most first.
pub fn shares(image: &[u8], program: &Executable<'_>, twin: &Path) -> Result<Vec<Share>, Error> {
    let bytes = std::fs::read(twin).map_err(Error::io("read", twin))?;
    let unreadable = |error: object::Error| Error::Symbols(format!("{}: {error}", twin.display()));
    let object = object::File::parse(&*bytes).map_err(unreadable)?;
    let symbols = Symbols::open(twin).map_err(|error| Error::Symbols(error.to_string()))?;
    let pieces = pieces(&object, &symbols);

    let mut totals = BTreeMap::<String, u64>::new();
    let mut headers = image.len() as u64;
    for segment in program.segments.iter().filter(|segment| segment.kind == PT_LOAD) {
        let (start, end) = (
            segment.virtual_address,
            segment.virtual_address + segment.data.len() as u64,
        );
        headers -= segment.data.len() as u64;
        distribute(&pieces, start, end, &mut totals);
    }
    totals.insert(HEADERS.into(), headers);
    let mut shares: Vec<Share> = totals.into_iter().map(|(name, bytes)| Share { name, bytes }).collect();
    shares.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    Ok(shares)
}

/// Every symbol with a size, by address.
fn pieces(object: &object::File<'_>, symbols: &Symbols) -> Vec<Piece> {
    let address = |wanted: &str| {
        object
            .symbols()
            .find(|symbol| symbol.name() == Ok(wanted))
            .map(|symbol| symbol.address())
    };
    let mut pieces: Vec<Piece> = object
        .symbols()
        .filter(|symbol| symbol.size() > 0 && matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data))
        .filter_map(|symbol| {
            let (start, end) = (symbol.address(), symbol.address().checked_add(symbol.size())?);
            Some(Piece {
                start,
                end,
                owner: owner(symbol.name().ok()?, start, symbols),
            })
        })
        .collect();
    if let [Some(start), Some(end)] = FILES_SYMBOLS.map(address) {
        pieces.push(Piece {
            start,
            end,
            owner: FILES.into(),
        });
    }
    pieces.sort_by_key(|piece| (piece.start, std::cmp::Reverse(piece.end)));
    pieces
}

/// Adds the bytes from `start` to `end` to their owners' totals; where symbols overlap, the first has them.
fn distribute(pieces: &[Piece], start: u64, end: u64, totals: &mut BTreeMap<String, u64>) {
    let mut add = |owner: &str, bytes: u64| {
        if bytes > 0 {
            *totals.entry(owner.into()).or_default() += bytes;
        }
    };
    let mut at = start;
    for piece in pieces.iter().filter(|piece| piece.end > start && piece.start < end) {
        let (from, to) = (piece.start.clamp(at, end), piece.end.clamp(at, end));
        add(CONSTANTS, from - at);
        add(&piece.owner, to - from);
        at = to;
    }
    add(CONSTANTS, end - at);
}

fn owner(symbol: &str, address: u64, symbols: &Symbols) -> String {
    let found = match rustc_demangle::try_demangle(symbol) {
        Ok(name) => crate_of_name(&format!("{name:#}")).map(String::from),
        // Packages may be named with `-`; the crate has `_` instead.
        Err(_) => symbols
            .file(address)
            .as_deref()
            .and_then(crate_of_file)
            .map(|name| name.replace('-', "_")),
    };
    found.unwrap_or_else(|| NAMELESS.into())
}

/// The crate that a demangled name starts with: `core` of `core::fmt::write`; of `<T as Trait>::f` that of T, or that of the trait where T is
/// a primitive or a reference to one.
fn crate_of_name(name: &str) -> Option<&str> {
    let ends = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
    let words = name
        .split(ends)
        .filter(|word| !matches!(*word, "" | "mut" | "const" | "dyn" | "as" | "impl" | "for"));
    let paths = words
        .filter_map(|word| word.split_once("::"))
        .filter(|(head, _)| !head.is_empty());
    paths.map(|(head, _)| head).next().or_else(|| {
        (!name.contains("::"))
            .then_some(name)
            .filter(|name| !name.contains(ends))
    })
}

/// The crate of a source file as the builder names them: `crates/smoltcp-0.14.0/src/...`, `library/std/src/...`, `kernel-glue/src/...`.
fn crate_of_file(file: &str) -> Option<&str> {
    let mut parts = file
        .split('/')
        .skip_while(|part| matches!(*part, "" | "." | "cartridge"));
    match parts.next()? {
        "library" => parts.next(),
        "crates" => parts
            .next()
            .map(|folder| folder.rsplit_once('-').map_or(folder, |(name, _)| name)),
        "apps" => parts.next(),
        top => parts.next().map(|_| top),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_read_from_names() {
        for (name, expected) in [
            ("core::fmt::write", Some("core")),
            ("<smoltcp::wire::Ipv4 as core::fmt::Display>::fmt", Some("smoltcp")),
            ("<&T as core::fmt::Debug>::fmt", Some("core")),
            ("<&mut hello::App as core::ops::Drop>::drop", Some("hello")),
            ("<[u8] as alloc::slice::ToVec>::to_vec", Some("alloc")),
            ("core::ptr::drop_in_place<std::io::Error>", Some("core")),
            ("memcpy", Some("memcpy")),
        ] {
            assert_eq!(crate_of_name(name), expected, "{name}");
        }
    }

    #[test]
    fn crates_are_read_from_files() {
        assert_eq!(crate_of_file("crates/smoltcp-0.14.0/src/lib.rs"), Some("smoltcp"));
        assert_eq!(
            crate_of_file("cartridge/kernel-glue/src/abi/mod.rs"),
            Some("kernel-glue")
        );
        assert_eq!(crate_of_file("kernel-glue/src/abi/mod.rs"), Some("kernel-glue"));
        assert_eq!(
            crate_of_file("library/compiler-builtins/src/mem.rs"),
            Some("compiler-builtins")
        );
        assert_eq!(crate_of_file("apps/hello/src/main.rs"), Some("hello"));
    }

    #[test]
    fn every_byte_has_one_owner() {
        let piece = |start, end, owner: &str| Piece {
            start,
            end,
            owner: owner.into(),
        };
        let pieces = [piece(0, 10, "a"), piece(5, 12, "b"), piece(20, 40, "c")];
        let mut totals = BTreeMap::new();
        distribute(&pieces, 2, 30, &mut totals);
        let expected = [(CONSTANTS, 8), ("a", 8), ("b", 2), ("c", 10)].map(|(name, bytes)| (name.to_string(), bytes));
        assert_eq!(totals, BTreeMap::from(expected));
        assert_eq!(totals.values().sum::<u64>(), 28);
    }
}
