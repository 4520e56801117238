//! Payloads: as text with the manifest's defaults, and as JSON.

use crate::bounds::heap_at_most;
use crate::script::halves;
use cartridge_agent_core::parameters::{ITEM_LIMIT, Parameters, is_secret, pairs};
use cartridge_agent_core::settings::{self, PORT_LIMIT};
use cartridge_agent_core::stratos::health;
use cartridge_agent_core::text::Message;
use cartridge_agent_core::{metadata::recognised, payload, stratos};
use serde_json::Value;
use std::time::Duration;

/// What begins with this, in the value of a secret, is looked for in everything that would be printed.
const HUSH: &str = "hush-";

/// The first half is the manifest's defaults, the second the payload.
pub fn texts(input: &[u8]) {
    let (defaults, text) = halves(input);
    let mut text = text.to_vec();
    let whole = text.len();
    // What the manifest has went through the builder; here it is as hostile as the rest.
    let length = heap_at_most(0, || payload::read(&mut text));
    let text = match &length {
        Ok(length) => &text[..*length],
        Err(unusable) => {
            check_line(&Message::of(unusable), None);
            &[]
        }
    };
    assert!(text.len() <= whole, "a payload became longer");
    let parameters = Parameters::new(defaults, text);
    let secret = secret(&parameters, input);
    heap_at_most(0, || everything(&parameters, secret));
}

fn everything(parameters: &Parameters<'_>, secret: Option<&str>) {
    let mut problems = 0;
    parameters.problems(&mut |source, problem| {
        problems += 1;
        check_line(&Message::of(format_args!("{source}: {problem}")), secret);
    });
    assert!(problems <= 2 * (ITEM_LIMIT + 1), "{problems} complaints");
    let report = &mut |bad: settings::BadValue<'_>| check_line(&Message::of(bad), secret);
    let settings = settings::read(parameters, report);
    assert!(settings.ports.as_slice().len() <= PORT_LIMIT && !settings.ports.as_slice().contains(&0));
    assert!(settings.drain <= Duration::from_secs(3600));
    assert!((Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(&settings.port_check_timeout));
    if let Some(management) = &settings.management {
        assert!(management.port != 0 && (16..=256).contains(&management.token.len()));
    }
    // What the agent writes, the kernel takes.
    let command = settings.network.command();
    assert!(
        kernel_glue::fuzz::takes_network_lines(command.as_str()),
        "{}",
        command.as_str()
    );
    settings::metadata_choice(parameters, report);
    let place = settings::metadata_place(parameters, report);
    assert!((Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&place.limit));
    if let Some(statistics) = health::settings::Settings::read(parameters, report) {
        assert!((1..=health::settings::RECEIVER_LIMIT).contains(&statistics.receivers().len()));
        assert!(
            statistics
                .member
                .iter()
                .all(|text| text.len() <= health::settings::TEXT_LIMIT)
        );
    }
    let plane = stratos::settings::read(parameters, &mut |wrong| check_line(&Message::of(wrong), secret));
    if let Some(plane) = plane {
        assert!((1..=stratos::settings::BROKER_LIMIT).contains(&plane.brokers().len()));
        assert!(
            plane
                .brokers()
                .iter()
                .all(|broker| !broker.host.is_empty() && broker.port != 0)
        );
    }
    for (key, value) in parameters.iter().take(16) {
        assert_eq!(parameters.get(key), Some(value), "{key} has two values");
        assert!(!value.is_empty() && key.len() <= 128);
    }
}

/// The value of a secret that is nowhere else in the input, if there is one.
fn secret<'a>(parameters: &Parameters<'a>, input: &[u8]) -> Option<&'a str> {
    let is_there_once = |value: &str| {
        let is_it = |window: &&[u8]| *window == value.as_bytes();
        value.starts_with(HUSH) && value.len() > 12 && input.windows(value.len()).filter(is_it).count() == 1
    };
    let found = parameters
        .iter()
        .find(|(key, value)| is_secret(key) && is_there_once(value));
    found.map(|(_, value)| value)
}

/// What would be printed: it is short, and shows no secret.
fn check_line(line: &Message, secret: Option<&str>) {
    assert!(line.as_str().len() <= cartridge_agent_core::log::MESSAGE_LIMIT);
    if let Some(secret) = secret {
        assert!(!line.as_str().contains(secret), "a secret is shown: {}", line.as_str());
    }
}

/// JSON, as user-data and as OpenStack's `meta_data.json`; also what a machine's firmware says.
pub fn json(input: &[u8]) {
    let mut text = input.to_vec();
    let flat = heap_at_most(0, || payload::flat_json(&mut text));
    if let Ok(length) = flat {
        assert!(length <= input.len(), "flat text is longer than its JSON");
        for (key, _) in pairs(&text[..length]) {
            assert!(!key.is_empty());
        }
    }
    if let Ok(Value::Object(object)) = serde_json::from_slice(input) {
        let value = Value::Object(object);
        if depth(&value) <= payload::DEPTH_LIMIT as usize && !has_separator(input) {
            let length = flat.unwrap_or_else(|at| panic!("good JSON is refused at byte {at}"));
            check_values(&value, &text[..length]);
        }
    }
    if let Ok(text) = std::str::from_utf8(input) {
        heap_at_most(0, || recognised(text));
    }
}

/// Each string of the object is the value of its key.
fn check_values(object: &Value, flat: &[u8]) {
    let members = object.as_object().expect("it is an object");
    let is_plain = |key: &str| key == key.trim_ascii() && (1..=128).contains(&key.len());
    // Blanks around keys do not count: two may be one. Nor are more members read than this; a key may be there twice.
    if members.len() > ITEM_LIMIT / 2 || !members.keys().all(|key| is_plain(key)) || has_too_many(flat) {
        return;
    }
    let parameters = Parameters::new(b"", flat);
    for (key, value) in members {
        if let Value::String(value) = value {
            let expected = (!value.is_empty() && !value.eq_ignore_ascii_case("null")).then_some(value.as_str());
            assert_eq!(parameters.get(key), expected, "{key}");
        }
    }
}

fn has_too_many(flat: &[u8]) -> bool {
    flat.iter().filter(|byte| **byte == payload::ITEM_END).count() > ITEM_LIMIT
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Whether a string may have a byte in it that flat text cannot have.
fn has_separator(input: &[u8]) -> bool {
    let is_one = |window: &[u8]| {
        let is_it = |escape: &&[u8; 6]| window.eq_ignore_ascii_case(*escape);
        [br"\u0000", br"\u001e", br"\u001f"].iter().any(is_it)
    };
    input.windows(6).any(is_one)
}
