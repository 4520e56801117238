//! Each packet as mqtt-protocol-core reads and writes it.

use super::*;
use mqtt_protocol_core::mqtt::packet::{Qos, v3_1_1};
use mqtt_protocol_core::mqtt::result_code::{ConnectReturnCode, SubackReturnCode};
use std::vec;

/// The body of the only packet in `bytes`, after its first byte and remaining length.
fn body(bytes: &[u8], first: u8) -> &[u8] {
    assert_eq!(bytes[0], first);
    let end = 1 + bytes[1..].iter().position(|byte| byte & 0x80 == 0).unwrap();
    let length = (1..=end)
        .rev()
        .fold(0, |length, at| length << 7 | usize::from(bytes[at] & 0x7f));
    assert_eq!(bytes.len(), end + 1 + length);
    &bytes[end + 1..]
}

#[test]
fn what_we_send_is_what_a_kept_codec_reads() {
    for (clean, user, password) in [
        (true, None, None),
        (false, Some("u"), None),
        (false, Some("user\u{20ac}"), Some("pass")),
        (true, None, Some("pass")),
    ] {
        let mut out = Vec::new();
        let ours = Connect {
            client: "php.c.m1",
            clean,
            keep_alive: 60,
            user,
            password,
        };
        connect(&mut out, &ours);
        let (read, length) = v3_1_1::Connect::parse(body(&out, 0x10)).unwrap();
        assert_eq!(length, body(&out, 0x10).len());
        assert_eq!(
            (read.client_id(), read.clean_session(), read.keep_alive()),
            ("php.c.m1", clean, 60)
        );
        assert_eq!(read.user_name(), user.or(password.map(|_| "")));
        assert_eq!(read.password(), password.map(str::as_bytes));
        assert!(!read.will_flag());
        assert_eq!(read.to_continuous_buffer(), out);
    }
    for size in [0, 100, 127, 128, 16_383, 16_384, 70_000] {
        for delivery in [
            Delivery::AtMostOnce,
            Delivery::ExactlyOnce(7, false),
            Delivery::ExactlyOnce(0xfffe, true),
        ] {
            let (mut out, payload) = (Vec::new(), vec![b'x'; size]);
            publish(&mut out, "a/b", &payload, delivery);
            let again = delivery == Delivery::ExactlyOnce(0xfffe, true);
            let packet = match delivery {
                Delivery::AtMostOnce => v3_1_1::Publish::builder().topic_name("a/b").unwrap().payload(payload),
                Delivery::ExactlyOnce(packet, again) => {
                    let packet = v3_1_1::Publish::builder()
                        .topic_name("a/b")
                        .unwrap()
                        .packet_id(packet)
                        .dup(again);
                    packet.qos(Qos::ExactlyOnce).payload(payload)
                }
            };
            assert_eq!(packet.build().unwrap().to_continuous_buffer(), out, "{size} {again}");
        }
    }
    let mut out = Vec::new();
    subscribe(&mut out, 0x1234, &[("topology/#", 0), ("instance/#", 1)]);
    let (read, _) = v3_1_1::Subscribe::parse(body(&out, 0x82)).unwrap();
    assert_eq!((read.packet_id(), read.to_continuous_buffer()), (0x1234, out.clone()));
    let topics: Vec<_> = read
        .entries()
        .iter()
        .map(|entry| (entry.topic_filter(), entry.sub_opts().qos()))
        .collect();
    assert_eq!(
        topics,
        [("topology/#", Qos::AtMostOnce), ("instance/#", Qos::AtLeastOnce)]
    );
    out.clear();
    acknowledge(&mut out, kind::PUBREL, 0x1234);
    assert_eq!(
        v3_1_1::Pubrel::builder()
            .packet_id(0x1234u16)
            .build()
            .unwrap()
            .to_continuous_buffer(),
        out
    );
    out.clear();
    acknowledge(&mut out, kind::PUBACK, 0x1234);
    assert_eq!(
        v3_1_1::Puback::builder()
            .packet_id(0x1234u16)
            .build()
            .unwrap()
            .to_continuous_buffer(),
        out
    );
    out.clear();
    bare(&mut out, kind::PINGREQ);
    bare(&mut out, kind::DISCONNECT);
    let mut theirs = v3_1_1::Pingreq::new().to_continuous_buffer();
    theirs.extend(v3_1_1::Disconnect::new().to_continuous_buffer());
    assert_eq!(theirs, out);
}

#[test]
fn what_a_kept_codec_writes_is_what_we_read() {
    for has_session in [false, true] {
        let accepted = v3_1_1::Connack::builder()
            .session_present(has_session)
            .return_code(ConnectReturnCode::Accepted);
        let bytes = accepted.build().unwrap().to_continuous_buffer();
        assert_eq!(
            Packet::read(kind::CONNACK, body(&bytes, 0x20)),
            Some(Packet::Accepted(has_session, 0))
        );
    }
    let bytes = v3_1_1::Pubrec::builder()
        .packet_id(0x1234u16)
        .build()
        .unwrap()
        .to_continuous_buffer();
    assert_eq!(
        Packet::read(kind::PUBREC, body(&bytes, 0x50)),
        Some(Packet::Received(0x1234))
    );
    let bytes = v3_1_1::Pubcomp::builder()
        .packet_id(0x1234u16)
        .build()
        .unwrap()
        .to_continuous_buffer();
    assert_eq!(
        Packet::read(kind::PUBCOMP, body(&bytes, 0x70)),
        Some(Packet::Complete(0x1234))
    );
    for (last, is_refused) in [
        (SubackReturnCode::SuccessMaximumQos1, false),
        (SubackReturnCode::Failure, true),
    ] {
        let codes = vec![SubackReturnCode::SuccessMaximumQos0, last];
        let suback = v3_1_1::Suback::builder()
            .packet_id(1u16)
            .return_codes(codes)
            .build()
            .unwrap();
        let bytes = suback.to_continuous_buffer();
        assert_eq!(
            Packet::read(kind::SUBACK, body(&bytes, 0x90)),
            Some(Packet::Subscribed(is_refused))
        );
    }
    let bytes = v3_1_1::Pingresp::new().to_continuous_buffer();
    assert_eq!(Packet::read(kind::PINGRESP, body(&bytes, 0xd0)), Some(Packet::Pong));
}

#[test]
fn what_a_broker_must_not_send_is_no_packet() {
    for kind in 0..16 {
        for length in [0, 1, 3] {
            let is_good = matches!((kind, length), (kind::PINGRESP, 0) | (kind::SUBACK, 3));
            assert_eq!(
                Packet::read(kind, &[0xff, 0xff, 0xff][..length]).is_some(),
                is_good,
                "{kind} {length}"
            );
        }
    }
    assert_eq!(Packet::read(kind::CONNACK, &[2, 0]), None);
}
