//! Fault reports on the console, made readable: the chain of calls with functions and lines in place of bare addresses.
//!
//! The kernel prints lines that start with `fault:`; among them registers (`rip 0x... rsp 0x...`) and, for each word on the stack that may be
//! a return address, `fault:   at 0xADDRESS sp+0xDISTANCE`. All of these words together become the chain ([`crate::unwind`]).

use crate::symbols::{Address, Symbols};
use crate::unwind::{Call, Stack, Unwinder};
use std::fs;
use std::path::PathBuf;

const PREFIX: &str = "fault:";
/// A report that no exception caused: its first address follows a call.
const ABORT: &str = "fault: abort";

/// Address lines that are held back at most: many more than a report of the kernel has. An app may print what looks like them for ever.
const MOST_HELD: usize = 256;

/// Takes console lines, gives those to show.
pub struct Reader {
    twin: PathBuf,
    /// Read when the first report comes; `None` within: it cannot be.
    names: Option<Option<Names>>,
    stack: Stack,
    /// Address lines held back until the report ends.
    held: Vec<String>,
}

struct Names {
    symbols: Symbols,
    unwinder: Option<Unwinder>,
}

impl Reader {
    /// `twin` need not exist; addresses then stay as they are.
    pub fn new(twin: PathBuf) -> Self {
        Self {
            twin,
            names: None,
            stack: Stack::default(),
            held: Vec::new(),
        }
    }

    /// One more line from the console; what to show now.
    pub fn line(&mut self, line: &str) -> Vec<String> {
        if let Some((address, distance)) = address_line(line) {
            self.held.push(line.into());
            match distance {
                Some(distance) => self.stack.words.push((distance, address)),
                None if self.stack.instruction == Some(address) => {}
                // A kernel that tells no distances: there is no chain, only words.
                None => self.stack.words.push((u64::MAX, address)),
            }
            return match self.held.len() < MOST_HELD {
                true => Vec::new(),
                false => self.finish(),
            };
        }
        let mut shown = self.finish();
        if line.starts_with(PREFIX) {
            self.registers(line);
        }
        shown.push(line.into());
        shown
    }

    /// What was held back, once no more lines come.
    pub fn finish(&mut self) -> Vec<String> {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return held;
        }
        let stack = std::mem::take(&mut self.stack);
        let twin = &self.twin;
        match self.names.get_or_insert_with(|| Names::read(twin)) {
            Some(names) => names.describe(stack),
            None => held,
        }
    }

    fn registers(&mut self, line: &str) {
        self.stack.aborted |= line.starts_with(ABORT);
        let mut words = line.split_whitespace();
        while let Some(word) = words.next() {
            let value = || hexadecimal(words.clone().next()?);
            match word {
                "rip" => self.stack.instruction = value(),
                "rsp" => self.stack.pointer = value(),
                "rbp" => self.stack.base = value(),
                _ => {}
            }
        }
    }
}

impl Names {
    fn read(twin: &PathBuf) -> Option<Self> {
        match Symbols::open(twin) {
            Ok(symbols) => Some(Self {
                symbols,
                unwinder: fs::read(twin).ok().and_then(|bytes| Unwinder::new(&bytes)),
            }),
            Err(error) => {
                eprintln!("cartridge: addresses stay without names: {error}");
                None
            }
        }
    }

    fn describe(&self, mut stack: Stack) -> Vec<String> {
        let known = stack.words.iter().all(|(distance, _)| *distance != u64::MAX);
        let calls = match self.unwinder.as_ref().filter(|_| known) {
            Some(unwinder) => {
                stack.words.sort();
                unwinder.calls(&stack)
            }
            None => {
                let start = stack.instruction.map(|address| Call {
                    address,
                    exact: true,
                    guess: false,
                });
                let words = stack.words.iter().map(|(_, address)| Call {
                    address: *address,
                    exact: false,
                    guess: true,
                });
                start.into_iter().chain(words).collect()
            }
        };
        calls.into_iter().map(|call| self.line(call)).collect()
    }

    fn line(&self, Call { address, exact, guess }: Call) -> String {
        let kind = if exact { Address::Exact } else { Address::Return };
        let place = self
            .symbols
            .describe(address, kind)
            .unwrap_or_else(|| "outside of the program".into());
        format!("{PREFIX}   at {address:#x} {place}{}", if guess { " ?" } else { "" })
    }
}

/// Address and distance of `fault:   at 0x101234 sp+0x18`; the distance may be missing.
fn address_line(line: &str) -> Option<(u64, Option<u64>)> {
    let mut words = line.strip_prefix(PREFIX)?.split_whitespace();
    if words.next()? != "at" {
        return None;
    }
    let address = hexadecimal(words.next()?)?;
    Some((
        address,
        words.next().and_then(|word| hexadecimal(word.strip_prefix("sp+")?)),
    ))
}

fn hexadecimal(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_address_lines_of_a_report_have_an_address() {
        assert_eq!(
            address_line("fault:   at 0x101234 sp+0x18"),
            Some((0x101234, Some(0x18)))
        );
        assert_eq!(address_line("fault:   at 0x101234"), Some((0x101234, None)));
        assert_eq!(
            address_line("fault: page fault (vector 14) error 0x2 address 0x0 in thread 3"),
            None
        );
        assert_eq!(address_line("the fault:   at 0x101234"), None);
        assert_eq!(address_line("fault:   at 0xzz"), None);
    }

    #[test]
    fn without_a_twin_a_report_is_shown_as_it_is_and_in_order() {
        let mut reader = Reader::new("/no/such/twin".into());
        let report = [
            "hello",
            "fault: page fault (vector 14)",
            "fault: rip 0x1 rsp 0x2 rbp 0x3",
            "fault:   at 0x1",
            "fault:   at 0x5 sp+0x8",
            "bye",
        ];
        let shown: Vec<String> = report.iter().flat_map(|line| reader.line(line)).collect();
        assert_eq!(shown, report);
        assert!(reader.finish().is_empty());
    }

    #[test]
    fn an_app_that_prints_addresses_without_end_fills_no_memory() {
        let mut reader = Reader::new("/no/such/twin".into());
        let mut shown = 0;
        for _ in 0..10 * MOST_HELD {
            shown += reader.line("fault:   at 0x5 sp+0x8").len();
            assert!(reader.held.len() < MOST_HELD && reader.stack.words.len() < MOST_HELD);
        }
        assert_eq!(shown, 10 * MOST_HELD, "all is shown");
    }

    #[test]
    fn registers_are_read() {
        let mut reader = Reader::new("/no/such/twin".into());
        reader.line("fault: rip 0x101000 rsp 0x7000 rbp 0x0 rflags 0x2");
        assert_eq!(
            (reader.stack.instruction, reader.stack.pointer, reader.stack.base),
            (Some(0x101000), Some(0x7000), Some(0))
        );
    }
}
