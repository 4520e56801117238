use super::*;
use std::vec::Vec;

/// An answer's bytes, for the tests of what reads them.
pub struct Answer(pub Vec<u8>);

impl Answer {
    pub fn new(kind: u8, sequence: u32) -> Self {
        let mut bytes = vec_of(&[0x80, 1, 0, kind, 0, 0, 0, 3]);
        bytes.extend(b"get");
        bytes.extend(sequence.to_be_bytes());
        Answer(bytes)
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub fn text(self, text: &str) -> Self {
        self.raw(&(text.len() as u32).to_be_bytes()).raw(text.as_bytes())
    }

    pub fn field(self, kind: u8, number: u8) -> Self {
        self.raw(&[kind, 0, number])
    }
}

fn vec_of(bytes: &[u8]) -> Vec<u8> {
    bytes.into()
}

pub fn result(sequence: u32, text: &str) -> Vec<u8> {
    Answer::new(REPLY, sequence).field(STRING, 0).text(text).raw(&[STOP]).0
}

pub fn nothing(sequence: u32) -> Vec<u8> {
    Answer::new(REPLY, sequence).raw(&[STOP]).0
}

pub fn exception(sequence: u32, number: u8, text: &str) -> Vec<u8> {
    let inner = Answer::new(REPLY, sequence).field(STRUCT, number).field(STRING, 1);
    inner.text(text).raw(&[STOP, STOP]).0
}

pub fn failure(sequence: u32, text: &str, reason: u32) -> Vec<u8> {
    let message = Answer::new(EXCEPTION, sequence).field(STRING, 1).text(text);
    message.field(I32, 2).raw(&reason.to_be_bytes()).raw(&[STOP]).0
}

/// The answer, the same whatever pieces it comes in.
fn read(bytes: &[u8]) -> Result<Reader, Malformed> {
    let mut whole = Reader::new();
    let outcome = whole.take(bytes);
    for size in 1..bytes.len().min(40) {
        let mut reader = Reader::new();
        let mut last = Ok(false);
        for piece in bytes.chunks(size) {
            last = reader.take(piece);
            if last.is_err() {
                break;
            }
        }
        assert_eq!(last, outcome, "in pieces of {size} bytes");
        if outcome == Ok(true) {
            assert_eq!(
                (reader.sequence(), reader.outcome(), reader.text(), reader.is_cut()),
                (whole.sequence(), whole.outcome(), whole.text(), whole.is_cut())
            );
        }
    }
    assert_eq!(
        whole.is_complete(),
        outcome == Ok(true) || (outcome.is_err() && whole.is_complete())
    );
    outcome.and_then(|complete| if complete { Ok(whole) } else { Err(Malformed) })
}

#[test]
fn a_call_has_the_bytes_of_the_specification() {
    let mut buffer = [0xaa; 64];
    let mut writer = Writer::call(&mut buffer, "connect", 7);
    writer.field(STRING, 1);
    writer.string(b"me");
    let length = writer.finish().unwrap();
    assert_eq!(
        buffer[..length],
        *b"\x80\x01\x00\x01\x00\x00\x00\x07connect\x00\x00\x00\x07\x0b\x00\x01\x00\x00\x00\x02me\x00"
    );
}

#[test]
fn a_call_that_does_not_fit_is_not_begun() {
    for room in 0..40 {
        let mut buffer = std::vec![0; room];
        let mut writer = Writer::call(&mut buffer, "connect", 7);
        writer.field(STRING, 1);
        writer.string(b"me");
        assert_eq!(writer.finish(), (room >= 29).then_some(29), "{room}");
    }
}

#[test]
fn answers_are_read_in_pieces_of_any_size() {
    let it = read(&result(5, "session")).unwrap();
    assert_eq!(
        (it.sequence(), it.outcome(), it.text()),
        (5, Outcome::Success, &b"session"[..])
    );
    let it = read(&nothing(u32::MAX)).unwrap();
    assert_eq!(
        (it.sequence(), it.outcome(), it.text()),
        (u32::MAX, Outcome::Success, &b""[..])
    );
    let it = read(&exception(5, 4, "expired")).unwrap();
    assert_eq!((it.outcome(), it.text()), (Outcome::Exception(4), &b"expired"[..]));
    let it = read(&failure(5, "Invalid method name", 1)).unwrap();
    assert_eq!(
        (it.outcome(), it.text()),
        (Outcome::Failure(1), &b"Invalid method name"[..])
    );
    let it = read(&result(5, "")).unwrap();
    assert_eq!((it.outcome(), it.text()), (Outcome::Success, &b""[..]));
}

/// One value of every type there is, as field 99 of the result.
fn with_unknown_fields() -> Vec<u8> {
    let mut answer = Answer::new(REPLY, 1).field(STRING, 0).text("kept");
    for (kind, value) in [
        (BOOL, &b"\x01"[..]),
        (BYTE, b"\x7f"),
        (I16, b"\x01\x02"),
        (I32, b"\x01\x02\x03\x04"),
        (I64, b"\x01\x02\x03\x04\x05\x06\x07\x08"),
        (DOUBLE, b"\x01\x02\x03\x04\x05\x06\x07\x08"),
        (STRING, b"\x00\x00\x00\x03not"),
        (STRUCT, b"\x0b\x00\x01\x00\x00\x00\x03not\x0c\x00\x02\x00\x00"),
        (LIST, b"\x0b\x00\x00\x00\x02\x00\x00\x00\x01a\x00\x00\x00\x00"),
        (SET, b"\x08\x00\x00\x00\x00"),
        (LIST, b"\x0c\x00\x00\x00\x02\x00\x00"),
        (
            MAP,
            b"\x0b\x0f\x00\x00\x00\x02\x00\x00\x00\x01k\x03\x00\x00\x00\x01v\x00\x00\x00\x00\x03\x00\x00\x00\x00",
        ),
    ] {
        answer = answer.field(kind, 99).raw(value);
    }
    answer.raw(&[STOP]).0
}

#[test]
fn unknown_fields_of_every_type_are_passed_over() {
    let it = read(&with_unknown_fields()).unwrap();
    assert_eq!((it.outcome(), it.text()), (Outcome::Success, &b"kept"[..]));
}

#[test]
fn what_is_nested_too_deep_is_refused() {
    let nested = |depth: usize| {
        let mut answer = Answer::new(REPLY, 1);
        for _ in 1..depth {
            answer = answer.field(STRUCT, 9);
        }
        answer.raw(&std::vec![STOP; depth]).0
    };
    assert!(read(&nested(DEPTH)).is_ok());
    assert!(read(&nested(DEPTH + 1)).is_err());
    let lists = Answer::new(REPLY, 1)
        .field(LIST, 9)
        .raw(&b"\x0f\x00\x00\x00\x01".repeat(5000))
        .0;
    assert!(read(&lists).is_err());
}

#[test]
fn what_is_no_answer_is_refused() {
    for (what, bytes) in [
        ("another protocol", &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]),
        ("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x46"),
        ("a call", b"\x80\x01\x00\x01\x00\x00\x00\x00"),
        (
            "a message that is not strict",
            b"\x00\x00\x00\x03get\x02\x00\x00\x00\x01\x00",
        ),
        ("a frame", b"\x00\x00\x00\x20\x80\x01\x00\x02"),
        ("a name of 4 GiB", b"\x80\x01\x00\x02\xff\xff\xff\xff"),
        (
            "a field without a type",
            b"\x80\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00",
        ),
        (
            "a list of 4 GiB",
            b"\x80\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01\x0f\x00\x00\x08\xff\xff\xff\xff",
        ),
        (
            "a text of 2 GiB",
            b"\x80\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01\x0b\x00\x00\x7f\xff\xff\xff",
        ),
    ] {
        assert_eq!(Reader::new().take(bytes), Err(Malformed), "{what}");
    }
    let mut trailing = result(1, "x");
    trailing.push(0);
    assert_eq!(Reader::new().take(&trailing), Err(Malformed), "bytes after the end");
    let mut reader = Reader::new();
    assert_eq!(reader.take(&nothing(1)), Ok(true));
    assert_eq!(reader.take(b"\x00"), Err(Malformed), "bytes after the end, later");
}

#[test]
fn an_answer_without_an_end_is_given_up() {
    let mut reader = Reader::new();
    let start = Answer::new(REPLY, 1).0;
    assert_eq!(reader.take(&start), Ok(false));
    let field = Answer(Vec::new()).field(STRING, 7).text(&"x".repeat(1000)).0;
    let taken = (0..1000).take_while(|_| reader.take(&field) == Ok(false)).count();
    assert_eq!(taken, (ANSWER_LIMIT as usize - start.len()) / field.len());
}

#[test]
fn a_long_text_is_cut_and_says_so() {
    let it = read(&result(1, &"s".repeat(TEXT_LIMIT))).unwrap();
    assert!(it.text().len() == TEXT_LIMIT && !it.is_cut());
    let it = read(&result(1, &"s".repeat(TEXT_LIMIT + 1))).unwrap();
    assert!(it.text().len() == TEXT_LIMIT && it.is_cut());
}

/// A small generator of numbers that repeat on every run.
fn numbers() -> impl FnMut(usize) -> usize {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize % below
    }
}

#[test]
fn no_bytes_make_the_reader_panic_or_hang() {
    let mut number = numbers();
    let good = with_unknown_fields();
    for round in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..1 + round % 4 {
            let at = number(bytes.len());
            bytes[at] = number(256) as u8;
        }
        bytes.truncate(1 + number(bytes.len()));
        let mut reader = Reader::new();
        for piece in bytes.chunks(1 + number(30)) {
            if reader.take(piece).is_err() {
                break;
            }
        }
        let _ = (reader.outcome(), reader.text(), reader.sequence());
    }
    for _ in 0..2_000 {
        // Past the version, where the grammar begins.
        let mut bytes = Answer::new(REPLY, 1).0;
        bytes.extend((0..300).map(|_| [2, 3, 4, 6, 8, 10, 11, 12, 13, 14, 15, 0, 0, 0, 1, 2][number(16)]));
        let _ = Reader::new().take(&bytes);
    }
}
