use super::*;
use std::string::{String, ToString};
use std::vec::Vec;

fn payload(text: &str) -> Parameters<'_> {
    Parameters::new(b"", text.as_bytes())
}

fn told(parameters: Parameters<'_>) -> Vec<String> {
    let mut told = Vec::new();
    parameters.problems(&mut |source, problem| told.push(std::format!("{source}: {problem}")));
    told
}

#[test]
fn values_are_split_at_the_first_equals_and_trimmed() {
    let parameters = payload(" A = 1 ,B=x=y==,, C=\td e\t,");
    assert_eq!(parameters.get("A"), Some("1"));
    assert_eq!(parameters.get("B"), Some("x=y=="));
    assert_eq!(parameters.get("C"), Some("d e"));
    assert_eq!(parameters.get("D"), None);
    assert_eq!(told(parameters), Vec::<String>::new());
}

#[test]
fn null_and_empty_are_absent_and_leave_the_default() {
    let parameters = Parameters::new(b"A=1,B=2,C=3,D=4", b"A=null,B=NULL,C=,D=5,E=Null");
    assert_eq!(
        ["A", "B", "C", "D", "E"].map(|key| parameters.get(key)),
        [Some("1"), Some("2"), Some("3"), Some("5"), None]
    );
    assert_eq!(
        parameters.iter().collect::<Vec<_>>(),
        [("D", "5"), ("A", "1"), ("B", "2"), ("C", "3")]
    );
}

#[test]
fn line_ends_and_a_byte_order_mark_are_tolerated() {
    let parameters = payload("\u{feff}A=1\r\nB=2,\r\n\r\n C=3\n");
    assert_eq!(
        ["A", "B", "C"].map(|key| parameters.get(key)),
        [Some("1"), Some("2"), Some("3")]
    );
    assert_eq!(told(parameters), Vec::<String>::new());
}

#[test]
fn the_last_duplicate_wins_and_is_reported_once() {
    let parameters = payload("A=1,A=2,A=3");
    assert_eq!(parameters.get("A"), Some("3"));
    assert_eq!(parameters.iter().collect::<Vec<_>>(), [("A", "3")]);
    assert_eq!(
        told(parameters),
        ["payload: A is given more than once: the last value is used"]
    );
}

#[test]
fn a_near_miss_of_the_agents_keys_is_reported_once_and_other_keys_are_the_apps() {
    let parameters = Parameters::new(b"LOG_LEVELS=info", b"PORT=80,PORT=81,WEATHER=fine,PORTS=80");
    assert_eq!(
        told(parameters),
        [
            "payload: PORT is left to the app; did you mean PORTS?",
            "payload: PORT is given more than once: the last value is used",
            "defaults of the manifest: LOG_LEVELS is left to the app; did you mean LOG_LEVEL?",
        ]
    );
    assert_eq!(parameters.get("PORT"), Some("81"));
}

#[test]
fn typed_values() {
    let parameters = payload("YES=True,NO=FALSE,ODD=maybe,N=18446744073709551615,BIG=18446744073709551616,NEG=-1");
    assert_eq!(parameters.boolean("YES"), Ok(Some(true)));
    assert_eq!(parameters.boolean("NO"), Ok(Some(false)));
    assert_eq!(parameters.boolean("ODD"), Err("maybe"));
    assert_eq!(parameters.boolean("NONE"), Ok(None));
    assert_eq!(parameters.number("N"), Ok(Some(u64::MAX)));
    assert_eq!(parameters.number("BIG"), Err("18446744073709551616"));
    assert_eq!(parameters.number("NEG"), Err("-1"));
}

#[test]
fn lists_are_split_at_bars_without_quotes_and_blanks() {
    for text in [
        "P=8080|9443",
        "P='8080|9443'",
        "P=\"8080\" | '9443'||",
        "P='8080'|'9443'",
    ] {
        assert_eq!(payload(text).list("P").collect::<Vec<_>>(), ["8080", "9443"], "{text}");
    }
    assert_eq!(payload("").list("P").count(), 0);
}

#[test]
fn what_is_not_understood_is_left_out_and_reported_without_its_text() {
    let parameters = Parameters::new(b"", b"TOKEN=abc,secretTail,=x,B=\xff,C=a\x1bb,D=1");
    assert_eq!(parameters.get("D"), Some("1"));
    assert_eq!([parameters.get("B"), parameters.get("C")], [None, None]);
    let told = told(parameters);
    assert_eq!(told.len(), 4);
    assert!(told[0].contains("item 2 has no '='") && told[1].contains("item 3 has no key"));
    assert!(told[2].contains("item 4 is not UTF-8") && told[3].contains("item 5 has a control byte"));
    assert!(!told.concat().contains("secretTail"));
}

#[test]
fn a_text_past_the_size_cap_is_refused_whole() {
    let mut text = Vec::from(&b"A=1,B="[..]);
    text.resize(SIZE_LIMIT, b'x');
    assert_eq!(Parameters::new(b"", &text).get("A"), Some("1"));
    text.push(b'x');
    let parameters = Parameters::new(b"A=default", &text);
    assert_eq!(parameters.get("A"), Some("default"));
    assert_eq!(
        told(parameters),
        ["payload: it has 65536 bytes and at most 65535 are read: nothing of it is used"]
    );
}

#[test]
fn items_past_the_cap_are_not_read() {
    let text: String = (0..ITEM_LIMIT + 1).map(|number| std::format!("K{number}=1,")).collect();
    assert_eq!(payload(&text).get("K511"), Some("1"));
    assert_eq!(payload(&text).get("K512"), None);
    assert_eq!(told(payload(&text)), ["payload: only the first 512 items are used"]);
}

#[test]
fn the_largest_text_of_the_shortest_items_is_read_quickly() {
    let text = "a=b,".repeat(SIZE_LIMIT / 4);
    assert_eq!(told(payload(&text)).len(), 2);
    assert_eq!(payload(&text).iter().count(), 1);
}

#[test]
fn secret_keys_are_known_by_their_names() {
    for key in [
        "TOKEN",
        "MANAGEMENT_TOKEN",
        "mb.password",
        "CARTRIDGE_KEY",
        "Client_Secret",
    ] {
        assert!(is_secret(key), "{key}");
    }
    assert!(!is_secret("PORTS"));
}

/// Random bytes drawn mostly from the format's own alphabet: no panic, and what is read obeys the format.
#[test]
fn any_bytes_are_read_without_panic() {
    const ALPHABET: &[u8] = b"AB=,|'\" \r\n\tnull\0\x1b\xff\xc3\xa9\xef\xbb\xbf";
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        let mut text = Vec::new();
        for _ in 0..random % 60 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            text.push(ALPHABET[(random >> 32) as usize % ALPHABET.len()]);
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (defaults, payload) = text.split_at(text.len() / 2);
        let parameters = Parameters::new(defaults, payload);
        parameters.problems(&mut |_, problem| drop(problem.to_string()));
        for (key, value) in parameters.iter() {
            assert!(!key.is_empty() && !key.contains(['=', ',', '\n']) && key.trim_ascii() == key);
            assert!(!value.is_empty() && !value.contains([',', '\n']) && !value.eq_ignore_ascii_case("null"));
            assert_eq!(parameters.get(key), Some(value));
            assert!(parameters.list(key).all(|item| !item.is_empty() && !item.contains('|')));
        }
    }
}
