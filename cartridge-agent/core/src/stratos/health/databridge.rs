//! The calls of WSO2's databridge, as Stratos' members make them: `connect`, `defineStream`, `publish`, `disconnect`
//! (services ThriftSecureEventTransmissionService and ThriftEventTransmissionService of carbon-analytics-common).

use super::thrift::{BOOL, DOUBLE, I32, I64, LIST, Outcome, STRING, STRUCT, UNKNOWN_METHOD, Writer};

/// The stream of Stratos 4.1's members, in the databridge's JSON. Its attributes are those of [`Event`], in this order.
pub const STREAM: &str = concat!(
    r#"{"name":"cartridge_agent_health_stats","version":"1.0.0","nickName":"agent health stats","#,
    r#""description":"agent health stats","payloadData":[{"name":"cluster_id","type":"STRING"},"#,
    r#"{"name":"cluster_instance_id","type":"STRING"},{"name":"network_partition_id","type":"STRING"},"#,
    r#"{"name":"member_id","type":"STRING"},{"name":"partition_id","type":"STRING"},"#,
    r#"{"name":"health_description","type":"STRING"},{"name":"value","type":"DOUBLE"}]}"#
);

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Logs in; the result is the session.
    Connect,
    /// Tells what events of the stream have in them; the result is the stream's identifier.
    DefineStream,
    /// One event.
    Publish,
    /// Ends the session.
    Disconnect,
}

impl Call {
    /// The method's name.
    pub const fn name(self) -> &'static str {
        match self {
            Call::Connect => "connect",
            Call::DefineStream => "defineStream",
            Call::Publish => "publish",
            Call::Disconnect => "disconnect",
        }
    }

    /// What an answer to this call means.
    pub fn answer(self, outcome: Outcome) -> Answer {
        match (self, outcome) {
            (_, Outcome::Success) => Answer::Done,
            (Call::Connect, Outcome::Failure(UNKNOWN_METHOD)) => Answer::NoLogin,
            (Call::Connect, Outcome::Exception(1)) => Answer::WrongPassword,
            // DifferentStreamDefinitionAlreadyDefined, MalformedStreamDefinition, StreamDefinition.
            (Call::DefineStream, Outcome::Exception(1..=3)) => Answer::WrongDefinition,
            (Call::DefineStream, Outcome::Exception(4)) => Answer::NoSession,
            // UndefinedEventType: a receiver that was started anew knows neither session nor stream.
            (Call::Publish, Outcome::Exception(1 | 2)) => Answer::NoSession,
            _ => Answer::Refused,
        }
    }
}

/// What a receiver said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// The receiver does not take log-ins on this port: WSO2's plain port, 7611, has no `connect`.
    NoLogin,
    /// User name or password is wrong.
    WrongPassword,
    /// It does not take this definition of the stream.
    WrongDefinition,
    /// The session, or the stream in it, is over: log in again.
    NoSession,
    /// It cannot do the call.
    Refused,
}

/// An event of the stream. Texts that a member lacks are empty: what is left out would shift those behind it.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    /// The session, as `connect` gave it.
    pub session: &'a [u8],
    /// The stream, as `defineStream` gave it.
    pub stream: &'a [u8],
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub unix_ms: u64,
    /// `cluster_id`, `cluster_instance_id`, `network_partition_id`, `member_id`, `partition_id`.
    pub member: [&'a str; 5],
    /// What the value is.
    pub description: &'static str,
    /// The value.
    pub value: f64,
}

/// Writes a call with the two texts as arguments 1 and 2 (`connect`: user name, password; `defineStream`: session,
/// definition), or with the first alone (`disconnect`: session). Gives its length, or `None` if there was no room.
pub fn call(buffer: &mut [u8], call: Call, sequence: u32, texts: &[&[u8]]) -> Option<usize> {
    let mut writer = Writer::call(buffer, call.name(), sequence);
    for (text, number) in texts.iter().zip(1..) {
        writer.field(STRING, number);
        writer.string(text);
    }
    writer.finish()
}

/// Writes a call that publishes one event: a bundle whose attributes are sorted by type, in the stream's order, with the
/// stream's identifier before its texts and the time before its numbers. Gives its length, or `None` if there was no room.
pub fn publish(buffer: &mut [u8], sequence: u32, event: &Event<'_>) -> Option<usize> {
    let mut writer = Writer::call(buffer, Call::Publish.name(), sequence);
    writer.field(STRUCT, 1);
    writer.field(STRING, 1);
    writer.string(event.session);
    writer.field(I32, 2);
    writer.number(1);
    writer.field(LIST, 3);
    writer.list(I32, 0);
    writer.field(LIST, 4);
    writer.list(I64, 1);
    writer.long(event.unix_ms);
    writer.field(LIST, 5);
    writer.list(DOUBLE, 1);
    writer.long(event.value.to_bits());
    writer.field(LIST, 6);
    writer.list(BOOL, 0);
    writer.field(LIST, 7);
    writer.list(STRING, 7);
    writer.string(event.stream);
    for text in &event.member {
        writer.string(text.as_bytes());
    }
    writer.string(event.description.as_bytes());
    writer.stop();
    writer.finish()
}

#[cfg(test)]
#[path = "databridge_tests.rs"]
mod tests;
