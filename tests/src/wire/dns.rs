//! A name server for a few names (RFC 1035), which refuses malformed questions.

use anyhow::{Context, Result, bail, ensure};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Has one address of each family.
pub const NAME: &str = "db.cartridge.test";
pub const NAME_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
pub const NAME_ADDRESS6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 53);
/// Another name for it.
pub const ALIAS: &str = "store.cartridge.test";

const HEADER: usize = 12;
/// Types and the class of records.
const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const INTERNET: u16 = 1;
/// A pointer to the name in the question (4.1.4).
const ASKED_NAME: [u8; 2] = [0xc0, HEADER as u8];

#[derive(Default)]
pub struct Server {
    /// How many questions to leave unanswered.
    pub ignore: usize,
    /// The names asked for, with who asked and the number of the question.
    pub asked: Vec<(String, SocketAddr, u16)>,
}

impl Server {
    /// The answer to one question, or none while questions are to be ignored.
    pub fn answer(&mut self, from: SocketAddr, question: &[u8]) -> Result<Option<Vec<u8>>> {
        let (name, kind) = parse(question).with_context(|| format!("the name server refuses {question:x?}"))?;
        let id = u16::from_be_bytes([question[0], question[1]]);
        self.asked.push((name.clone(), from, id));
        if self.ignore > 0 {
            self.ignore -= 1;
            return Ok(None);
        }
        let address = |owner: &[u8]| match kind {
            A => Some(record(owner, A, &NAME_ADDRESS.octets())),
            _ => Some(record(owner, AAAA, &NAME_ADDRESS6.octets())),
        };
        let records: Vec<Vec<u8>> = match name.to_ascii_lowercase().as_str() {
            NAME => address(&ASKED_NAME).into_iter().collect(),
            ALIAS => [Some(record(&ASKED_NAME, CNAME, &labels(NAME))), address(&labels(NAME))]
                .into_iter()
                .flatten()
                .collect(),
            _ => Vec::new(),
        };
        let no_such_name = u8::from(records.is_empty()) * 3;
        let mut message = question.to_vec();
        // An answer, with authority, recursion asked for and available.
        (message[2], message[3]) = (0x85, 0x80 | no_such_name);
        message[7] = records.len() as u8;
        message.extend(records.concat());
        Ok(Some(message))
    }

    /// Whether no two questions had the same port and number, which is what a forger would have to guess (RFC 5452).
    pub fn all_differ(&self) -> bool {
        let mut seen: Vec<_> = self.asked.iter().map(|(_, from, id)| (from.port(), *id)).collect();
        seen.sort_unstable();
        seen.windows(2).all(|pair| pair[0] != pair[1])
    }
}

/// The name and the type of a message that is one question and nothing else (4.1).
fn parse(message: &[u8]) -> Result<(String, u16)> {
    let (header, mut rest) = message.split_at_checked(HEADER).context("no whole header")?;
    ensure!(header[2] & 0xfe == 0, "not a standard query: {:x}", header[2]);
    ensure!(
        header[2] & 1 == 1,
        "recursion is not asked for, so a real server would refer elsewhere"
    );
    ensure!(header[3] == 0, "bits that are an answer's: {:x}", header[3]);
    ensure!(header[4..] == [0, 1, 0, 0, 0, 0, 0, 0], "not exactly one question");
    let mut name = Vec::new();
    loop {
        let (length, after) = rest.split_first().context("the name has no end")?;
        let (label, after) = after
            .split_at_checked(*length as usize)
            .context("the label has no end")?;
        rest = after;
        if label.is_empty() {
            break;
        }
        ensure!(
            label.len() < 64 && label.iter().all(u8::is_ascii_graphic),
            "the label {label:?}"
        );
        name.push(String::from_utf8_lossy(label).into_owned());
    }
    let [high, low, 0, 1] = rest else {
        bail!("the type and the class are {rest:?}")
    };
    let kind = u16::from_be_bytes([*high, *low]);
    ensure!([A, AAAA].contains(&kind), "type {kind}");
    Ok((name.join("."), kind))
}

fn labels(name: &str) -> Vec<u8> {
    let labels = name
        .split('.')
        .map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    labels.chain([vec![0]]).flatten().collect()
}

fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let [ttl, length] = [60u32.to_be_bytes().to_vec(), (data.len() as u16).to_be_bytes().to_vec()];
    [owner, &kind.to_be_bytes(), &INTERNET.to_be_bytes(), &ttl, &length, data].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, kind: u16) -> Vec<u8> {
        let header = [7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        [&header[..], &labels(name), &kind.to_be_bytes(), &[0, 1]].concat()
    }

    #[test]
    fn good_questions_are_answered_and_bad_ones_refused() {
        let (mut server, from) = (Server::default(), SocketAddr::from(([10, 9, 0, 50], 50_000)));
        let answer = server.answer(from, &question(ALIAS, A)).unwrap().unwrap();
        assert_eq!((answer[3], answer[7]), (0x80, 2));
        assert!(answer.ends_with(&NAME_ADDRESS.octets()));
        let none = server.answer(from, &question("elsewhere.test", AAAA)).unwrap().unwrap();
        assert_eq!((none[3], none[7]), (0x83, 0));
        let good = question(NAME, A);
        for (at, byte) in [(2, 0x81), (2, 0), (3, 1), (5, 2), (11, 1)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(server.answer(from, &bad).is_err(), "byte {at} is {byte:x}");
        }
        assert!(server.answer(from, &good[..good.len() - 1]).is_err());
        assert!(server.answer(from, &[&good[..], &[0]].concat()).is_err());
    }
}
