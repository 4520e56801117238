//! What Stratos publishes, document by document.

use crate::bounds::{heap_at_most, uncounted};
use crate::script::pieces;
use cartridge_agent_core::control::Event;
use cartridge_agent_core::lifecycle::State;
use cartridge_agent_core::parameters::Parameters;
use cartridge_agent_core::stratos::inbox::{Heard, Inbox};
use cartridge_agent_core::stratos::json_stream::{DEPTH_LIMIT, Fault};
use cartridge_agent_core::stratos::{members::MEMBER_LIMIT, settings};
use serde_json::Value;

/// The member that reads.
pub const PAYLOAD: &str = "APPLICATION_ID=app,SERVICE_NAME=php,CLUSTER_ID=php.c,CLUSTER_INSTANCE_ID=ci,MEMBER_ID=php.c.m1,\
                           NETWORK_PARTITION_ID=np,PARTITION_ID=p,DEPENDENCY_CLUSTER_IDS=db.c|lb.c,mb.urls=one:1883|[::2]:2|three,\
                           mb.username=u,mb.password=hush-hunter2";

/// What the adapter's documentation promises for all of it.
pub const HEAP: u64 = 128 << 10;

/// Events that wait besides those of members.
const QUEUE: usize = 64;

/// The settings of the member.
pub fn settings() -> settings::Settings<'static> {
    let parameters = Parameters::new(b"", PAYLOAD.as_bytes());
    let read = settings::read(&parameters, &mut |wrong| panic!("{wrong}"));
    read.expect("they are good")
}

/// What became of the messages: of each its meaning, and then the events for the app.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    heard: Vec<String>,
    stops: Vec<bool>,
    /// Whether it could not be read.
    faults: Vec<bool>,
    events: Vec<Event<String>>,
    own_state: Option<State>,
}

/// Hands on messages: `how` cuts them into pieces, 255 does not. After each document the app takes its events, if it `takes` any.
fn read<'a>(messages: impl Iterator<Item = (&'a str, &'a [u8])>, how: u8, takes: bool) -> Outcome {
    let settings = settings();
    heap_at_most(HEAP, || {
        let mut outcome = Outcome::default();
        let mut inbox = Inbox::new(settings);
        for (topic, document) in messages {
            inbox.begin(topic, false);
            match how {
                255 => inbox.payload(document),
                _ => pieces(document, how).for_each(|piece| inbox.payload(piece)),
            }
            let heard = inbox.end();
            uncounted(|| outcome.note(&heard));
            if takes {
                take_events(&mut inbox, &mut outcome.events);
            }
        }
        take_events(&mut inbox, &mut outcome.events);
        outcome.own_state = inbox.own_state;
        outcome
    })
}

impl Outcome {
    fn note(&mut self, heard: &Heard) {
        let Heard {
            is_topology,
            is_platform,
            is_stop,
            known_as,
            fault,
            stale,
            has_dropped,
            left_out,
        } = heard;
        self.stops.push(*is_stop);
        // An event that says nothing of use is left out, too, but as such.
        self.faults.push(matches!(
            fault,
            Some((_, Fault::NotJson | Fault::NotUtf8 | Fault::TooDeep | Fault::CutShort))
        ));
        self.heard.push(format!(
            "{is_topology} {is_platform} {is_stop} {known_as:?} {fault:?} {stale:?} {has_dropped} {left_out:?}"
        ));
    }
}

fn take_events(inbox: &mut Inbox<'_>, events: &mut Vec<Event<String>>) {
    let mut count = 0;
    while let Some(event) = inbox.event() {
        uncounted(|| events.push(event.map(str::to_owned)));
        inbox.event_taken();
        count += 1;
        assert!(count <= MEMBER_LIMIT + QUEUE, "events without end");
    }
}

/// Reads in pieces and at once, and gives what both are.
fn read_twice(messages: &[(&str, &[u8])], takes: bool) -> Outcome {
    let how = messages.iter().map(|(_, document)| document.len()).sum::<usize>() % 255;
    let whole = read(messages.iter().copied(), 255, takes);
    let cut = read(messages.iter().copied(), how as u8, takes);
    assert_eq!(whole, cut, "in pieces it is something else");
    whole
}

/// The topic is the first line, the document the rest.
pub fn any(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (topic, document) = input.split_at(end);
    let topic = core::str::from_utf8(topic).unwrap_or_default();
    let outcome = read_twice(&[(topic, document)], true);
    let Ok(value) = serde_json::from_slice::<Value>(document) else {
        return;
    };
    // A document is an object, and names have a length.
    if depth(&value) > DEPTH_LIMIT as usize || !value.is_object() {
        return;
    }
    assert_eq!(outcome.faults, [false], "good JSON is refused: {:?}", outcome.heard);
    // A member is stopped by the event that names it, and by no other.
    if topic == "instance/notifier/InstanceCleanupMemberEvent"
        && has_once(document, b"memberId")
        && has_no_escape(document)
    {
        let is_named = value.get("memberId").and_then(Value::as_str) == Some("php.c.m1");
        assert_eq!(outcome.stops, [is_named]);
    }
}

/// Topologies with lines `---` between them; the app takes what is new after each, or after the last.
pub fn topologies(input: &[u8]) {
    let mut documents = Vec::new();
    let mut rest = input;
    while let Some(at) = rest
        .windows(5)
        .position(|window| window == b"\n---\n")
        .filter(|_| documents.len() < 7)
    {
        documents.push(("topology/CompleteTopologyEvent", &rest[..at]));
        rest = &rest[at + 5..];
    }
    documents.push(("topology/CompleteTopologyEvent", rest));
    read_twice(&documents, input.len().is_multiple_of(2));
}

fn has_once(document: &[u8], word: &[u8]) -> bool {
    document.windows(word.len()).filter(|window| *window == word).count() == 1
}

fn has_no_escape(document: &[u8]) -> bool {
    !document.contains(&b'\\')
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
