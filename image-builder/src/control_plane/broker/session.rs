//! What is kept of a client while it is away (MQTT 3.1.1, section 4.1).

use super::{Message, filter};
use mqtt_protocol_core::mqtt::packet::{Qos, StorePacket};
use std::collections::{BTreeMap, VecDeque};

/// Messages kept for a client that is away; later ones are lost to it.
const QUEUE_LIMIT: usize = 1000;

/// A session without a connection.
#[derive(Default)]
pub struct Session {
    pub subscriptions: Subscriptions,
    /// Packets sent and not acknowledged to the end.
    pub unacknowledged: Vec<StorePacket>,
    /// Identifiers of received messages of QoS 2 that wait for their PUBREL.
    pub unreleased: Vec<u16>,
    /// What was published meanwhile, of QoS 1 and 2.
    pub waiting: VecDeque<Message>,
}

/// Topic filters, each with the QoS granted.
#[derive(Clone, Default)]
pub struct Subscriptions(BTreeMap<String, Qos>);

impl Session {
    /// Keeps a message that the client would get now.
    pub fn keep(&mut self, message: &Message) {
        let wanted = self.subscriptions.qos_for(&message.topic);
        let qos = wanted.map_or(Qos::AtMostOnce, |qos| lower(qos, message.qos));
        if qos != Qos::AtMostOnce && self.waiting.len() < QUEUE_LIMIT {
            self.waiting.push_back(Message { qos, ..message.clone() });
        }
    }
}

impl Subscriptions {
    pub fn add(&mut self, filter: &str, qos: Qos) {
        self.0.insert(filter.into(), qos);
    }

    pub fn remove(&mut self, filter: &str) {
        self.0.remove(filter);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The highest QoS of the filters that a topic matches; `None` where none does.
    pub fn qos_for(&self, topic: &str) -> Option<Qos> {
        let matching = self.0.iter().filter(|(filter, _)| filter::matches(filter, topic));
        matching.map(|(_, qos)| *qos).max_by_key(|qos| *qos as u8)
    }
}

/// The lower of two.
pub fn lower(a: Qos, b: Qos) -> Qos {
    if (a as u8) < (b as u8) { a } else { b }
}
