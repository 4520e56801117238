//! The calls that led to a fault, from what the guest could print: registers, and every word on its stack that may be a return address.
//!
//! An image has no unwind tables; its twin has (`.debug_frame`, DWARF 5 section 6.4). For each function they say how far above the stack
//! pointer its caller's return address lies, and the report says what lies there: the chain is exact. Where it breaks (assembly, a frame
//! without table), the next word that follows a call of the function in question is taken, and marked as a guess.

use crate::elf::{PF_X, PT_LOAD, read::Executable};
use gimli::{
    BaseAddresses, CfaRule, DebugFrame, EndianSlice, LittleEndian, RegisterRule, UnwindContext, UnwindSection, X86_64,
};
use object::{Object, ObjectSection, ObjectSymbol};
use std::collections::BTreeMap;
use std::ops::Range;

/// No chain is longer; a damaged stack must not make one.
const LONGEST: usize = 64;

/// What a report says about the stack.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    /// The instruction that faulted, or where abort was called.
    pub instruction: Option<u64>,
    /// The instruction is the one after a call that did not come back.
    pub aborted: bool,
    /// RSP and RBP at that instruction.
    pub pointer: Option<u64>,
    pub base: Option<u64>,
    /// Words that look like return addresses, by their distance from RSP, ascending.
    pub words: Vec<(u64, u64)>,
}

/// One call of the chain, innermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub address: u64,
    /// The address is the faulting instruction itself, not that after a call.
    pub exact: bool,
    pub guess: bool,
}

/// A twin's unwind tables, functions and code.
pub struct Unwinder {
    frames: Vec<u8>,
    /// Functions' ends by their starts.
    functions: BTreeMap<u64, u64>,
    /// Executable bytes by address.
    code: Vec<(u64, Vec<u8>)>,
}

/// A position on the way up: where the code is and how far the stack pointer has risen.
struct Place {
    address: u64,
    exact: bool,
    /// RSP here, from RSP at the fault.
    risen: u64,
    base: Option<u64>,
}

impl Unwinder {
    /// Reads a twin; one without tables still gives guesses.
    pub fn new(twin: &[u8]) -> Option<Self> {
        let object = object::File::parse(twin).ok()?;
        let frames = object
            .section_by_name(".debug_frame")
            .and_then(|section| section.data().ok())
            .unwrap_or_default();
        let functions = object.symbols().filter(|symbol| symbol.size() > 0);
        let functions = functions.map(|symbol| (symbol.address(), symbol.address().saturating_add(symbol.size())));
        let loads = Executable::parse(twin)
            .ok()?
            .segments
            .into_iter()
            .filter(|segment| segment.kind == PT_LOAD && segment.flags & PF_X != 0);
        Some(Self {
            frames: frames.to_vec(),
            functions: functions.collect(),
            code: loads
                .map(|segment| (segment.virtual_address, segment.data.to_vec()))
                .collect(),
        })
    }

    /// The chain of calls, innermost first.
    pub fn calls(&self, stack: &Stack) -> Vec<Call> {
        let start = match (stack.instruction, stack.words.first()) {
            (Some(address), _) => Place {
                address,
                exact: !stack.aborted,
                risen: 0,
                base: stack.base,
            },
            (None, Some(&(distance, address))) => Place {
                address,
                exact: false,
                risen: distance.saturating_add(8),
                base: stack.base,
            },
            (None, None) => return Vec::new(),
        };
        let mut calls = vec![Call {
            address: start.address,
            exact: start.exact,
            guess: false,
        }];
        let mut place = start;
        while calls.len() < LONGEST {
            let certain = self.caller(&place, stack).or_else(|| self.stray(&place, stack));
            let guess = certain.is_none();
            let Some(next) = certain.or_else(|| self.guess(&place, stack)) else {
                break;
            };
            calls.push(Call {
                address: next.address,
                exact: false,
                guess,
            });
            place = next;
        }
        calls
    }

    /// The caller by the tables, if they cover this place and the word is where they say.
    fn caller(&self, place: &Place, stack: &Stack) -> Option<Place> {
        let frames = DebugFrame::new(&self.frames, LittleEndian);
        let mut frames: DebugFrame<EndianSlice<'_, LittleEndian>> = frames;
        frames.set_address_size(8);
        let mut context = UnwindContext::new();
        let bases = BaseAddresses::default();
        let probe = if place.exact {
            place.address
        } else {
            place.address.checked_sub(1)?
        };
        let row = frames
            .unwind_info_for_address(&bases, &mut context, probe, DebugFrame::cie_from_offset)
            .ok()?;
        let CfaRule::RegisterAndOffset { register, offset } = row.cfa() else {
            return None;
        };
        // The frame's end (the caller's RSP before its call pushed the return address), from RSP at the fault.
        let end = match *register {
            X86_64::RSP => place.risen.checked_add_signed(*offset)?,
            X86_64::RBP => place.base?.checked_add_signed(*offset)?.checked_sub(stack.pointer?)?,
            _ => return None,
        };
        let base = match row.register(X86_64::RBP) {
            None | Some(RegisterRule::SameValue) => place.base,
            // It was saved on the stack, whose other words are not known here.
            _ => None,
        };
        let distance = end.checked_sub(8).filter(|distance| *distance >= place.risen)?;
        let at = stack
            .words
            .binary_search_by_key(&distance, |(distance, _)| *distance)
            .ok()?;
        Some(Place {
            address: stack.words[at].1,
            exact: false,
            risen: end,
            base,
        })
    }

    /// The caller of what is no code: nothing was pushed since the call.
    fn stray(&self, place: &Place, stack: &Stack) -> Option<Place> {
        let is_code = |(start, bytes): &(u64, Vec<u8>)| (*start..*start + bytes.len() as u64).contains(&place.address);
        if !place.exact || self.code.iter().any(is_code) {
            return None;
        }
        let (distance, address) = stack.words.first().filter(|(distance, _)| *distance == 0)?;
        Some(Place {
            address: *address,
            exact: false,
            risen: distance.saturating_add(8),
            base: place.base,
        })
    }

    /// The next word on the stack that follows a direct call of the function this place is in.
    fn guess(&self, place: &Place, stack: &Stack) -> Option<Place> {
        let function = self.function(place.address.saturating_sub(u64::from(!place.exact)))?;
        let above = stack.words.iter().filter(|(distance, _)| *distance >= place.risen);
        let mut calls = above.filter(|(_, address)| self.call_target(*address) == Some(function.start));
        let (distance, address) = calls.next()?;
        Some(Place {
            address: *address,
            exact: false,
            risen: distance.saturating_add(8),
            base: None,
        })
    }

    fn function(&self, address: u64) -> Option<Range<u64>> {
        let (start, end) = self.functions.range(..=address).next_back()?;
        (address < *end).then_some(*start..*end)
    }

    /// Where the direct call (E8 rel32; Intel SDM volume 2, CALL) before `address` leads.
    fn call_target(&self, address: u64) -> Option<u64> {
        let within = |(start, bytes): &&(u64, Vec<u8>)| (*start + 5..=*start + bytes.len() as u64).contains(&address);
        let (start, bytes) = self.code.iter().find(within)?;
        let end = (address - start) as usize;
        match bytes[end - 5..end] {
            [0xe8, a, b, c, d] => address.checked_add_signed(i32::from_le_bytes([a, b, c, d]).into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At 0x1000, `call 0x1010`; nothing else matters.
    fn unwinder() -> Unwinder {
        let mut code = vec![0x90; 0x40];
        code[..5].copy_from_slice(&[0xe8, 0x0b, 0, 0, 0]);
        Unwinder {
            frames: Vec::new(),
            functions: [(0x1000, 0x1010), (0x1010, 0x1020)].into(),
            code: vec![(0x1000, code)],
        }
    }

    #[test]
    fn without_tables_a_word_after_a_call_of_the_function_is_a_guess() {
        let words = vec![(0, 0x1030), (24, 0x1005), (32, 0x1030)];
        let stack = Stack {
            instruction: Some(0x1012),
            words,
            ..Stack::default()
        };
        let calls = unwinder().calls(&stack);
        let guess = Call {
            address: 0x1005,
            exact: false,
            guess: true,
        };
        assert_eq!(
            calls,
            [
                Call {
                    address: 0x1012,
                    exact: true,
                    guess: false
                },
                guess
            ]
        );
    }

    #[test]
    fn the_caller_of_what_is_no_code_is_the_word_it_left() {
        let stack = Stack {
            instruction: Some(0x5000),
            words: vec![(0, 0x1005), (8, 0x1030)],
            ..Stack::default()
        };
        let caller = Call {
            address: 0x1005,
            exact: false,
            guess: false,
        };
        assert_eq!(unwinder().calls(&stack)[1], caller);
    }

    #[test]
    fn distances_that_no_stack_has_do_no_harm() {
        // An app can print a report of its own.
        let words = vec![(u64::MAX - 1, 0x1005), (u64::MAX, 0x1005)];
        let stack = Stack {
            words,
            ..Stack::default()
        };
        assert!(unwinder().calls(&stack).len() <= LONGEST);
    }

    #[test]
    fn with_tables_the_word_in_the_right_place_is_taken_and_stale_ones_are_not() {
        let tabled = Unwinder {
            frames: tables(),
            ..unwinder()
        };
        // The frame of 0x1010..0x1020 is 24 bytes: its return address lies 16 above RSP.
        let words = vec![(0, 0x1005), (16, 0x1005), (24, 0x1005)];
        let stack = Stack {
            instruction: Some(0x1012),
            words,
            ..Stack::default()
        };
        let calls = tabled.calls(&stack);
        assert_eq!(
            calls[1..],
            [Call {
                address: 0x1005,
                exact: false,
                guess: false
            }]
        );
    }

    /// `.debug_frame` with one CIE and one FDE: CFA is RSP + 24 in 0x1010..0x1020.
    fn tables() -> Vec<u8> {
        let mut bytes = Vec::new();
        // Length 20, CIE id, version 4, no augmentation, address size 8, segment size 0, code factor 1, data factor -8, RA column 16,
        // DW_CFA_def_cfa RSP (7) + 24, DW_CFA_offset RA at CFA - 8, padding.
        bytes.extend(20u32.to_le_bytes());
        bytes.extend(u32::MAX.to_le_bytes());
        bytes.extend([4, 0, 8, 0, 1, 0x78, 16, 0x0c, 7, 24, 0x90, 1, 0, 0, 0, 0]);
        // Length 20, the CIE at 0, initial location and range.
        bytes.extend(20u32.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
        bytes.extend(0x1010u64.to_le_bytes());
        bytes.extend(0x10u64.to_le_bytes());
        bytes
    }
}
