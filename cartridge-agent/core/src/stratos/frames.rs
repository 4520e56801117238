//! The broker's byte stream, cut into packets. The payload of a PUBLISH is passed on piece by piece and never kept.

use super::packet::{Packet, kind};
use alloc::vec::Vec;

/// The longest topic looked at, in bytes; the events of Stratos have shorter ones, and what has a longer one is passed over.
const TOPIC_LIMIT: usize = 128;

/// The longest packet besides PUBLISH, in bytes: SUBACK for the few topics we subscribe to.
const SHORT_LIMIT: usize = 64;

/// Takes packets.
pub trait Receiver {
    /// A short packet.
    fn packet(&mut self, packet: Packet);
    /// A PUBLISH begins; its payload follows. `retained` means that it was published before we subscribed.
    fn begin(&mut self, topic: &str, retained: bool);
    /// The next piece of its payload.
    fn payload(&mut self, bytes: &[u8]);
    /// The PUBLISH is complete; it is to be acknowledged by this packet identifier, if there is one.
    fn end(&mut self, acknowledge: Option<u16>);
}

/// The stream is not what a broker sends a client like us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// First byte.
    First,
    /// Remaining length; so many bytes of it were read.
    Length(u32),
    /// Both bytes of the length of a PUBLISH's topic.
    TopicLength,
    /// The topic and the packet identifier; `head` grows up to this.
    Head(usize),
    Payload,
    Short,
}

/// Reads the packets of one connection.
pub struct Frames {
    part: Part,
    first: u8,
    /// Bytes of the packet that are still to come.
    left: u32,
    /// What is kept of the packet: its body if it is short, else what comes before the payload.
    head: Vec<u8>,
    /// What to skip of the head: a topic that is too long.
    skip: usize,
}

impl Default for Frames {
    fn default() -> Self {
        Frames {
            part: Part::First,
            first: 0,
            left: 0,
            head: Vec::new(),
            skip: 0,
        }
    }
}

impl Frames {
    /// Reads on.
    ///
    /// # Errors
    /// When the stream makes no sense: the connection is then of no use.
    pub fn feed(&mut self, mut bytes: &[u8], to: &mut dyn Receiver) -> Result<(), Violation> {
        while let [byte, rest @ ..] = bytes {
            match self.part {
                Part::First => {
                    self.first = *byte;
                    (self.part, self.left) = (Part::Length(0), 0);
                    bytes = rest;
                }
                Part::Length(read) => {
                    self.left |= u32::from(byte & 0x7f) << (7 * read);
                    bytes = rest;
                    if byte & 0x80 == 0 {
                        self.begin(to)?;
                    } else if read == 3 {
                        return Err(Violation);
                    } else {
                        self.part = Part::Length(read + 1);
                    }
                }
                Part::TopicLength | Part::Head(_) | Part::Short => {
                    self.keep(*byte);
                    bytes = rest;
                    self.left -= 1;
                    self.go_on(to)?;
                }
                Part::Payload => {
                    let count = bytes.len().min(self.left as usize);
                    to.payload(&bytes[..count]);
                    bytes = &bytes[count..];
                    self.left -= count as u32;
                    self.end_if_complete(to);
                }
            }
        }
        Ok(())
    }

    /// True within a packet.
    pub fn is_inside(&self) -> bool {
        self.part != Part::First
    }

    fn keep(&mut self, byte: u8) {
        if self.skip > 0 {
            self.skip -= 1;
        } else {
            self.head.push(byte);
        }
    }

    /// The length is known.
    fn begin(&mut self, to: &mut dyn Receiver) -> Result<(), Violation> {
        self.head.clear();
        self.skip = 0;
        if self.first >> 4 == kind::PUBLISH {
            self.part = Part::TopicLength;
            // QoS 2 is not subscribed to, and there is no QoS 3.
            let is_right = self.first & 4 == 0 && self.left >= 2;
            return is_right.then_some(()).ok_or(Violation);
        }
        if self.left as usize > SHORT_LIMIT {
            return Err(Violation);
        }
        self.part = Part::Short;
        self.go_on(to)
    }

    /// One more byte of the head, or of a short packet, was read.
    fn go_on(&mut self, to: &mut dyn Receiver) -> Result<(), Violation> {
        match self.part {
            Part::Short if self.left == 0 => {
                self.part = Part::First;
                to.packet(Packet::read(self.first >> 4, &self.head).ok_or(Violation)?);
            }
            Part::TopicLength if self.head.len() == 2 => {
                let length = usize::from(u16::from_be_bytes([self.head[0], self.head[1]]));
                let with_identifier = length + self.identifier();
                if with_identifier > self.left as usize {
                    return Err(Violation);
                }
                self.skip = if length > TOPIC_LIMIT { length } else { 0 };
                self.part = Part::Head(2 + with_identifier - self.skip);
                if with_identifier == 0 {
                    self.begin_payload(to);
                }
            }
            Part::Head(wanted) if self.skip == 0 && self.head.len() == wanted => self.begin_payload(to),
            _ => {}
        }
        Ok(())
    }

    /// Bytes of the packet identifier in a PUBLISH.
    fn identifier(&self) -> usize {
        if self.first & 2 != 0 { 2 } else { 0 }
    }

    fn begin_payload(&mut self, to: &mut dyn Receiver) {
        let end = self.head.len().saturating_sub(self.identifier());
        let topic = self.head.get(2..end).unwrap_or_default();
        to.begin(core::str::from_utf8(topic).unwrap_or_default(), self.first & 1 != 0);
        self.part = Part::Payload;
        self.end_if_complete(to);
    }

    fn end_if_complete(&mut self, to: &mut dyn Receiver) {
        if self.left > 0 {
            return;
        }
        self.part = Part::First;
        let identifier = match self.head[..] {
            [.., high, low] if self.first & 2 != 0 => Some(u16::from_be_bytes([high, low])),
            _ => None,
        };
        to.end(identifier);
    }
}
