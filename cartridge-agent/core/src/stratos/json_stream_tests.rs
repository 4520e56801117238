use super::*;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

#[derive(Default)]
struct Seen(Vec<String>);

impl Sink for Seen {
    fn token(&mut self, token: Token<'_>) {
        self.0.push(match token {
            Token::Object => "{".to_string(),
            Token::Array => "[".to_string(),
            Token::End => "}".to_string(),
            Token::Key(name) => format!("{name}:"),
            Token::Text(text) => format!("'{text}'"),
            Token::Number(number) => number.to_string(),
            Token::Word => "word".to_string(),
            Token::TooLong => "too long".to_string(),
        });
    }
}

fn read(document: &[u8], piece: usize) -> Result<Vec<String>, Fault> {
    let (mut tokenizer, mut seen) = (Tokenizer::default(), Seen::default());
    for bytes in document.chunks(piece) {
        tokenizer.feed(bytes, &mut seen)?;
    }
    tokenizer.finish()?;
    Ok(seen.0)
}

#[test]
fn tokens_do_not_depend_on_where_the_pieces_end() {
    let document = " {\"a\" : [1, -2.5e+3 ,\"x\\n\\u20ac\\ud83d\\ude00\\\"\u{20ac}\", true,null, [], {}],\n\"\\u0062\":{\"c\":\"\"}} ";
    let tokens = [
        "{",
        "a:",
        "[",
        "1",
        "-2.5e+3",
        "'x\n\u{20ac}\u{1f600}\"\u{20ac}'",
        "word",
        "word",
        "[",
        "}",
        "{",
        "}",
        "}",
        "b:",
        "{",
        "c:",
        "''",
        "}",
        "}",
    ];
    for piece in 1..document.len() {
        assert_eq!(read(document.as_bytes(), piece).unwrap(), tokens, "pieces of {piece}");
    }
}

#[test]
fn what_is_not_json_is_a_fault_and_nothing_more() {
    for document in [
        "[]",
        "1",
        "\"a\"",
        "{]",
        "{}{}",
        "{},",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":[1,]}",
        "{\"a\":[,]}",
        "{\"a\":tru}",
        "{\"a\":nulls}",
        "{\"a\":1 2}",
        "{\"a\":-}",
        "{\"a\":\"\u{1}\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{a:1}",
        "{'a':1}",
        "{1:1}",
        "{\"a\":1]",
        "{\"a\":[1}",
        "<xml/>",
        "{\"a\":+1}",
        "\u{feff}{}",
    ] {
        for piece in [1, 2, 100] {
            assert_eq!(read(document.as_bytes(), piece), Err(Fault::NotJson), "{document}");
        }
    }
    assert_eq!(read(b"{\"a\":\"\xff\"}", 3), Err(Fault::NotUtf8));
    assert_eq!(read(b"{\"\xe2\x82\":1}", 3), Err(Fault::NotUtf8));
}

#[test]
fn a_document_that_ends_early_is_cut_short_wherever_that_is() {
    let document = b"{\"a\":[1,{\"b\":\"c\\u0041\"},true]}";
    for end in 0..document.len() {
        assert_eq!(read(&document[..end], 7), Err(Fault::CutShort), "{end}");
    }
    assert!(read(document, 7).is_ok());
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert!(read(nested(DEPTH_LIMIT as usize).as_bytes(), 5).is_ok());
    assert_eq!(
        read(nested(DEPTH_LIMIT as usize + 1).as_bytes(), 5),
        Err(Fault::TooDeep)
    );
    assert_eq!(read("{\"a\":".repeat(100_000).as_bytes(), 999), Err(Fault::TooDeep));
}

#[test]
fn a_string_or_number_that_is_too_long_is_passed_over() {
    for (unit, end) in [("x", "\""), ("\u{20ac}", "\""), ("\\u20ac", "\"")] {
        let document = format!("{{\"a\":\"{}{end},\"b\":1}}", unit.repeat(TEXT_LIMIT + 1));
        assert_eq!(
            read(document.as_bytes(), 10).unwrap(),
            ["{", "a:", "too long", "b:", "1", "}"]
        );
    }
    let document = format!("{{\"a\":{}}}", "9".repeat(TEXT_LIMIT + 1));
    assert_eq!(read(document.as_bytes(), 10).unwrap(), ["{", "a:", "too long", "}"]);
    let document = format!("{{\"{}\":2}}", "k".repeat(TEXT_LIMIT + 1));
    assert_eq!(read(document.as_bytes(), 10).unwrap(), ["{", ":", "2", "}"]);
    let longest = "y".repeat(TEXT_LIMIT);
    let document = format!("{{\"a\":\"{longest}\"}}");
    assert_eq!(read(document.as_bytes(), 10).unwrap()[2], format!("'{longest}'"));
}

#[test]
fn half_a_surrogate_pair_is_a_replacement_character() {
    for (text, shown) in [
        ("\\ud83d", "\u{fffd}"),
        ("\\ude00", "\u{fffd}"),
        ("\\ud83dx", "\u{fffd}x"),
        ("\\ud83d\\n", "\u{fffd}\n"),
        ("\\ud83d\\ud83d\\ude00", "\u{fffd}\u{1f600}"),
    ] {
        let document = format!("{{\"a\":\"{text}\"}}");
        assert_eq!(read(document.as_bytes(), 4).unwrap()[2], format!("'{shown}'"), "{text}");
    }
}
