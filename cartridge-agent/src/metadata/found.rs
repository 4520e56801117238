//! What a metadata service has said so far.

use crate::files::Files;
use crate::instance::Instance;
use crate::log;
use cartridge_agent_core::log::Level;
use cartridge_agent_core::metadata::{KEY_LIMIT, What};
use cartridge_agent_core::parameters::{Parameters, pairs};
use cartridge_agent_core::payload::flat_json;

/// The answers that are of use. Not shown: the payload and the token are secrets.
#[derive(Default)]
pub struct Found {
    pub payload: Vec<u8>,
    pub instance: Instance,
    /// EC2's session token; empty without one.
    pub token: String,
}

impl Found {
    /// Takes the answer `body` to `what`.
    pub fn take(&mut self, what: What, mut body: Vec<u8>, files: &Files) {
        let instance = &mut self.instance;
        match what {
            What::UserData => self.payload = body,
            What::MetaData => self.take_document(&mut body, files),
            What::Token => self.token = text(&body).unwrap_or_default(),
            What::InstanceId => instance.id = text(&body),
            What::Hostname => instance.hostname = text(&body),
            What::Zone => instance.zone = text(&body),
            // It may be asked for again, with a new token.
            What::Keys => instance.keys.clear(),
            What::Key(_) => instance.keys.extend(text(&body)),
        }
    }

    /// OpenStack's `meta_data.json`. Its random seed goes to the kernel, and nowhere else.
    fn take_document(&mut self, body: &mut [u8], files: &Files) {
        let Some(length) = object(body) else { return };
        let document = Parameters::new(b"", &body[..length]);
        let value = |key| document.get(key).and_then(|value| text(value.as_bytes()));
        let instance = &mut self.instance;
        instance.id = value("uuid");
        instance.hostname = value("hostname");
        instance.zone = value("availability_zone");
        if let Some(seed) = document.get("random_seed")
            && let Some(Err(error)) = files.write("entropy", seed)
        {
            log::failure(format_args!("the random seed of the metadata is not used"), &error);
        }
        // An object: names and keys.
        let mut keys = document.get("public_keys").unwrap_or("{}").as_bytes().to_vec();
        if let Some(length) = object(&mut keys) {
            for (_, key) in pairs(&keys[..length]).take(KEY_LIMIT) {
                instance.keys.extend(text(key.as_bytes()));
            }
        }
    }
}

/// The length of the flat text of a JSON object; `None`, and a line in the log, when it is none.
fn object(body: &mut [u8]) -> Option<usize> {
    let length = flat_json(body);
    if let Err(at) = length {
        log::agent(
            Level::Warn,
            format_args!("meta_data.json is no JSON object from byte {at} on: the instance's own data are not known"),
            &[],
        );
    }
    length.ok()
}

/// A line of text without blanks around it, if it is one.
#[inline(never)]
fn text(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim_ascii();
    (!text.is_empty() && !text.bytes().any(|byte| byte.is_ascii_control())).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(document: &str) -> Found {
        let mut found = Found::default();
        found.take(What::MetaData, document.into(), &Files::none());
        found
    }

    #[test]
    fn novas_document_describes_the_instance() {
        let found = found(
            r#"{"random_seed": "c2VlZA==", "uuid": "d8e02d56-2648-49a3-bf97-6be8f1204f38", "availability_zone": "nova",
                "keys": [{"data": "ssh-rsa AAAA= me", "type": "ssh", "name": "me"}], "hostname": "test.novalocal",
                "launch_index": 0, "devices": [], "meta": {"priority": "low"}, "name": "test",
                "public_keys": {"me": "ssh-rsa AAAA= me\n", "you": "ssh-ed25519 BBBB you"}, "project_id": "f7"}"#,
        );
        let instance = found.instance;
        assert_eq!(instance.id(), Some("d8e02d56-2648-49a3-bf97-6be8f1204f38"));
        assert_eq!(instance.hostname(), Some("test.novalocal"));
        assert_eq!(instance.availability_zone(), Some("nova"));
        assert_eq!(instance.keys(), ["ssh-rsa AAAA= me", "ssh-ed25519 BBBB you"]);
    }

    #[test]
    fn a_document_with_less_or_nonsense_describes_less() {
        for document in [
            "{}",
            "[]",
            "",
            "{\"uuid\":7,\"public_keys\":[1]",
            "{\"hostname\":\"a\\nb\"}",
        ] {
            let instance = found(document).instance;
            assert!(instance.id().is_none() && instance.hostname().is_none() && instance.keys().is_empty());
        }
        assert_eq!(found("{\"uuid\":7,\"public_keys\":\"x\"}").instance.id(), Some("7"));
    }
}
