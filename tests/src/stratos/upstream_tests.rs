//! The helpers against each other: the upstream agent's life, replayed over a real broker, is what the platform takes.

use super::golden::{self, Message};
use super::mosquitto::{Broker, PASSWORD, USER};
use super::platform::Platform;
use super::server::{Known, State};
use rumqttc::{Client, Connection, Event, MqttOptions, Packet, QoS};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// A client of its own for each message, as the upstream agent has: connect, publish with QoS 0, disconnect.
fn publish(broker: &Broker, message: &Message, qos: QoS) {
    let (client, mut connection) = client(broker, "upstream", PASSWORD);
    client
        .try_publish(message.0, qos, false, message.1.to_string())
        .unwrap();
    let is_taken = |event: &Event| match qos {
        QoS::AtMostOnce => matches!(event, Event::Outgoing(rumqttc::Outgoing::Publish(_))),
        _ => matches!(event, Event::Incoming(Packet::PubComp(_) | Packet::PubAck(_))),
    };
    while !is_taken(&connection.recv_timeout(LIMIT).unwrap().unwrap()) {}
    client.try_disconnect().unwrap();
    while connection.recv_timeout(LIMIT).unwrap().is_ok() {}
}

fn client(broker: &Broker, name: &str, password: &str) -> (Client, Connection) {
    let mut options = MqttOptions::new(name, "127.0.0.1", broker.port);
    options.set_credentials(USER, password);
    Client::new(options, 10)
}

fn platform(broker: &Broker) -> Platform {
    let platform = Platform::start(broker, vec![Known::own("m", State::Initialized)]);
    platform.wait_ready().unwrap();
    platform
}

#[test]
fn the_upstream_life_is_golden_and_taken() {
    let broker = Broker::start().unwrap();
    let platform = platform(&broker);
    let golden = golden::life("m");
    for message in &golden {
        publish(&broker, message, QoS::AtMostOnce);
    }
    platform.settle().unwrap();
    golden::ensure_same(&golden, &platform.seen()).unwrap();
    platform.ensure_no_refusal().unwrap();
    platform.wait_state("m", State::ReadyToShutDown, LIMIT).unwrap();
    let published = broker.witness().published("upstream");
    assert_eq!(published.len(), golden.len(), "{published:?}");
    assert!(
        published
            .iter()
            .all(|one| one.qos == 0 && !one.is_duplicate && !one.is_retained)
    );
    assert_eq!(broker.witness().sessions("upstream"), golden.len());
}

#[test]
fn an_event_that_comes_twice_or_too_early_is_seen_and_refused() {
    let broker = Broker::start().unwrap();
    let platform = platform(&broker);
    let golden = golden::life("m");
    for index in [0, 1, 3, 2, 2] {
        publish(&broker, &golden[index], QoS::ExactlyOnce);
    }
    platform.settle().unwrap();
    assert_eq!(platform.refusals().len(), 1);
    golden::ensure_same(&golden[..3], &platform.seen()).unwrap_err();
    assert!(platform.seen()[2..].iter().all(|message| message.qos == 2));
}

#[test]
fn a_crash_loses_nothing_that_was_saved() {
    let mut broker = Broker::start().unwrap();
    let platform = platform(&broker);
    for message in &golden::life("m")[..3] {
        publish(&broker, message, QoS::ExactlyOnce);
    }
    platform.settle().unwrap();
    broker.crash_when_saved().unwrap();
    broker.restart().unwrap();
    for message in &golden::life("m")[3..] {
        publish(&broker, message, QoS::ExactlyOnce);
    }
    platform.settle().unwrap();
    golden::ensure_same(&golden::life("m"), &platform.seen()).unwrap();
    broker.stop().unwrap();
    broker.restart().unwrap();
    platform.settle().unwrap();
    assert_eq!(platform.seen().len(), 6);
}

#[test]
fn a_frozen_broker_takes_connections_and_says_nothing() {
    let mut broker = Broker::start().unwrap();
    broker.freeze().unwrap();
    let (_client, mut connection) = client(&broker, "waiting", PASSWORD);
    assert!(connection.recv_timeout(Duration::from_secs(1)).is_err());
    broker.thaw().unwrap();
    let event = connection.recv_timeout(LIMIT).unwrap().unwrap();
    assert!(matches!(event, Event::Incoming(Packet::ConnAck(_))), "{event:?}");
    assert_eq!(broker.witness().clients(), ["waiting"]);
}

#[test]
fn a_wrong_password_is_refused_and_a_large_topology_arrives() {
    let broker = Broker::start().unwrap();
    let (_client, mut connection) = client(&broker, "stranger", "wrong");
    assert!(connection.recv_timeout(LIMIT).unwrap().is_err());
    let platform = platform(&broker);
    platform.dress(super::topology::Dress {
        size: 5 << 20,
        ..Default::default()
    });
    let mut options = MqttOptions::new("reader", "127.0.0.1", broker.port);
    options
        .set_credentials(USER, PASSWORD)
        .set_max_packet_size(16 << 20, 1000);
    let (client, mut connection) = Client::new(options, 10);
    client.try_subscribe("topology/#", QoS::AtMostOnce).unwrap();
    loop {
        match connection.recv_timeout(LIMIT).unwrap().unwrap() {
            Event::Incoming(Packet::SubAck(_)) => platform.send_topology().unwrap(),
            Event::Incoming(Packet::Publish(publish)) => {
                assert!(publish.payload.len() >= 5 << 20);
                break;
            }
            _ => {}
        }
    }
    assert_eq!(broker.witness().subscribed("reader"), ["topology/#"]);
    assert_eq!(broker.witness().connections(), 3);
}
