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
        let mut parts = Vec::new();
        let mut frames = self.0.find_frames(probe).ok()?;
        while let Ok(Some(frame)) = frames.next() {
            let function = frame
                .function
                .as_ref()
                .and_then(|name| name.demangle().ok().map(|name| short(&name)));
            let place = frame
                .location
                .as_ref()
                .and_then(|place| Some(format!("{}:{}", place.file?, place.line?)));
            match (function, place) {
                (Some(function), Some(place)) => parts.push(format!("{function} ({place})")),
                (Some(part), None) | (None, Some(part)) => parts.push(part),
                (None, None) => {}
            }
        }
        if parts.is_empty() {
            let symbol = self.0.find_symbol(probe)?;
            parts.push(short(&format!("{:#}", rustc_demangle::demangle(symbol))));
        }
        Some(parts.join(" in "))
    }

    /// The file of the function that encloses `address`, not that of what was inlined there.
    pub fn file(&self, address: u64) -> Option<String> {
        let mut frames = self.0.find_frames(address).ok()?;
        let mut file = None;
        while let Ok(Some(frame)) = frames.next() {
            if let Some(found) = frame.location.and_then(|place| place.file) {
                file = Some(found.to_string());
            }
        }
        file
    }
}

/// Without the hash that ends a legacy symbol.
fn short(name: &str) -> String {
    let hash = |rest: &str| rest.len() == 17 && rest[1..].chars().all(|c| c.is_ascii_hexdigit());
    match name.rsplit_once("::") {
        Some((head, tail)) if tail.starts_with('h') && hash(tail) => head.into(),
        _ => name.into(),
    }
}

/// Adds function and line to a line of a fault report: `fault:   at 0x101234`.
pub struct Annotator {
    symbols: Symbols,
    /// The first address of a report is the fault's own, the others are return addresses.
    first: bool,
}

impl Annotator {
    pub fn new(symbols: Symbols) -> Self {
        Self { symbols, first: true }
    }

    /// The line as it should be shown.
    pub fn annotate(&mut self, line: &str) -> String {
        let Some(address) = fault_address(line) else {
            self.first |= line.starts_with(FAULT);
            return line.into();
        };
        let kind = if self.first { Address::Exact } else { Address::Return };
        self.first = false;
        match self.symbols.describe(address, kind) {
            Some(place) => format!("{line} {place}"),
            None => line.into(),
        }
    }
}

/// What each line of a fault report starts with.
pub const FAULT: &str = "fault:";

/// The address of `fault:   at 0x101234`.
fn fault_address(line: &str) -> Option<u64> {
    let address = line.strip_prefix(FAULT)?.trim_start().strip_prefix("at 0x")?;
    u64::from_str_radix(address.trim_end(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_address_lines_of_a_report_have_an_address() {
        assert_eq!(fault_address("fault:   at 0x101234"), Some(0x101234));
        assert_eq!(
            fault_address("fault: page fault (vector 14) error 0x2 address 0x0 in thread 3"),
            None
        );
        assert_eq!(fault_address("the fault:   at 0x101234"), None);
        assert_eq!(fault_address("fault:   at 0xzz"), None);
    }

    #[test]
    fn the_hash_of_a_legacy_name_is_left_out() {
        assert_eq!(short("core::fmt::write::h0123456789abcdef"), "core::fmt::write");
        assert_eq!(short("core::fmt::write"), "core::fmt::write");
        assert_eq!(short("hello::main"), "hello::main");
    }

    /// This test program stands in for a twin: it is an ELF with symbols and line tables, too.
    #[test]
    fn a_function_of_this_program_is_found_by_name_file_and_line() {
        let own = std::env::current_exe().unwrap();
        let symbols = Symbols::open(&own).unwrap();
        let file = std::fs::read(&own).unwrap();
        let object = object::File::parse(&*file).unwrap();
        use object::{Object, ObjectSymbol};
        let symbol = object
            .symbols()
            .find(|symbol| symbol.name().is_ok_and(|name| name.contains("fault_address")));
        let place = symbols.describe(symbol.unwrap().address(), Address::Exact).unwrap();
        assert!(
            place.contains("fault_address (") && place.contains("symbols.rs:"),
            "{place}"
        );
    }
}
