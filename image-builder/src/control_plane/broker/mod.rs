//! A message broker for MQTT 3.1.1, small enough to start with a member and to end with it.
//!
//! It is sans-IO: [`crate::control_plane::server`] moves bytes and time. The protocol of one connection (framing, acknowledgements of
//! QoS 0, 1 and 2, keep-alive) is mqtt-protocol-core's; who gets which message, and what outlives a connection, is decided here.
//! A message of QoS 2 is passed on when it comes first; its packet identifier is remembered until PUBREL, beyond the connection
//! where the session is persistent, so that nothing is doubled.

mod client;
mod filter;
mod session;

use client::Client;
use mqtt_protocol_core::mqtt::packet::Qos;
use session::Session;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

/// Connections at the same time; the next one is closed at once.
const CLIENT_LIMIT: usize = 64;
/// Persistent sessions without a connection; past them, that of the smallest client identifier is given up.
const SESSION_LIMIT: usize = 256;
/// Retained messages.
const RETAINED_LIMIT: usize = 1024;

/// A connection, by the number that the server gave it.
pub type Number = u64;

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: Qos,
    pub retain: bool,
}

/// What the server is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    Send(Number, Vec<u8>),
    Close(Number),
    /// A client published this; it has gone to the other clients already.
    Published(Message),
}

/// All connections, sessions and retained messages.
#[derive(Default)]
pub struct Broker {
    clients: BTreeMap<Number, Client>,
    /// Persistent sessions without a connection, by client identifier.
    parked: HashMap<String, Session>,
    retained: BTreeMap<String, Message>,
    effects: Vec<Effect>,
}

/// What a client's packet means for others than itself.
enum Request {
    /// It wants to be known by this name; `true`: without a past.
    Join(String, bool),
    Publish(Message),
    /// It has subscribed to this filter: it gets the retained messages.
    Subscribed(String, Qos),
    /// It is done; `true`: in order, so that its will is void.
    Leave(bool),
}

impl Broker {
    pub fn connected(&mut self, number: Number, now: Instant) {
        match self.clients.len() < CLIENT_LIMIT {
            true => _ = self.clients.insert(number, Client::new(now)),
            false => self.effects.push(Effect::Close(number)),
        }
    }

    pub fn received(&mut self, number: Number, bytes: &[u8], now: Instant) {
        let mut rest = bytes;
        // By packets: what the first means for the broker is done before the next is looked at.
        while !rest.is_empty()
            && let Some(client) = self.clients.get_mut(&number)
        {
            let requests = client.receive_packet(&mut rest, now);
            self.answer(number, requests);
        }
    }

    /// The connection ended.
    pub fn closed(&mut self, number: Number) {
        self.leave(number, false);
    }

    /// Passes a message on to whoever has subscribed to its topic.
    pub fn publish(&mut self, message: &Message) {
        if message.retain {
            self.retain(message);
        }
        // The flag is for those who subscribe later.
        let live = Message {
            retain: false,
            ..message.clone()
        };
        for (number, client) in &mut self.clients {
            client.deliver(&live);
            client.drain(*number, &mut self.effects);
        }
        for session in self.parked.values_mut() {
            session.keep(&live);
        }
    }

    /// When to call [`Broker::tick`].
    pub fn wake(&self) -> Option<Instant> {
        self.clients.values().filter_map(Client::deadline).min()
    }

    /// Ends connections that have been silent for too long.
    pub fn tick(&mut self, now: Instant) {
        let late = |client: &Client| client.deadline().is_some_and(|deadline| deadline <= now);
        let silent: Vec<Number> = self
            .clients
            .iter()
            .filter(|(_, client)| late(client))
            .map(|(number, _)| *number)
            .collect();
        for number in silent {
            self.leave(number, false);
        }
    }

    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn answer(&mut self, number: Number, requests: Vec<Request>) {
        for request in requests {
            match request {
                Request::Join(name, clean) => self.join(number, &name, clean),
                Request::Publish(message) => {
                    self.publish(&message);
                    self.effects.push(Effect::Published(message));
                }
                Request::Subscribed(filter, qos) => self.send_retained(number, &filter, qos),
                Request::Leave(in_order) => {
                    self.drain(number);
                    return self.leave(number, in_order);
                }
            }
        }
        self.drain(number);
    }

    fn drain(&mut self, number: Number) {
        if let Some(client) = self.clients.get_mut(&number) {
            client.drain(number, &mut self.effects);
        }
    }

    /// A client identifier belongs to its newest connection.
    fn join(&mut self, number: Number, name: &str, clean: bool) {
        let same = |(other, client): (&Number, &Client)| (*other != number && client.is(name)).then_some(*other);
        if let Some(other) = self.clients.iter().find_map(same) {
            self.leave(other, false);
        }
        let past = self.parked.remove(name).filter(|_| !clean);
        if let Some(client) = self.clients.get_mut(&number) {
            client.accept(past);
        }
    }

    fn leave(&mut self, number: Number, in_order: bool) {
        let Some(client) = self.clients.remove(&number) else {
            return;
        };
        self.effects.push(Effect::Close(number));
        let (will, session) = client.end();
        if let Some((name, session)) = session {
            self.park(name, session);
        }
        if let Some(will) = will.filter(|_| !in_order) {
            self.publish(&will);
            self.effects.push(Effect::Published(will));
        }
    }

    fn park(&mut self, name: String, session: Session) {
        if self.parked.len() >= SESSION_LIMIT
            && let Some(other) = self.parked.keys().min().cloned()
        {
            self.parked.remove(&other);
        }
        self.parked.insert(name, session);
    }

    /// An empty message takes the retained one away.
    fn retain(&mut self, message: &Message) {
        if message.payload.is_empty() {
            self.retained.remove(&message.topic);
        } else if self.retained.len() < RETAINED_LIMIT || self.retained.contains_key(&message.topic) {
            self.retained.insert(message.topic.clone(), message.clone());
        }
    }

    fn send_retained(&mut self, number: Number, filter: &str, qos: Qos) {
        let Some(client) = self.clients.get_mut(&number) else {
            return;
        };
        for message in self.retained.values() {
            if filter::matches(filter, &message.topic) {
                client.send(message, qos);
            }
        }
    }
}

#[cfg(test)]
mod tests;
