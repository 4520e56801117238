//! MQTT 3.1.1 packets: those a client sends, and the short ones it gets. (OASIS Standard, 29 October 2014; sections as named.)
//!
//! A dozen packets of a few bytes are written here rather than by a crate: of those that are kept, mqtt-protocol-core (sans-IO, no_std)
//! took 10.5 KB more of every image for the same packets, and holds a message whole, which a topology must not be. The tests
//! compare with it. mqttrs, which is smaller, panics on a CONNECT that is cut.

use alloc::vec::Vec;

/// What the first half of a packet's first byte says (2.2.1).
pub mod kind {
    #![allow(missing_docs, reason = "the names are those of the standard")]
    pub const CONNECT: u8 = 1;
    pub const CONNACK: u8 = 2;
    pub const PUBLISH: u8 = 3;
    pub const PUBACK: u8 = 4;
    pub const PUBREC: u8 = 5;
    pub const PUBREL: u8 = 6;
    pub const PUBCOMP: u8 = 7;
    pub const SUBSCRIBE: u8 = 8;
    pub const SUBACK: u8 = 9;
    pub const PINGREQ: u8 = 12;
    pub const PINGRESP: u8 = 13;
    pub const DISCONNECT: u8 = 14;
}

/// What a CONNECT says (3.1).
pub struct Connect<'a> {
    /// The client identifier: the broker keeps a session by it.
    pub client: &'a str,
    /// Whether the broker is to forget the session, at once and at the end.
    pub clean: bool,
    /// Seconds without a packet after which the broker gives the connection up.
    pub keep_alive: u16,
    /// User name.
    pub user: Option<&'a str>,
    /// Password.
    pub password: Option<&'a str>,
}

/// How often a PUBLISH may arrive (4.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// QoS 0: once or not at all.
    AtMostOnce,
    /// QoS 2 with this packet identifier; whether it was sent before.
    ExactlyOnce(u16, bool),
}

/// A short packet from the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// The answer to CONNECT: whether the broker has a session, and its return code (3.2.2.3).
    Accepted(bool, u8),
    /// PUBREC of this packet identifier.
    Received(u16),
    /// PUBCOMP of this packet identifier.
    Complete(u16),
    /// SUBACK; whether one of the topics was refused.
    Subscribed(bool),
    /// PINGRESP.
    Pong,
}

impl Packet {
    /// The packet with this kind and body; `None` if a broker must not send it to a client that sends what we send.
    pub fn read(kind: u8, body: &[u8]) -> Option<Self> {
        Some(match (kind, body) {
            (kind::CONNACK, [flags @ 0..=1, code]) => Packet::Accepted(*flags == 1, *code),
            (kind::PUBREC, [high, low]) => Packet::Received(u16::from_be_bytes([*high, *low])),
            (kind::PUBCOMP, [high, low]) => Packet::Complete(u16::from_be_bytes([*high, *low])),
            (kind::SUBACK, [_, _, codes @ ..]) => Packet::Subscribed(codes.iter().any(|code| *code & 0x80 != 0)),
            (kind::PINGRESP, []) => Packet::Pong,
            _ => return None,
        })
    }
}

/// Adds a CONNECT.
pub fn connect(out: &mut Vec<u8>, connect: &Connect<'_>) {
    let mut flags = u8::from(connect.clean) << 1;
    let mut body = Vec::new();
    string(&mut body, connect.client);
    // A password goes with a user name only (3.1.2.9).
    let user = connect.user.or(connect.password.map(|_| ""));
    for (value, flag) in [(user, 0x80), (connect.password, 0x40)] {
        if let Some(value) = value {
            flags |= flag;
            string(&mut body, value);
        }
    }
    header(out, kind::CONNECT << 4, 10 + body.len());
    out.extend_from_slice(b"\0\x04MQTT\x04");
    out.push(flags);
    out.extend_from_slice(&connect.keep_alive.to_be_bytes());
    out.extend_from_slice(&body);
}

/// Adds a SUBSCRIBE to `topics`, each with its highest QoS.
pub fn subscribe(out: &mut Vec<u8>, packet: u16, topics: &[(&str, u8)]) {
    let length: usize = topics.iter().map(|(topic, _)| topic.len() + 3).sum();
    header(out, kind::SUBSCRIBE << 4 | 2, 2 + length);
    out.extend_from_slice(&packet.to_be_bytes());
    for (topic, qos) in topics {
        string(out, topic);
        out.push(*qos);
    }
}

/// Adds a PUBLISH.
pub fn publish(out: &mut Vec<u8>, topic: &str, payload: &[u8], delivery: Delivery) {
    let (flags, packet) = match delivery {
        Delivery::AtMostOnce => (0, None),
        Delivery::ExactlyOnce(packet, again) => (4 | u8::from(again) << 3, Some(packet)),
    };
    let length = 2 + topic.len() + if packet.is_some() { 2 } else { 0 } + payload.len();
    header(out, kind::PUBLISH << 4 | flags, length);
    string(out, topic);
    if let Some(packet) = packet {
        out.extend_from_slice(&packet.to_be_bytes());
    }
    out.extend_from_slice(payload);
}

/// Adds a PUBACK or PUBREL.
pub fn acknowledge(out: &mut Vec<u8>, kind: u8, packet: u16) {
    let reserved = if kind == kind::PUBREL { 2 } else { 0 };
    let [high, low] = packet.to_be_bytes();
    out.extend_from_slice(&[kind << 4 | reserved, 2, high, low]);
}

/// Adds a PINGREQ or DISCONNECT.
pub fn bare(out: &mut Vec<u8>, kind: u8) {
    out.extend_from_slice(&[kind << 4, 0]);
}

/// First byte and remaining length (2.2.3). What we send is far below the most there can be.
#[inline(never)]
fn header(out: &mut Vec<u8>, first: u8, mut length: usize) {
    out.push(first);
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// A string of at most 64 KiB, which ours are (1.5.3).
#[inline(never)]
fn string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
