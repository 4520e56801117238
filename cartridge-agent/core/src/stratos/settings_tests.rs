use super::*;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

const IDS: &str = "MEMBER_ID=m,CLUSTER_ID=c";

fn settings(payload: &'static str) -> (Option<Settings<'static>>, Vec<String>) {
    let mut told = Vec::new();
    let parameters = Parameters::new(b"", payload.as_bytes());
    (read(&parameters, &mut |wrong| told.push(wrong.to_string())), told)
}

fn brokers(text: &str) -> (Vec<(String, u16)>, usize) {
    let payload: &'static str = format!("{IDS},{text}").leak();
    let (settings, told) = settings(payload);
    let list = settings.map(|settings| {
        let name = |broker: &Broker<'_>| (broker.host.to_string(), broker.port);
        settings.brokers().iter().map(name).collect()
    });
    (list.unwrap_or_default(), told.len())
}

#[test]
fn a_payload_without_a_broker_has_no_control_plane_and_no_complaint() {
    for payload in [
        "",
        IDS,
        "CONTROL_PLANE=none,MB_IP=10.0.0.1,MEMBER_ID=m,CLUSTER_ID=c",
        "CONTROL_PLANE=auto",
    ] {
        let (settings, told) = settings(payload);
        assert!(settings.is_none() && told.is_empty(), "{payload}: {told:?}");
    }
}

#[test]
fn what_lacks_is_said_in_one_line() {
    for (payload, lacks) in [
        ("MB_IP=10.0.0.1,CLUSTER_ID=c", "lacks MEMBER_ID"),
        ("MB_IP=10.0.0.1,MEMBER_ID=m", "lacks CLUSTER_ID"),
        (
            "CONTROL_PLANE=stratos,MEMBER_ID=m,CLUSTER_ID=c",
            "lacks MB_IP or mb.urls",
        ),
    ] {
        let (settings, told) = settings(payload);
        assert!(settings.is_none());
        assert!(told.len() == 1 && told[0].contains(lacks), "{told:?}");
    }
    let (chosen, told) = settings("CONTROL_PLANE=bosh,MB_IP=10.0.0.1,MEMBER_ID=m,CLUSTER_ID=c");
    assert!(chosen.is_some() && told == ["CONTROL_PLANE=bosh is not auto, stratos or none: using auto"]);
}

#[test]
fn brokers_are_read_in_every_form_and_order() {
    let one = |host: &str, port| std::vec![(host.to_string(), port)];
    for (text, expected) in [
        ("MB_IP=10.0.0.1", one("10.0.0.1", 1883)),
        ("MB_IP=10.0.0.1,MB_PORT=1884", one("10.0.0.1", 1884)),
        ("mb.ip=broker.example,mb.port=1885", one("broker.example", 1885)),
        ("MB_IP=fd00::1", one("fd00::1", 1883)),
        ("mb.urls=[::1]:1886", one("::1", 1886)),
        ("mb.urls=[fe80::1%2]", one("fe80::1%2", 1883)),
        ("mb.urls=tcp://b:1887", one("b", 1887)),
        ("mb.urls=b:1888,mb.ip=other", one("b", 1888)),
    ] {
        assert_eq!(brokers(text), (expected, 0), "{text}");
    }
    let (list, _) = brokers("MB_URLS='a:1|b:2| c:3 |d'");
    let expected = [("a", 1), ("b", 2), ("c", 3), ("d", 1883)];
    assert_eq!(list, expected.map(|(host, port)| (host.to_string(), port)));
    let (list, told) = brokers("mb.urls=1|2|3|4|5|6|7|8|9");
    assert_eq!((list.len(), told), (BROKER_LIMIT, 1));
}

#[test]
fn a_broker_that_is_no_address_is_left_out_without_being_shown() {
    for bad in [
        "b:0",
        "b:65536",
        "b:x",
        "b:",
        ":1",
        "user:secret@b:1883",
        "[::1]x",
        "a b",
        "[:1",
    ] {
        let payload: &'static str = format!("{IDS},mb.urls={bad}|good:1").leak();
        let (settings, told) = settings(payload);
        assert_eq!(settings.unwrap().brokers(), [Broker { host: "good", port: 1 }], "{bad}");
        assert!(told.len() == 1 && !told[0].contains("secret"), "{bad}: {told:?}");
    }
}

#[test]
fn a_value_that_is_too_long_is_named_and_not_shown() {
    let secret = "s".repeat(VALUE_LIMIT + 1);
    let payload: &'static str = format!("{IDS},MB_IP=b,mb.password={secret}").leak();
    let (settings, told) = settings(payload);
    assert!(settings.is_none());
    assert_eq!(
        told,
        ["mb.password has more than 255 bytes: going on without a control plane"]
    );
}
