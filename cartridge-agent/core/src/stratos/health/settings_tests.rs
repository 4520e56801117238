use super::*;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

fn read(payload: &'static str) -> (Option<Settings<'static>>, Vec<String>) {
    let parameters = Parameters::new(b"", payload.as_bytes());
    let mut told = Vec::new();
    let settings = Settings::read(&parameters, &mut |bad| told.push(bad.to_string()));
    (settings, told)
}

fn receivers(payload: &'static str) -> (Vec<String>, Vec<String>) {
    let (settings, told) = read(payload);
    let receivers = settings.iter().flat_map(|it| it.receivers().to_vec());
    (receivers.map(|it| format!("{} {}", it.host, it.port)).collect(), told)
}

#[test]
fn without_a_receiver_there_are_no_health_statistics() {
    let (settings, told) = read("MEMBER_ID=m,stats.notifier.interval=15,cep.stats.publisher.enabled=true");
    assert!(settings.is_none() && told.is_empty(), "{told:?}");
}

#[test]
fn receivers_are_read_in_every_form() {
    for (payload, expected) in [
        ("thrift.receiver.urls=10.0.0.1:7611", &["10.0.0.1 7611"][..]),
        (
            "thrift.receiver.urls='cep1:7611|tcp://cep2:7000'",
            &["cep1 7611", "cep2 7000"],
        ),
        ("thrift.receiver.urls=cep", &["cep 7611"]),
        (
            "thrift.receiver.urls=[::1]:7000|[::1]|fd00::2",
            &["::1 7000", "::1 7611", "fd00::2 7611"],
        ),
        ("thrift.receiver.urls=tcp://cep:7711", &["cep 7711"]),
        ("thrift.receiver.urls=a:1,CEP_IP=b,CEP_PORT=2", &["a 1"]),
        ("CEP_IP=10.0.0.9", &["10.0.0.9 7611"]),
        ("CEP_IP=10.0.0.9,CEP_PORT=17611", &["10.0.0.9 17611"]),
        ("CEP_PORT=17611", &[]),
        ("CEP_IP=10.0.0.9,cep.stats.publisher.enabled=False", &[]),
    ] {
        let (receivers, told) = receivers(payload);
        assert_eq!(
            (&receivers[..], told.len()),
            (&expected.iter().map(|it| it.to_string()).collect::<Vec<_>>()[..], 0)
        );
    }
}

#[test]
fn upstreams_list_is_read_where_a_value_may_have_a_comma() {
    let mut payload = br#"{"thrift.receiver.urls": "cep1:7611, cep2:7000,|[::1]:1"}"#.to_vec();
    let length = crate::payload::read(&mut payload).unwrap();
    let mut told = 0;
    let settings = Settings::read(&Parameters::new(b"", &payload[..length]), &mut |_| told += 1).unwrap();
    let receivers: Vec<_> = settings.receivers().iter().map(|it| (it.host, it.port)).collect();
    assert_eq!(
        (receivers, told),
        (Vec::from([("cep1", 7611), ("cep2", 7000), ("::1", 1)]), 0)
    );
}

#[test]
fn a_receiver_that_demands_tls_is_refused_in_clear_words() {
    for payload in [
        "thrift.receiver.urls=ssl://cep:7611",
        "thrift.receiver.urls=tls://cep:7611",
        "thrift.receiver.urls=cep:7711",
        "CEP_IP=cep,CEP_PORT=7711",
    ] {
        let (receivers, told) = receivers(payload);
        assert!(receivers.is_empty(), "{payload}");
        assert!(told.len() == 1 && told[0].contains("without TLS"), "{told:?}");
    }
    let (receivers, told) = receivers("thrift.receiver.urls=ssl://a:1|b:2");
    assert_eq!((receivers, told.len()), (Vec::from(["b 2".to_string()]), 1));
}

#[test]
fn what_is_no_receiver_is_reported_and_left_out() {
    for item in [
        "cep:x",
        "cep:0",
        "cep:65536",
        ":7611",
        "[::1",
        "[::1]7611",
        "http://cep:7611",
        "[]:1",
    ] {
        let text: &'static str = format!("thrift.receiver.urls={item}|good:1").leak();
        let (receivers, told) = receivers(text);
        assert_eq!(
            (receivers, told.len()),
            (Vec::from(["good 1".to_string()]), 1),
            "{item}"
        );
    }
    let (receivers, told) = receivers("thrift.receiver.urls=tcp://me:hush@cep:7611|good:1");
    assert!(
        receivers.len() == 1 && told.len() == 1 && !told[0].contains("hush"),
        "{told:?}"
    );
    let nine: &'static str = format!("thrift.receiver.urls={}", "cep|".repeat(9)).leak();
    let (receivers, told) = self::receivers(nine);
    assert_eq!((receivers.len(), told.len()), (RECEIVER_LIMIT, 1));
}

#[test]
fn the_member_is_told_with_empty_texts_for_what_it_lacks() {
    let (settings, _) = read("CEP_IP=c,CLUSTER_ID=php.c,MEMBER_ID=php.c.m,NETWORK_PARTITION_ID=null,PARTITION_ID=");
    assert_eq!(settings.unwrap().member, ["php.c", "", "", "php.c.m", ""]);
    let long: &'static str = format!("CEP_IP=c,CLUSTER_ID=php.c,MEMBER_ID={}", "x".repeat(TEXT_LIMIT + 1)).leak();
    let (settings, told) = read(long);
    assert_eq!((settings.unwrap().member, told.len()), (["php.c", "", "", "", ""], 1));
}

#[test]
fn names_and_interval_have_defaults_and_bad_ones_are_told_without_secrets() {
    let (settings, _) = read("CEP_IP=c");
    let settings = settings.unwrap();
    assert_eq!((settings.user, settings.password), ("admin", "admin"));
    assert_eq!(settings.interval, Duration::from_secs(15));
    let (settings, _) =
        read("CEP_IP=c,CEP_USERNAME=u,CEP_PASSWORD=p,thrift.server.admin.username=v,stats.notifier.interval=3");
    let settings = settings.unwrap();
    assert_eq!((settings.user, settings.password), ("v", "p"));
    assert_eq!(settings.interval, Duration::from_secs(3));
    for interval in ["0", "3601", "soon", "-1"] {
        let text: &'static str = format!("CEP_IP=c,stats.notifier.interval={interval}").leak();
        let (settings, told) = read(text);
        assert_eq!(
            (settings.unwrap().interval.as_secs(), told.len()),
            (15, 1),
            "{interval}"
        );
    }
    let hush: &'static str = format!("CEP_IP=c,CEP_PASSWORD={}", "hush".repeat(100)).leak();
    let (settings, told) = read(hush);
    assert!(told.len() == 1 && !told[0].contains("hush"), "{told:?}");
    let (shown, _) = (format!("{:?}", settings.unwrap()), ());
    assert!(!shown.contains("admin"), "{shown}");
}
