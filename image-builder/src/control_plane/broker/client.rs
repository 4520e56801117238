//! One connection.

use super::session::{Session, Subscriptions, lower};
use super::{Effect, Message, Number, Request, filter};
use mqtt::connection::{ConnectionOptions, Event, TimerKind};
use mqtt::packet::v3_1_1::{Connack, Connect, Publish, Suback, Subscribe, Unsuback, Unsubscribe};
use mqtt::packet::{GenericPacketTrait, Packet, Qos};
use mqtt::result_code::{ConnectReturnCode, SubackReturnCode};
use mqtt_protocol_core::mqtt;
use std::time::{Duration, Instant};

/// For a connection's CONNECT.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The largest packet taken: a topology of 5 MB and some more.
const PACKET_LIMIT: u32 = 16 << 20;
/// Topic filters of one client.
const FILTER_LIMIT: usize = 256;
/// Messages sent and not acknowledged to the end. A client with more is cut off; with a persistent session it finds them again.
const UNACKNOWLEDGED_LIMIT: usize = 1000;

/// A connection, with the session that it has.
pub struct Client {
    connection: mqtt::Connection<mqtt::role::Server>,
    /// Known by CONNECT.
    name: Option<String>,
    clean: bool,
    subscriptions: Subscriptions,
    will: Option<Message>,
    /// Of its CONNECT, then of what keeps it alive.
    deadline: Option<Instant>,
    now: Instant,
    /// Bytes for it that the server has not been given.
    outgoing: Vec<u8>,
    requests: Vec<Request>,
}

impl Client {
    pub fn new(now: Instant) -> Self {
        let options = ConnectionOptions::new().maximum_packet_size_recv(PACKET_LIMIT);
        let mut connection = mqtt::Connection::with_options(mqtt::Version::V3_1_1, options);
        connection.set_auto_pub_response(true);
        connection.set_auto_ping_response(true);
        Self {
            connection,
            name: None,
            clean: true,
            subscriptions: Subscriptions::default(),
            will: None,
            deadline: Some(now + CONNECT_LIMIT),
            now,
            outgoing: Vec::new(),
            requests: Vec::new(),
        }
    }

    pub fn is(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Takes the bytes of one packet, or of a part of one; gives what it means for others.
    pub fn receive_packet(&mut self, bytes: &mut &[u8], now: Instant) -> Vec<Request> {
        self.now = now;
        let mut cursor = mqtt::common::Cursor::new(*bytes);
        let events = self.connection.recv(&mut cursor);
        let taken = usize::try_from(cursor.position()).unwrap_or(bytes.len());
        // What was wrong has been told by an event; a packet that takes no bytes would be looked at for ever.
        *bytes = bytes.get(taken.max(1)..).unwrap_or_default();
        self.handle(events);
        std::mem::take(&mut self.requests)
    }

    /// Answers its CONNECT; `past` is the session it left, where it wants that.
    pub fn accept(&mut self, past: Option<Session>) {
        let present = past.is_some();
        let past = past.unwrap_or_default();
        self.subscriptions = past.subscriptions;
        self.connection.restore_packets(past.unacknowledged);
        self.connection
            .restore_qos2_publish_handled(past.unreleased.into_iter().collect());
        let answer = Connack::builder()
            .session_present(present)
            .return_code(ConnectReturnCode::Accepted);
        self.send_packet(answer.build());
        for message in past.waiting {
            self.send(&message, message.qos);
        }
    }

    /// Sends a message if a subscription asks for it.
    pub fn deliver(&mut self, message: &Message) {
        if let Some(qos) = self.subscriptions.qos_for(&message.topic) {
            self.send(message, qos);
        }
    }

    /// Sends a message with the lower of its QoS and `qos`.
    pub fn send(&mut self, message: &Message, qos: Qos) {
        let qos = lower(qos, message.qos);
        let mut publish = Publish::builder()
            .qos(qos)
            .retain(message.retain)
            .payload(&message.payload);
        if qos != Qos::AtMostOnce {
            if self.connection.get_stored_packets().len() >= UNACKNOWLEDGED_LIMIT {
                return self.requests.push(Request::Leave(false));
            }
            let Ok(number) = self.connection.acquire_packet_id() else {
                return;
            };
            publish = publish.packet_id(number);
        }
        // A topic that the protocol does not allow cannot have come here.
        if let Ok(publish) = publish.topic_name(message.topic.as_str()) {
            self.send_packet(publish.build());
        }
    }

    /// Hands over what there is to send.
    pub fn drain(&mut self, number: Number, effects: &mut Vec<Effect>) {
        if !self.outgoing.is_empty() {
            effects.push(Effect::Send(number, std::mem::take(&mut self.outgoing)));
        }
        // A client that was cut off while a message was passed to it is ended by its deadline, at once.
        if !self.requests.is_empty() {
            self.deadline = Some(self.now);
        }
    }

    /// Its will, and what is to be kept under its name.
    pub fn end(mut self) -> (Option<Message>, Option<(String, Session)>) {
        let _ = self.connection.notify_closed();
        let session = Session {
            unacknowledged: self.connection.get_stored_packets(),
            unreleased: self.connection.get_qos2_publish_handled().into_iter().collect(),
            subscriptions: self.subscriptions,
            waiting: Default::default(),
        };
        let kept = self.name.filter(|_| !self.clean).map(|name| (name, session));
        (self.will, kept)
    }

    fn send_packet<P: Into<Packet>, E>(&mut self, packet: Result<P, E>) {
        if let Ok(packet) = packet {
            let events = self.connection.send(packet.into());
            self.handle(events);
        }
    }

    fn handle(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::NotifyPacketReceived(packet) => self.packet(packet),
                Event::RequestSendPacket { packet, .. } => {
                    self.outgoing.extend_from_slice(&packet.to_continuous_buffer());
                }
                Event::RequestTimerReset {
                    kind: TimerKind::PingreqRecv,
                    duration_ms,
                } => self.deadline = Some(self.now + Duration::from_millis(duration_ms)),
                Event::RequestTimerCancel(TimerKind::PingreqRecv) => self.deadline = None,
                Event::NotifyError(_) | Event::RequestClose => self.requests.push(Request::Leave(false)),
                _ => {}
            }
        }
    }

    fn packet(&mut self, packet: Packet) {
        match packet {
            Packet::V3_1_1Connect(connect) => self.connect(&connect),
            Packet::V3_1_1Publish(publish) => self.requests.push(Request::Publish(Message {
                topic: publish.topic_name().into(),
                payload: publish.payload().as_slice().into(),
                qos: publish.qos(),
                retain: publish.retain(),
            })),
            Packet::V3_1_1Subscribe(subscribe) => self.subscribe(&subscribe),
            Packet::V3_1_1Unsubscribe(unsubscribe) => self.unsubscribe(&unsubscribe),
            Packet::V3_1_1Disconnect(_) => self.requests.push(Request::Leave(true)),
            _ => {}
        }
    }

    fn connect(&mut self, connect: &Connect) {
        // Without keep-alive there is none; with it, the connection has asked for its own deadline already.
        if connect.keep_alive() == 0 {
            self.deadline = None;
        }
        self.clean = connect.clean_session();
        self.will = connect.will_topic().map(|topic| Message {
            topic: topic.into(),
            payload: connect.will_payload().unwrap_or_default().into(),
            qos: connect.will_qos(),
            retain: connect.will_retain(),
        });
        let name = connect.client_id();
        if !name.is_empty() {
            self.name = Some(name.into());
        } else if !self.clean {
            // 3.1.3.1: no session without a name.
            let answer = Connack::builder()
                .session_present(false)
                .return_code(ConnectReturnCode::IdentifierRejected);
            self.send_packet(answer.build());
            return self.requests.push(Request::Leave(true));
        }
        self.requests.push(Request::Join(name.into(), self.clean));
    }

    fn subscribe(&mut self, subscribe: &Subscribe) {
        let mut codes = Vec::new();
        let mut subscribed = Vec::new();
        for entry in subscribe.entries() {
            let (filter, qos) = (entry.topic_filter(), entry.sub_opts().qos());
            if !filter::is_valid(filter) || self.subscriptions.len() >= FILTER_LIMIT {
                codes.push(SubackReturnCode::Failure);
                continue;
            }
            self.subscriptions.add(filter, qos);
            subscribed.push(Request::Subscribed(filter.into(), qos));
            codes.push(match qos {
                Qos::AtMostOnce => SubackReturnCode::SuccessMaximumQos0,
                Qos::AtLeastOnce => SubackReturnCode::SuccessMaximumQos1,
                Qos::ExactlyOnce => SubackReturnCode::SuccessMaximumQos2,
            });
        }
        let answer = Suback::builder().packet_id(subscribe.packet_id()).return_codes(codes);
        self.send_packet(answer.build());
        self.requests.append(&mut subscribed);
    }

    fn unsubscribe(&mut self, unsubscribe: &Unsubscribe) {
        for filter in unsubscribe.entries() {
            self.subscriptions.remove(filter.as_str());
        }
        self.send_packet(Unsuback::builder().packet_id(unsubscribe.packet_id()).build());
    }
}
