use super::*;
use std::vec::Vec;

fn event() -> Event<'static> {
    Event {
        session: b"S",
        stream: b"stream:1.0.0",
        unix_ms: 0x0102_0304_0506_0708,
        member: ["php.cluster", "", "np1", "php.member.1", ""],
        description: "load_average",
        value: 12.5,
    }
}

#[test]
fn the_definition_is_that_of_stratos_4_1() {
    let definition: serde_json::Value = serde_json::from_str(STREAM).unwrap();
    let attribute = |name: &str, kind: &str| serde_json::json!({"name": name, "type": kind});
    assert_eq!(
        definition,
        serde_json::json!({
            "name": "cartridge_agent_health_stats",
            "version": "1.0.0",
            "nickName": "agent health stats",
            "description": "agent health stats",
            "payloadData": [
                attribute("cluster_id", "STRING"),
                attribute("cluster_instance_id", "STRING"),
                attribute("network_partition_id", "STRING"),
                attribute("member_id", "STRING"),
                attribute("partition_id", "STRING"),
                attribute("health_description", "STRING"),
                attribute("value", "DOUBLE"),
            ],
        })
    );
}

#[test]
fn an_event_has_the_bytes_of_a_bundle_and_every_text_in_its_place() {
    let mut buffer = [0; 512];
    let length = publish(&mut buffer, 9, &event()).unwrap();
    let mut expected = Vec::new();
    let mut add = |bytes: &[u8]| expected.extend_from_slice(bytes);
    add(b"\x80\x01\x00\x01\x00\x00\x00\x07publish\x00\x00\x00\x09");
    add(b"\x0c\x00\x01");
    add(b"\x0b\x00\x01\x00\x00\x00\x01S");
    add(b"\x08\x00\x02\x00\x00\x00\x01");
    add(b"\x0f\x00\x03\x08\x00\x00\x00\x00");
    add(b"\x0f\x00\x04\x0a\x00\x00\x00\x01\x01\x02\x03\x04\x05\x06\x07\x08");
    // 12.5 is 1.5625 * 2^3.
    add(b"\x0f\x00\x05\x04\x00\x00\x00\x01\x40\x29\x00\x00\x00\x00\x00\x00");
    add(b"\x0f\x00\x06\x02\x00\x00\x00\x00");
    add(b"\x0f\x00\x07\x0b\x00\x00\x00\x07");
    for text in [
        "stream:1.0.0",
        "php.cluster",
        "",
        "np1",
        "php.member.1",
        "",
        "load_average",
    ] {
        add(&(text.len() as u32).to_be_bytes());
        add(text.as_bytes());
    }
    add(b"\x00\x00");
    assert_eq!(buffer[..length], expected);
    assert_eq!(publish(&mut buffer[..length - 1], 9, &event()), None);
}

#[test]
fn arguments_are_numbered_from_one() {
    let mut buffer = [0; 64];
    let length = call(&mut buffer, Call::Connect, 1, &[b"me", b"pw"]).unwrap();
    assert_eq!(
        buffer[..length],
        *b"\x80\x01\x00\x01\x00\x00\x00\x07connect\x00\x00\x00\x01\x0b\x00\x01\x00\x00\x00\x02me\x0b\x00\x02\x00\x00\x00\x02pw\x00"
    );
}

#[test]
fn answers_mean_what_the_declarations_say() {
    use Outcome::{Exception, Failure, Success};
    for (call, outcome, answer) in [
        (Call::Connect, Success, Answer::Done),
        (Call::Connect, Exception(1), Answer::WrongPassword),
        (Call::Connect, Exception(2), Answer::Refused),
        (Call::Connect, Failure(UNKNOWN_METHOD), Answer::NoLogin),
        (Call::Connect, Failure(6), Answer::Refused),
        (Call::DefineStream, Exception(1), Answer::WrongDefinition),
        (Call::DefineStream, Exception(2), Answer::WrongDefinition),
        (Call::DefineStream, Exception(3), Answer::WrongDefinition),
        (Call::DefineStream, Exception(4), Answer::NoSession),
        (Call::DefineStream, Exception(5), Answer::Refused),
        (Call::Publish, Success, Answer::Done),
        (Call::Publish, Exception(1), Answer::NoSession),
        (Call::Publish, Exception(2), Answer::NoSession),
        (Call::Publish, Failure(6), Answer::Refused),
        (Call::Disconnect, Success, Answer::Done),
    ] {
        assert_eq!(call.answer(outcome), answer, "{call:?} {outcome:?}");
    }
}
