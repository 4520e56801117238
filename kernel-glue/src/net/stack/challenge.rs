//! SYNs on a connection that exists: the peer may have started anew and forgotten it.

use super::*;
use crate::net::frame::tcp_header;

/// Longest SYN that is looked at, bytes: the longest headers of Ethernet, IPv4 and TCP. Anything after them is data.
const LONGEST: usize = 14 + 60 + 60;
/// Offsets in a TCP header (RFC 9293 3.1): acknowledgement number and flags.
const ACKNOWLEDGEMENT: usize = 8;
const FLAGS: usize = 13;
/// What turns the flags of a SYN (2) into those of an ACK (16).
const SYN_TO_ACK: u16 = 16 - 2;

impl Inner {
    /// Lets the connection say where it is (a challenge ACK, RFC 5961 4.2): a peer that knows nothing of it answers with a reset,
    /// and a forger learns nothing.
    ///
    /// smoltcp drops SYNs, but challenges acknowledgements of what it has not sent. The SYN is made into two of them whose
    /// numbers lie half the number space apart: one is ahead of what was sent, the other behind it, and dropped.
    pub(super) fn challenge(&mut self, index: u32, link: LinkId, frame: &[u8], now: u64) {
        let mut bytes = [0; LONGEST];
        let Some(header) = tcp_header(frame, link == LinkId::Outside) else {
            return;
        };
        let Some(copy) = bytes.get_mut(..frame.len()) else {
            return;
        };
        copy.copy_from_slice(frame);
        let number = system::random() as u16;
        for high in [number, number ^ 0x8000] {
            copy.copy_from_slice(frame);
            acknowledge(&mut copy[header..], high);
            let connection = self.connections.get(index);
            self.links.deliver(link, copy, connection.lone().set(), now);
        }
    }
}

/// Makes the header of a SYN that of an ACK whose number begins with `high` and ends so that the checksum stays as it is, right or
/// wrong (RFC 1071: sums of words are what counts, in any order).
fn acknowledge(header: &mut [u8], high: u16) {
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let sum = add(word(ACKNOWLEDGEMENT), word(ACKNOWLEDGEMENT + 2));
    let low = add(sum, add(!high, !SYN_TO_ACK));
    header[ACKNOWLEDGEMENT..][..2].copy_from_slice(&high.to_be_bytes());
    header[ACKNOWLEDGEMENT + 2..][..2].copy_from_slice(&low.to_be_bytes());
    header[FLAGS] += SYN_TO_ACK as u8;
}

/// The one's complement sum.
fn add(one: u16, two: u16) -> u16 {
    let (sum, carry) = one.overflowing_add(two);
    sum + carry as u16
}
