//! zip as it arrives: local headers and their content, then the central directory, which has to tell the same.
//!
//! Other readers go by the central directory only. Here files are made as their local headers say, and the archive is refused at
//! its end unless both name the same entries: nobody sees another content than they do. Which entries are links is said only
//! in the central directory; what was made of those is taken back.

use super::inflate::Inflate;
use super::zip_record::{self as record, Local, Method};
use super::{Folder, Problem};
use flate2::Crc;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Longest record that is collected: name, extra field and comment are at most 64 KiB each.
const LONGEST: usize = 3 * 65_536 + record::CENTRAL_SIZE;

/// A zip archive being read.
pub struct Zip {
    state: State,
    /// The record that is being collected.
    collected: Vec<u8>,
    /// Bytes of it that are needed to go on.
    needed: usize,
    entries: Tally,
    listed: Tally,
}

enum State {
    /// A record: its signature, its fixed part, its whole.
    Signature,
    Fixed,
    Whole,
    Stored(Local, u64, Crc),
    Deflated(Local, Box<Inflate>),
    /// What is known of the entry before it: CRC, packed and unpacked size.
    Descriptor(Local, u32, u64, u64),
    /// Bytes of a record that does not matter.
    Skip(u64),
    /// A comment may follow.
    Ended,
}

/// What entries there are, whatever their order: their number, and a sum over each one's name and CRC.
#[derive(Default, PartialEq, Eq)]
struct Tally {
    count: u64,
    sum: u64,
}

impl Tally {
    fn add(&mut self, name: &[u8], crc: u32) {
        let mut hasher = DefaultHasher::new();
        (name, crc).hash(&mut hasher);
        self.count += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

impl Default for Zip {
    fn default() -> Self {
        Zip {
            state: State::Signature,
            collected: Vec::new(),
            needed: 4,
            entries: Tally::default(),
            listed: Tally::default(),
        }
    }
}

impl Zip {
    pub fn take(&mut self, mut bytes: &[u8], folder: &mut Folder) -> Result<(), Problem> {
        while !bytes.is_empty() {
            let used = match &mut self.state {
                State::Stored(local, left, crc) => {
                    let used = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    crc.update(&bytes[..used]);
                    folder.write(&bytes[..used])?;
                    *left -= used as u64;
                    if *left == 0 {
                        let (crc, size) = (crc.sum(), local.packed);
                        let local = local.clone();
                        self.content_ends(local, crc, size, size, folder)?;
                    }
                    used
                }
                State::Deflated(local, inflate) => {
                    // Content of a stated size ends there, whatever it would unpack to.
                    let rest = match local.has_descriptor {
                        true => u64::MAX,
                        false => local.packed - inflate.taken(),
                    };
                    let input = &bytes[..usize::try_from(rest).map_or(bytes.len(), |rest| rest.min(bytes.len()))];
                    let (used, ended) = inflate.take(input, &mut |piece| folder.write(piece))?;
                    if ended {
                        let (crc, packed, unpacked) = (inflate.crc(), inflate.taken(), inflate.made());
                        let local = local.clone();
                        self.content_ends(local, crc, packed, unpacked, folder)?;
                    } else if used as u64 == rest {
                        return Err(Problem::Damaged("a file of zip is longer than its header says"));
                    }
                    used
                }
                State::Skip(left) => {
                    let used = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    *left -= used as u64;
                    if *left == 0 {
                        self.expect_record();
                    }
                    used
                }
                State::Ended => bytes.len(),
                State::Signature | State::Fixed | State::Whole | State::Descriptor(..) => {
                    let used = bytes.len().min(self.needed - self.collected.len());
                    self.collected.extend_from_slice(&bytes[..used]);
                    if self.collected.len() == self.needed {
                        self.record(folder)?;
                    }
                    used
                }
            };
            bytes = &bytes[used..];
        }
        Ok(())
    }

    pub fn finish(&self) -> Result<(), Problem> {
        match self.state {
            State::Ended => Ok(()),
            _ => Err(Problem::Truncated),
        }
    }

    fn expect_record(&mut self) {
        self.state = State::Signature;
        self.collected.clear();
        // A long one's room is not kept.
        self.collected.shrink_to(4096);
        self.needed = 4;
    }

    /// As much of a record as was needed is there.
    fn record(&mut self, folder: &mut Folder) -> Result<(), Problem> {
        match &self.state {
            State::Signature => {
                self.needed = match record::word(&self.collected, 0) {
                    record::LOCAL => record::LOCAL_SIZE,
                    record::CENTRAL => record::CENTRAL_SIZE,
                    record::END => record::END_SIZE,
                    record::END_64 => record::END_64_SIZE,
                    record::LOCATOR_64 => record::LOCATOR_64_SIZE,
                    _ => return Err(Problem::Damaged("there is no record of zip where one has to be")),
                };
                self.state = State::Fixed;
                Ok(())
            }
            State::Fixed => self.fixed(folder),
            State::Whole => self.whole(folder),
            State::Descriptor(..) => self.descriptor(),
            _ => Ok(()),
        }
    }

    fn fixed(&mut self, folder: &mut Folder) -> Result<(), Problem> {
        match record::word(&self.collected, 0) {
            record::LOCAL if self.listed.count > 0 => {
                Err(Problem::Damaged("a file of zip comes after the list of files"))
            }
            record::LOCAL | record::CENTRAL => {
                self.state = State::Whole;
                self.needed += record::rest_of(&self.collected);
                debug_assert!(self.needed <= LONGEST);
                match self.collected.len() == self.needed {
                    true => self.whole(folder),
                    false => Ok(()),
                }
            }
            record::END => {
                let count_fits = record::count(&self.collected).is_none_or(|count| count == self.listed.count);
                if self.entries != self.listed || !count_fits {
                    return Err(Problem::Damaged(
                        "the list of files of zip is not that of the files in it",
                    ));
                }
                self.state = State::Ended;
                Ok(())
            }
            record::END_64 => {
                self.state = State::Skip(record::long(&self.collected[4..12]));
                if let State::Skip(0) = self.state {
                    self.expect_record();
                }
                Ok(())
            }
            _ => {
                self.expect_record();
                Ok(())
            }
        }
    }

    fn whole(&mut self, folder: &mut Folder) -> Result<(), Problem> {
        if record::word(&self.collected, 0) == record::LOCAL {
            let local = record::local(&self.collected)?;
            return self.begin(local, folder);
        }
        let (name, crc, is_link) = record::central(&self.collected);
        self.listed.add(name, crc);
        if is_link {
            folder.take_back(name)?;
        }
        self.expect_record();
        Ok(())
    }

    /// The content of an entry begins.
    fn begin(&mut self, local: Local, folder: &mut Folder) -> Result<(), Problem> {
        let is_folder = local.name.ends_with(b"/");
        match is_folder {
            true => folder.make_folder(&local.name)?,
            false => folder.begin_file(&local.name)?,
        }
        if is_folder && local.unpacked > 0 {
            return Err(Problem::Damaged("a folder of zip has content"));
        }
        match local.method {
            Method::Deflated if local.has_descriptor || local.packed > 0 => {
                self.state = State::Deflated(local, Box::new(Inflate::new()));
                Ok(())
            }
            Method::Stored if local.packed > 0 => {
                let left = local.packed;
                self.state = State::Stored(local, left, Crc::new());
                Ok(())
            }
            // Without content; or stored without its size before it, so that nothing says where it ends: what comes is no
            // descriptor of nothing then.
            _ => self.content_ends(local, 0, 0, 0, folder),
        }
    }

    fn content_ends(
        &mut self,
        local: Local,
        crc: u32,
        packed: u64,
        unpacked: u64,
        folder: &mut Folder,
    ) -> Result<(), Problem> {
        folder.end_file();
        self.entries.add(&local.name, crc);
        if local.has_descriptor {
            self.collected.clear();
            self.needed = 4;
            self.state = State::Descriptor(local, crc, packed, unpacked);
            return Ok(());
        }
        if (local.crc, local.packed, local.unpacked) != (crc, packed, unpacked) {
            return Err(Problem::Damaged("size or check sum of a file of zip differs"));
        }
        self.expect_record();
        Ok(())
    }

    /// Its signature may be missing, and its sizes have 32 or 64 bits: it is what fits.
    fn descriptor(&mut self) -> Result<(), Problem> {
        let State::Descriptor(local, crc, packed, unpacked) = &self.state else {
            return Ok(());
        };
        let signature = if record::word(&self.collected, 0) == record::DESCRIPTOR {
            4
        } else {
            0
        };
        let (short, long) = (signature + 12, signature + 20);
        let fits = |text: &[u8]| record::describes(&text[signature..], *crc, *packed, *unpacked);
        let first = if local.is_64 { long } else { short };
        self.needed = match self.collected.len() {
            known if known < first => first,
            _ if fits(&self.collected) => {
                self.expect_record();
                return Ok(());
            }
            known if known < long => long,
            _ if local.method == Method::Stored && *packed == 0 => {
                return Err(Problem::Unsupported(
                    "it has a file that is stored as it is, without its size before it; make it with compression",
                ));
            }
            _ => return Err(Problem::Damaged("size or check sum of a file of zip differs")),
        };
        Ok(())
    }
}
