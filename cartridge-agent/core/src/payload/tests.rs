use super::*;
use crate::parameters::Parameters;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

fn flat(text: &str) -> Result<String, Unusable> {
    let mut bytes = text.as_bytes().to_vec();
    let length = read(&mut bytes)?;
    Ok(String::from_utf8(bytes[..length].to_vec()).unwrap())
}

/// Every parameter of a payload that is used.
fn parameters(text: &str) -> Vec<(String, String)> {
    let text = flat(text).unwrap_or_else(|why| panic!("{text}: {why}"));
    let parameters = Parameters::new(b"", text.as_bytes());
    parameters.problems(&mut |_, problem| panic!("{problem}"));
    parameters
        .iter()
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(key, value)| (key.into(), value.into())).to_vec()
}

#[test]
fn launch_params_stay_as_they_are() {
    for text in ["", " \n", "A=1,B=x=y==", "# a word,A=1", "nonsense", "\u{feff}A={}"] {
        assert_eq!(flat(text).as_deref(), Ok(text));
    }
    let large = "A".repeat(SIZE_LIMIT + 1);
    assert_eq!(flat(&large), Ok(large));
}

#[test]
fn a_json_object_gives_the_same_parameters_as_launch_params() {
    assert_eq!(
        parameters(
            "\u{feff} {\"A\":\"1\",\"B\": 2.5e3 ,\n\"C\":true,\"D\":null,\"E\":\"\",\"F\":\"null\",\"PORTS\":[8080, \"9443\"],\"G\":[]}\r\n"
        ),
        pairs([("A", "1"), ("B", "2.5e3"), ("C", "true"), ("PORTS", "8080|9443")])
    );
    assert_eq!(parameters("{}"), []);
    assert_eq!(parameters(" { } "), []);
}

#[test]
fn values_that_launch_params_cannot_carry_survive() {
    assert_eq!(
        parameters(
            r#"{"A":"x,y=z==","B":" two\nlines\t\"\\\/ ","C":"\u00e9\ud83d\ude00\u20AC","k=e,y":"é","D":"a|b","T":"\ud83dx\udc00"}"#
        ),
        pairs([
            ("A", "x,y=z=="),
            ("B", " two\nlines\t\"\\/ "),
            ("C", "é😀€"),
            ("k=e,y", "é"),
            ("D", "a|b"),
            ("T", "\u{fffd}x\u{fffd}"),
        ])
    );
}

#[test]
fn nested_values_are_kept_as_their_json_text() {
    let nested = r#"{"x": [1, {"y": "},]\"\\"}], "z": null}"#;
    assert_eq!(
        parameters(&format!(r#"{{"A":{nested},"B":[[1],2],"C":[{{}}],"D":"last"}}"#)),
        pairs([("A", nested), ("B", "[[1],2]"), ("C", "[{}]"), ("D", "last")])
    );
    let deep = |levels: usize| format!("{{\"A\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(flat(&deep(DEPTH_LIMIT as usize)).is_ok());
    assert_eq!(flat(&deep(DEPTH_LIMIT as usize + 1)), Err(Unusable::NotJson(37)));
    assert!(flat(&deep(30_000)).is_err());
}

#[test]
fn what_is_no_json_object_is_refused_with_its_place() {
    for (text, at) in [
        ("{", 1),
        ("{\"A\"", 4),
        ("{\"A\":", 5),
        ("{\"A\":1", 6),
        ("{\"A\":1,}", 7),
        ("{A:1}", 1),
        ("{\"A\":x}", 5),
        ("{\"A\":1}x", 7),
        ("{\"A\":1}{}", 7),
        ("{\"A\":\"x", 7),
        ("{\"A\":\"a\nb\"}", 7),
        ("{\"A\":\"\\x\"}", 6),
        ("{\"A\":\"\\u12\"}", 6),
        ("{\"A\":\"\\u001e\"}", 6),
        ("{\"A\":[1,]}", 8),
        ("{\"A\":[1}", 7),
        ("{\"A\":{]}", 6),
        ("{\"A\":[\"\u{1e}\"]}", 7),
        ("  {\"A\":}", 7),
    ] {
        assert_eq!(flat(text), Err(Unusable::NotJson(at)), "{text}");
    }
    let mut bytes = b"{\"A\":\"\xff\"}".to_vec();
    assert_eq!(read(&mut bytes), Err(Unusable::NotJson(6)));
    assert!(Unusable::NotJson(7).to_string().contains("byte 7"));
}

#[test]
fn forms_for_other_guests_are_told_by_one_line() {
    for (text, why) in [
        (&b"\x1f\x8b\x08\x00\x01"[..], "gzip data"),
        (b"#!/bin/sh\necho A=1", "for cloud-init"),
        (b"#cloud-config\nA: 1", "for cloud-init"),
        (b"\n#include\nhttp://x", "for cloud-init"),
        (b"Content-Type: multipart/mixed; boundary=x", "for cloud-init"),
        (b"mime-version: 1.0", "for cloud-init"),
        (b"A=1,B=\0", "binary data"),
        (b"\x7fELF\x02\x01\x01\0", "binary data"),
    ] {
        let told = read(&mut text.to_vec()).unwrap_err().to_string();
        assert!(told.starts_with(why), "{told}");
    }
}

#[test]
fn no_json_makes_the_reader_panic_or_grow() {
    let start = r#"{"A":"x\u00e9\ud83d\ude00","B":[1,"2",null],"C":{"d":[{}]},"E":-1.5}"#;
    let mut state = 7u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    for _ in 0..100_000 {
        let mut bytes = start.as_bytes().to_vec();
        for _ in 0..1 + next() % 3 {
            let (at, from) = (next() % bytes.len(), next() % start.len());
            match next() % 3 {
                0 => bytes[at] = next() as u8,
                1 => bytes[at] = start.as_bytes()[from],
                _ => bytes.truncate(at.max(1)),
            }
        }
        let length = bytes.len();
        if let Ok(written) = read(&mut bytes) {
            assert!(written <= length);
            let parameters = Parameters::new(b"", &bytes[..written]);
            assert!(parameters.iter().count() <= crate::parameters::ITEM_LIMIT);
        }
    }
}

#[test]
fn blanks_before_an_object_do_not_count() {
    let mut text = *b"\n {\"A\":1}";
    let length = flat_json(&mut text).unwrap();
    assert_eq!(text[..length], *b"\x1eA\x1f1\x1e");
}
