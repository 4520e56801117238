//! DNS messages (RFC 1035 4): a question out, addresses in.

use crate::errno::{Errno, Result};
use crate::heap::Vec;
use core::net::IpAddr;

pub const PORT: u16 = 53;
/// The longest message over UDP, bytes (RFC 1035 4.2.1).
pub const LONGEST_MESSAGE: usize = 512;
/// Record types: RFC 1035 3.2.2, RFC 3596 2.1.
pub const A: u16 = 1;
pub const AAAA: u16 = 28;

const HEADER: usize = 12;
/// Class IN (RFC 1035 3.2.4).
const INTERNET: u16 = 1;
/// In the header's third and fourth byte: an answer, it was cut off, recursion desired; the mask and a value of the response code (4.1.1).
const IS_ANSWER: u8 = 0x80;
const CUT_OFF: u8 = 2;
const RECURSION_DESIRED: u8 = 1;
const CODE: u8 = 15;
const NO_SUCH_NAME: u8 = 3;
/// Longest label, and longest name with its length bytes (2.3.4).
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 255;

/// One question, as it is sent.
pub struct Question {
    message: [u8; HEADER + LONGEST_NAME + 4],
    length: usize,
    kind: u16,
}

impl Question {
    /// Asks for records of type `kind`. ENOENT for what cannot be a name.
    pub fn new(id: u16, name: &str, kind: u16) -> Result<Question> {
        let mut message = [0; HEADER + LONGEST_NAME + 4];
        message[..2].copy_from_slice(&id.to_be_bytes());
        (message[2], message[5]) = (RECURSION_DESIRED, 1);
        let mut at = HEADER;
        for label in name.as_bytes().split(|byte| *byte == b'.') {
            if label.is_empty() || label.len() > LONGEST_LABEL || at + label.len() + 2 > HEADER + LONGEST_NAME {
                return Err(Errno::ENOENT);
            }
            message[at] = label.len() as u8;
            message[at + 1..][..label.len()].copy_from_slice(label);
            at += 1 + label.len();
        }
        let [high, low] = kind.to_be_bytes();
        message[at..at + 5].copy_from_slice(&[0, high, low, 0, INTERNET as u8]);
        Ok(Question {
            message,
            length: at + 5,
            kind,
        })
    }

    pub fn bytes(&self) -> &[u8] {
        &self.message[..self.length]
    }

    /// Takes the addresses of `answer`, if it is one to this question (false: it is not). EAGAIN when the server could not answer, or
    /// all that fits in a datagram is no address.
    pub fn take(&self, answer: &[u8], found: &mut Vec<IpAddr>) -> Result<bool> {
        let asked = self.bytes();
        let Some((head, mut records)) = answer.split_at_checked(asked.len()) else {
            return Ok(false);
        };
        let same_name = head[HEADER..].eq_ignore_ascii_case(&asked[HEADER..]);
        if head[..2] != asked[..2] || head[2] & IS_ANSWER == 0 || head[4..6] != asked[4..6] || !same_name {
            return Ok(false);
        }
        match head[3] & CODE {
            0 => {}
            NO_SUCH_NAME => return Ok(true),
            _ => return Err(Errno::EAGAIN),
        }
        // Servers follow aliases (RFC 1034 5.3.1): whoever owns the address at the end of the chain, it is meant for the name.
        let before = found.len();
        for _ in 0..u16::from_be_bytes([head[6], head[7]]) {
            let Some((kind, data, rest)) = record(records) else {
                break;
            };
            records = rest;
            if kind == self.kind
                && let Some(address) = address(data)
            {
                found.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                found.push(address);
            }
        }
        if found.len() == before && head[2] & CUT_OFF != 0 {
            return Err(Errno::EAGAIN);
        }
        Ok(true)
    }
}

/// A record's type, its data, and what comes after it (RFC 1035 4.1.3).
fn record(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let mut rest = bytes;
    // The owner's name: labels up to an empty one or a pointer (4.1.4).
    loop {
        let length = *rest.first()?;
        let whole = match length {
            0 => 1,
            0xc0.. => 2,
            _ => 1 + length as usize,
        };
        rest = rest.get(whole..)?;
        if length == 0 || length >= 0xc0 {
            break;
        }
    }
    let (fixed, rest) = rest.split_first_chunk::<10>()?;
    let (data, rest) = rest.split_at_checked(u16::from_be_bytes([fixed[8], fixed[9]]) as usize)?;
    // Records of other classes are of no type that is asked for.
    let kind = match fixed[2..4] {
        [0, class] if class == INTERNET as u8 => u16::from_be_bytes([fixed[0], fixed[1]]),
        _ => 0,
    };
    Some((kind, data, rest))
}

fn address(data: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(data) {
        return Some(four.into());
    }
    <[u8; 16]>::try_from(data).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap;

    const POINTER: [u8; 2] = [0xc0, 12];

    fn answer(question: &Question, code: u8, records: &[&[u8]]) -> std::vec::Vec<u8> {
        let mut message = question.bytes().to_vec();
        (message[2], message[3], message[7]) = (0x81, 0x80 | code, records.len() as u8);
        message.extend(records.concat());
        message
    }

    fn taken(question: &Question, message: &[u8]) -> (Result<bool>, std::vec::Vec<IpAddr>) {
        let mut found = heap::vec();
        let result = question.take(message, &mut found);
        (result, found.to_vec())
    }

    #[test]
    fn names() {
        let question = Question::new(0x1234, "a.example", A).unwrap();
        assert_eq!(
            question.bytes(),
            b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01"
        );
        let longest = [&*"a".repeat(63); 4].join(".");
        assert!(Question::new(0, &longest[..253], AAAA).is_ok());
        for wrong in ["", "a..b", ".a", &longest[..254], &"a".repeat(64)] {
            assert_eq!(Question::new(0, wrong, A).err(), Some(Errno::ENOENT), "{wrong}");
        }
    }

    #[test]
    fn answers() {
        let question = Question::new(7, "a.example", A).unwrap();
        let alias = [&POINTER[..], &[0, 5, 0, 1, 0, 0, 0, 9, 0, 4, 1, b'b', 0xc0, 14]].concat();
        let four = [&[1, b'b', 0xc0, 14][..], &[0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 9, 8, 7]].concat();
        let good = answer(&question, 0, &[&alias, &four]);
        let addresses = std::vec![IpAddr::from([10, 9, 8, 7])];
        assert_eq!(taken(&question, &good), (Ok(true), addresses.clone()));
        assert_eq!(
            taken(&question, &answer(&question, 3, &[])),
            (Ok(true), std::vec::Vec::new())
        );
        assert_eq!(taken(&question, &answer(&question, 2, &[])).0, Err(Errno::EAGAIN));
        let mut cut_off = answer(&question, 0, &[&alias]);
        cut_off[2] |= CUT_OFF;
        assert_eq!(taken(&question, &cut_off).0, Err(Errno::EAGAIN));
        let mut chaos = four.clone();
        chaos[7] = 3;
        assert_eq!(
            taken(&question, &answer(&question, 0, &[&chaos])),
            (Ok(true), std::vec::Vec::new())
        );
        let other = Question::new(8, "a.example", A).unwrap();
        assert_eq!(taken(&other, &good).0, Ok(false));
        assert_eq!(taken(&question, question.bytes()).0, Ok(false));
        for length in 0..good.len() {
            assert!(taken(&question, &good[..length]).1.is_empty());
        }
        let six = Question::new(7, "a.example", AAAA).unwrap();
        let record = [&POINTER[..], &[0, 28, 0, 1, 0, 0, 0, 9, 0, 16], &[0xfd; 16]].concat();
        assert_eq!(taken(&six, &answer(&six, 0, &[&record])).1, [IpAddr::from([0xfd; 16])]);
    }
}
