//! Apache Thrift's strict binary protocol, unframed, as far as a databridge needs it: calls are read, answers written.
//!
//! What is read is bounded in bytes, depth and number; what is not understood ends the connection.

use std::io::{self, Read};

/// The largest call.
const CALL_LIMIT: u64 = 256 * 1024;
/// Structures within structures.
const DEPTH_LIMIT: u8 = 8;
/// Entries of a list, fields of a structure.
const COUNT_LIMIT: usize = 1024;
/// Version 1, in the upper half of a strict message's first word (thrift-binary-protocol.md, "Message").
const VERSION: u32 = 0x8001_0000;

const CALL: u32 = 1;
const REPLY: u32 = 2;
const EXCEPTION: u32 = 3;

const STRING: u8 = 11;
const STRUCT: u8 = 12;

/// A call of a method: its arguments by their numbers.
#[derive(Debug, PartialEq)]
pub struct Call {
    pub method: String,
    pub sequence: u32,
    pub arguments: Vec<(i16, Value)>,
}

/// What a field can hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Integer(i64),
    Double(f64),
    Text(String),
    List(Vec<Value>),
    Struct(Vec<(i16, Value)>),
    /// Keys and values by turns.
    Map(Vec<Value>),
}

impl Value {
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The field with this number.
pub fn field(fields: &[(i16, Value)], number: i16) -> Option<&Value> {
    fields.iter().find(|(own, _)| *own == number).map(|(_, value)| value)
}

/// Reads the next call; `None` at the end of the connection.
pub fn read_call(input: &mut impl Read) -> io::Result<Option<Call>> {
    let mut input = input.take(CALL_LIMIT);
    let mut first = [0];
    if input.read(&mut first)? == 0 {
        return Ok(None);
    }
    let rest: [u8; 3] = bytes(&mut input)?;
    let word = u32::from_be_bytes([first[0], rest[0], rest[1], rest[2]]);
    if word != VERSION | CALL {
        return Err(wrong("it is no call of Thrift's strict binary protocol"));
    }
    Ok(Some(Call {
        method: text(&mut input)?,
        sequence: u32::from_be_bytes(bytes(&mut input)?),
        arguments: fields(&mut input, DEPTH_LIMIT)?,
    }))
}

/// The answer of a method that gives nothing.
pub fn done(call: &Call) -> Vec<u8> {
    message(REPLY, call, &[0])
}

/// The answer of a method that gives a text.
pub fn result(call: &Call, text: &str) -> Vec<u8> {
    message(REPLY, call, &[&text_field(0, text)[..], &[0]].concat())
}

/// The exception that the method declares under `number`: a structure with the message as field 1.
pub fn exception(call: &Call, number: i16, text: &str) -> Vec<u8> {
    let head = [&[STRUCT][..], &number.to_be_bytes()].concat();
    message(REPLY, call, &[&head[..], &text_field(1, text), &[0, 0]].concat())
}

/// There is no such method: TApplicationException with type 1, UNKNOWN_METHOD, as field 2.
pub fn unknown_method(call: &Call) -> Vec<u8> {
    let text = text_field(1, &format!("there is no method {}", call.method));
    message(EXCEPTION, call, &[&text[..], &[8, 0, 2, 0, 0, 0, 1, 0]].concat())
}

fn message(kind: u32, call: &Call, body: &[u8]) -> Vec<u8> {
    let mut message = (VERSION | kind).to_be_bytes().to_vec();
    put_text(&mut message, &call.method);
    message.extend(call.sequence.to_be_bytes());
    message.extend(body);
    message
}

fn text_field(number: i16, text: &str) -> Vec<u8> {
    let mut field = vec![STRING];
    field.extend(number.to_be_bytes());
    put_text(&mut field, text);
    field
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len()).unwrap_or_default();
    to.extend(length.to_be_bytes());
    to.extend(text.as_bytes());
}

fn fields(input: &mut impl Read, depth: u8) -> io::Result<Vec<(i16, Value)>> {
    let mut fields = Vec::new();
    loop {
        let [kind] = bytes(input)?;
        if kind == 0 {
            return Ok(fields);
        }
        if fields.len() >= COUNT_LIMIT {
            return Err(wrong("a structure has too many fields"));
        }
        let number = i16::from_be_bytes(bytes(input)?);
        fields.push((number, value(input, kind, depth)?));
    }
}

/// A value of the type `kind` (thrift-binary-protocol.md, "Struct").
fn value(input: &mut impl Read, kind: u8, depth: u8) -> io::Result<Value> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(wrong("it is nested too deeply"));
    };
    Ok(match kind {
        2 | 3 => Value::Integer(i8::from_be_bytes(bytes(input)?).into()),
        4 => Value::Double(f64::from_be_bytes(bytes(input)?)),
        6 => Value::Integer(i16::from_be_bytes(bytes(input)?).into()),
        8 => Value::Integer(i32::from_be_bytes(bytes(input)?).into()),
        10 => Value::Integer(i64::from_be_bytes(bytes(input)?)),
        STRING => Value::Text(text(input)?),
        STRUCT => Value::Struct(fields(input, depth)?),
        13 => {
            let kinds: [u8; 2] = bytes(input)?;
            Value::Map(values(input, &kinds, depth)?)
        }
        14 | 15 => {
            let kinds: [u8; 1] = bytes(input)?;
            Value::List(values(input, &kinds, depth)?)
        }
        _ => return Err(wrong("a field has an unknown type")),
    })
}

/// A count, and so many values of each of the types in turn.
fn values(input: &mut impl Read, kinds: &[u8], depth: u8) -> io::Result<Vec<Value>> {
    let count = length(input)?;
    if count > COUNT_LIMIT {
        return Err(wrong("a list is too long"));
    }
    let mut values = Vec::new();
    for _ in 0..count {
        for kind in kinds {
            values.push(value(input, *kind, depth)?);
        }
    }
    Ok(values)
}

fn text(input: &mut impl Read) -> io::Result<String> {
    let length = length(input)?;
    let mut text = Vec::new();
    // By what comes, not by what is announced.
    let read = input.take(length as u64).read_to_end(&mut text)?;
    if read < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    String::from_utf8(text).map_err(|_| wrong("a text is not UTF-8"))
}

fn length(input: &mut impl Read) -> io::Result<usize> {
    let length = i32::from_be_bytes(bytes(input)?);
    usize::try_from(length).map_err(|_| wrong("a length is negative"))
}

fn bytes<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `publish` with an i32, a list of doubles and a map, by hand from the protocol's description.
    const PUBLISH: &[u8] = b"\x80\x01\0\x01\0\0\0\x07publish\0\0\0\x05\
        \x0c\0\x01\
        \x0b\0\x01\0\0\0\x01s\
        \x08\0\x02\0\0\0\x01\
        \x0f\0\x05\x04\0\0\0\x01\x3f\xf8\0\0\0\0\0\0\
        \x0d\0\x08\x08\x0b\0\0\0\x01\0\0\0\x07\0\0\0\x01x\
        \0\0";

    #[test]
    fn a_call_is_read_whole_and_then_the_end() {
        let mut input = PUBLISH;
        let call = read_call(&mut input).unwrap().unwrap();
        assert_eq!((call.method.as_str(), call.sequence), ("publish", 5));
        let Some(Value::Struct(bundle)) = field(&call.arguments, 1) else {
            panic!("{call:?}")
        };
        assert_eq!(field(bundle, 1).and_then(Value::text), Some("s"));
        assert_eq!(field(bundle, 5), Some(&Value::List(vec![Value::Double(1.5)])));
        let map = Value::Map(vec![Value::Integer(7), Value::Text("x".into())]);
        assert_eq!(field(bundle, 8), Some(&map));
        assert!(read_call(&mut input).unwrap().is_none());
    }

    #[test]
    fn what_is_cut_off_or_nonsense_is_an_error_and_takes_no_memory() {
        for end in 1..PUBLISH.len() {
            assert!(read_call(&mut &PUBLISH[..end]).is_err(), "{end}");
        }
        let nested = [b"\x80\x01\0\x01\0\0\0\x01x\0\0\0\0".to_vec(), [12, 0, 1].repeat(1000)].concat();
        let announced = b"\x80\x01\0\x01\x7f\xff\xff\xffx".to_vec();
        let list = [
            &b"\x80\x01\0\x01\0\0\0\x01x\0\0\0\0\x0f\0\x01\x02\x7f\xff\xff\xff"[..],
            &[0; 4096],
        ]
        .concat();
        for bytes in [b"GET / HTTP/1.1\r\n".to_vec(), vec![0xff; 64], nested, announced, list] {
            assert!(read_call(&mut &bytes[..]).is_err());
        }
    }

    #[test]
    fn no_byte_changed_breaks_the_reader() {
        for at in 0..PUBLISH.len() {
            for byte in 0..=255 {
                let mut bytes = PUBLISH.to_vec();
                bytes[at] = byte;
                // A call, or an error: never a panic.
                let _ = read_call(&mut &bytes[..]);
            }
        }
    }

    #[test]
    fn answers_are_as_the_protocol_has_them() {
        let call = Call {
            method: "m".into(),
            sequence: 9,
            arguments: vec![],
        };
        assert_eq!(done(&call), b"\x80\x01\0\x02\0\0\0\x01m\0\0\0\x09\0");
        assert_eq!(
            result(&call, "ab"),
            b"\x80\x01\0\x02\0\0\0\x01m\0\0\0\x09\x0b\0\0\0\0\0\x02ab\0"
        );
        let exception = exception(&call, 4, "e");
        assert_eq!(
            exception,
            b"\x80\x01\0\x02\0\0\0\x01m\0\0\0\x09\x0c\0\x04\x0b\0\x01\0\0\0\x01e\0\0"
        );
    }
}
