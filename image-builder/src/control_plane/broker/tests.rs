//! The broker against mqtt-protocol-core's client.

use super::*;
use mqtt_protocol_core::mqtt::connection::Event;
use mqtt_protocol_core::mqtt::packet::v3_1_1::{Connect, Disconnect, Publish, Subscribe};
use mqtt_protocol_core::mqtt::packet::{GenericPacketTrait, Packet, SubEntry, SubOpts};
use mqtt_protocol_core::mqtt::{self, common::Cursor};
use std::time::Duration;

type Connection = mqtt::Connection<mqtt::role::Client>;

/// Both ends of one connection, and what came out of the client's.
struct Peer {
    number: Number,
    connection: Connection,
    received: Vec<Packet>,
    /// The connection as the broker left it.
    closed: bool,
}

struct Scene {
    broker: Broker,
    now: Instant,
    published: Vec<Message>,
}

impl Scene {
    fn new() -> Self {
        Self {
            broker: Broker::default(),
            now: Instant::now(),
            published: Vec::new(),
        }
    }

    /// A client that has sent its CONNECT and got its answer.
    fn connect(&mut self, number: Number, name: &str, clean: bool) -> Peer {
        let mut peer = self.silent(number);
        let connect = Connect::builder()
            .client_id(name)
            .unwrap()
            .clean_session(clean)
            .keep_alive(60);
        self.send(&mut peer, connect.build().unwrap().into());
        peer
    }

    fn silent(&mut self, number: Number) -> Peer {
        self.broker.connected(number, self.now);
        let mut connection = Connection::new(mqtt::Version::V3_1_1);
        connection.set_auto_pub_response(true);
        Peer {
            number,
            connection,
            received: Vec::new(),
            closed: false,
        }
    }

    fn send(&mut self, peer: &mut Peer, packet: Packet) {
        let events = peer.connection.send(packet);
        self.exchange(peer, events);
    }

    /// Moves packets both ways until nothing more is said.
    fn exchange(&mut self, peer: &mut Peer, mut events: Vec<Event>) {
        loop {
            for event in std::mem::take(&mut events) {
                match event {
                    Event::RequestSendPacket { packet, .. } => {
                        self.broker
                            .received(peer.number, &packet.to_continuous_buffer(), self.now);
                    }
                    Event::NotifyPacketReceived(packet) => peer.received.push(packet),
                    Event::NotifyError(error) => panic!("{error:?}"),
                    _ => {}
                }
            }
            for effect in self.broker.take_effects() {
                match effect {
                    Effect::Send(number, bytes) if number == peer.number => {
                        let mut cursor = Cursor::new(&bytes[..]);
                        while cursor.position() < bytes.len() as u64 {
                            events.extend(peer.connection.recv(&mut cursor));
                        }
                    }
                    Effect::Close(number) if number == peer.number => peer.closed = true,
                    Effect::Published(message) => self.published.push(message),
                    _ => {}
                }
            }
            if events.is_empty() {
                return;
            }
        }
    }

    fn subscribe(&mut self, peer: &mut Peer, filter: &str, qos: Qos) {
        let number = peer.connection.acquire_packet_id().unwrap();
        let entry = SubEntry::new(filter, SubOpts::new().set_qos(qos)).unwrap();
        let subscribe = Subscribe::builder().packet_id(number).entries(vec![entry]);
        self.send(peer, subscribe.build().unwrap().into());
    }
}

impl Peer {
    fn texts(&self) -> Vec<(String, Qos)> {
        let publishes = self.received.iter().filter_map(|packet| match packet {
            Packet::V3_1_1Publish(publish) => Some(publish),
            _ => None,
        });
        let text = |publish: &Publish| String::from_utf8(publish.payload().as_slice().to_vec()).unwrap();
        publishes.map(|publish| (text(publish), publish.qos())).collect()
    }
}

fn message(text: &str, qos: Qos) -> Message {
    Message {
        topic: "instance/status/x".into(),
        payload: text.into(),
        qos,
        retain: false,
    }
}

fn publish(number: u16, dup: bool) -> Packet {
    let publish = Publish::builder().topic_name("instance/status/x").unwrap();
    let publish = publish.qos(Qos::ExactlyOnce).packet_id(number).dup(dup).payload("once");
    publish.build().unwrap().into()
}

#[test]
fn messages_reach_subscribers_with_the_lower_qos() {
    let mut scene = Scene::new();
    let mut peer = scene.connect(1, "a", true);
    scene.subscribe(&mut peer, "instance/#", Qos::AtLeastOnce);
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        scene.broker.publish(&message("text", qos));
        scene.exchange(&mut peer, vec![]);
    }
    let expected = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::AtLeastOnce].map(|qos| ("text".to_string(), qos));
    assert_eq!(peer.texts(), expected);
}

#[test]
fn a_message_of_qos_2_that_is_sent_again_after_the_connection_broke_is_published_once() {
    let mut scene = Scene::new();
    let first = scene.connect(1, "member", false);
    // Its PUBREC is lost with the connection.
    scene
        .broker
        .received(first.number, &publish(7, false).to_continuous_buffer(), scene.now);
    scene.broker.closed(first.number);
    let mut again = scene.connect(2, "member", false);
    assert!(matches!(&again.received[0], Packet::V3_1_1Connack(connack) if connack.session_present()));
    again.connection.register_packet_id(7).unwrap();
    scene.send(&mut again, publish(7, true));
    let last = again.received.last();
    assert!(matches!(last, Some(Packet::V3_1_1Pubcomp(_))), "{last:?}");
    assert_eq!(scene.published.len(), 1);
    // The identifier is free for the next message.
    again.connection.register_packet_id(7).unwrap();
    scene.send(&mut again, publish(7, false));
    assert_eq!(scene.published.len(), 2);
}

#[test]
fn a_persistent_session_gets_what_was_published_meanwhile_and_a_clean_one_forgets_it() {
    let mut scene = Scene::new();
    let mut peer = scene.connect(1, "a", false);
    scene.subscribe(&mut peer, "#", Qos::ExactlyOnce);
    scene.broker.closed(1);
    for (text, qos) in [
        ("lost", Qos::AtMostOnce),
        ("one", Qos::AtLeastOnce),
        ("two", Qos::ExactlyOnce),
    ] {
        scene.broker.publish(&message(text, qos));
    }
    let back = scene.connect(2, "a", false);
    let expected = [
        ("one".to_string(), Qos::AtLeastOnce),
        ("two".to_string(), Qos::ExactlyOnce),
    ];
    assert_eq!(back.texts(), expected);
    scene.broker.closed(2);
    scene.broker.publish(&message("three", Qos::AtLeastOnce));
    let clean = scene.connect(3, "a", true);
    assert_eq!((clean.texts().len(), scene.broker.parked.len()), (0, 0));
}

#[test]
fn what_a_subscriber_did_not_acknowledge_is_sent_again() {
    let mut scene = Scene::new();
    let mut peer = scene.connect(1, "a", false);
    scene.subscribe(&mut peer, "#", Qos::ExactlyOnce);
    scene.broker.publish(&message("text", Qos::ExactlyOnce));
    // The client never sees it.
    scene.broker.take_effects();
    scene.broker.closed(1);
    assert_eq!(
        scene.connect(2, "a", false).texts(),
        [("text".to_string(), Qos::ExactlyOnce)]
    );
}

#[test]
fn a_name_belongs_to_its_newest_connection() {
    let mut scene = Scene::new();
    let mut old = scene.connect(1, "a", true);
    let new = scene.connect(2, "a", true);
    assert!(!new.closed);
    scene.exchange(&mut old, vec![]);
    assert!(!scene.broker.clients.contains_key(&1) && scene.broker.clients.contains_key(&2));
}

#[test]
fn a_will_is_published_unless_the_client_disconnects() {
    for in_order in [true, false] {
        let mut scene = Scene::new();
        let mut peer = scene.silent(1);
        let connect = Connect::builder().client_id("a").unwrap().clean_session(true);
        let connect = connect.will_message("gone", "will", Qos::AtMostOnce, false).unwrap();
        scene.send(&mut peer, connect.build().unwrap().into());
        match in_order {
            true => scene.send(&mut peer, Disconnect::builder().build().unwrap().into()),
            false => scene.broker.closed(1),
        }
        scene.exchange(&mut peer, vec![]);
        assert_eq!(scene.published.len(), usize::from(!in_order));
    }
}

#[test]
fn retained_messages_reach_those_who_subscribe_later() {
    let mut scene = Scene::new();
    let retained = Message {
        retain: true,
        ..message("kept", Qos::AtMostOnce)
    };
    scene.broker.publish(&retained);
    let mut peer = scene.connect(1, "a", true);
    scene.subscribe(&mut peer, "instance/#", Qos::AtMostOnce);
    assert_eq!(peer.texts().len(), 1);
    scene.broker.publish(&Message {
        payload: Vec::new(),
        ..retained
    });
    assert!(scene.broker.retained.is_empty());
}

#[test]
fn silence_and_nonsense_end_a_connection_and_nothing_else() {
    let mut scene = Scene::new();
    scene.silent(1);
    let mut peer = scene.connect(2, "a", true);
    scene.broker.received(2, &[0xff; 64], scene.now);
    scene.exchange(&mut peer, vec![]);
    assert!(peer.closed);
    // 60 s of keep-alive and half of it again.
    scene.connect(3, "b", true);
    scene.broker.tick(scene.now + Duration::from_secs(89));
    assert_eq!(scene.broker.clients.keys().copied().collect::<Vec<_>>(), [3]);
    scene.broker.tick(scene.now + Duration::from_secs(91));
    assert!(scene.broker.clients.is_empty() && scene.broker.wake().is_none());
}

#[test]
fn packets_may_come_in_any_pieces() {
    let mut scene = Scene::new();
    scene.broker.connected(1, scene.now);
    let connect = Connect::builder()
        .client_id("a")
        .unwrap()
        .clean_session(true)
        .build()
        .unwrap();
    let bytes = [connect.to_continuous_buffer(), publish(1, false).to_continuous_buffer()].concat();
    for byte in &bytes {
        scene.broker.received(1, &[*byte], scene.now);
    }
    scene.broker.connected(2, scene.now);
    scene.broker.received(2, &bytes, scene.now);
    let effects = scene.broker.take_effects();
    let published = effects.iter().filter(|effect| matches!(effect, Effect::Published(_)));
    assert_eq!(published.count(), 2);
}

/// Packets with bytes changed, cut and repeated, from a generator that gives the same every time.
#[test]
fn no_bytes_of_a_client_break_the_broker() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let connect = Connect::builder()
        .client_id("a")
        .unwrap()
        .clean_session(false)
        .build()
        .unwrap();
    let entry = SubEntry::new("instance/#", SubOpts::new().set_qos(Qos::ExactlyOnce)).unwrap();
    let subscribe = Subscribe::builder().packet_id(1).entries(vec![entry]).build().unwrap();
    let packets = [
        subscribe.to_continuous_buffer(),
        publish(1, false).to_continuous_buffer(),
        b"\x62\x02\x00\x01\x50\x02\x00\x01\x40\x02\x00\x01\x70\x02\x00\x01\xc0\x00".to_vec(),
        b"\xa2\x0e\x00\x01\x00\x0ainstance/#".to_vec(),
    ];
    let mut scene = Scene::new();
    for number in 0..3000 {
        scene.broker.connected(number, scene.now);
        scene
            .broker
            .received(number, &connect.to_continuous_buffer(), scene.now);
        for _ in 0..8 {
            let mut bytes = packets[next(packets.len())].clone();
            for _ in 0..next(3) {
                let at = next(bytes.len());
                bytes[at] = next(256) as u8;
            }
            bytes.truncate(bytes.len() - next(2) * next(bytes.len()));
            scene.broker.received(number, &bytes, scene.now);
        }
        scene.broker.take_effects();
        scene.broker.closed(number);
    }
    assert!(scene.broker.clients.is_empty() && scene.broker.parked.len() <= 1);
}

#[test]
fn a_client_that_acknowledges_nothing_is_cut_off_and_finds_its_messages_again() {
    let mut scene = Scene::new();
    let mut peer = scene.connect(1, "a", false);
    scene.subscribe(&mut peer, "#", Qos::AtLeastOnce);
    for _ in 0..1000 {
        scene.broker.publish(&message("text", Qos::AtLeastOnce));
    }
    scene.broker.tick(scene.now);
    assert!(scene.broker.clients.contains_key(&1), "so many may be under way");
    scene.broker.publish(&message("one too many", Qos::AtLeastOnce));
    scene.broker.tick(scene.now);
    assert!(scene.broker.clients.is_empty());
    scene.broker.take_effects();
    assert_eq!(scene.connect(2, "a", false).texts().len(), 1000);
}
