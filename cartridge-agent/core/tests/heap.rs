//! The adapter for Stratos keeps to its heap, whatever is published to it.

use cartridge_agent_core::control::{ControlPlane, Event};
use cartridge_agent_core::lifecycle::State;
use cartridge_agent_core::log::Level;
use cartridge_agent_core::parameters::Parameters;
use cartridge_agent_core::stratos::{Stratos, settings};
use cartridge_agent_core::text::Message;
use peak_alloc::PeakAlloc;
use std::fmt::Write;
use std::time::Duration;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What `stratos/mod.rs` promises, in bytes.
const LIMIT: usize = 128 * 1024;

const PAYLOAD: &str = "CLUSTER_ID=own,MEMBER_ID=own.1,MB_IP=b,DEPENDENCY_CLUSTER_IDS=dep";

/// A session at a broker; everything in it goes through the adapter in the driver's pieces.
struct Session {
    plane: Stratos<'static>,
    before: usize,
    lines: usize,
}

impl Session {
    fn start() -> Self {
        let before = HEAP.current_usage();
        let parameters = Parameters::new(b"", PAYLOAD.as_bytes());
        let settings = settings::read(&parameters, &mut |wrong| panic!("{wrong}")).expect("a control plane");
        let mut plane = Stratos::new(settings, None, 1);
        plane.entered(State::Created, Duration::ZERO);
        plane.command(Duration::ZERO);
        plane.connected(0, true, Duration::ZERO);
        plane.receive(0, &[0x20, 2, 0, 0], Duration::ZERO);
        HEAP.reset_peak_usage();
        Session {
            plane,
            before,
            lines: 0,
        }
    }

    fn publish(&mut self, topic: &str, document: &str) {
        let now = Duration::from_secs(1);
        let mut head = vec![0x30];
        let mut length = 2 + topic.len() + document.len();
        while length >= 0x80 {
            head.push(length as u8 | 0x80);
            length >>= 7;
        }
        head.push(length as u8);
        head.extend((topic.len() as u16).to_be_bytes());
        self.plane.receive(0, &head, now);
        self.plane.receive(0, topic.as_bytes(), now);
        for piece in document.as_bytes().chunks(4096) {
            self.plane.receive(0, piece, now);
        }
        let mut text = Message::new();
        while let Some(level) = self.plane.note(&mut text) {
            self.lines += usize::from(level <= Level::Warn);
        }
        while !self.plane.to_send(0).is_empty() {
            let count = self.plane.to_send(0).len();
            self.plane.sent(0, count, now);
        }
    }

    /// The most that was in use, in bytes, besides what was there before.
    fn peak(&self) -> usize {
        HEAP.peak_usage().saturating_sub(self.before)
    }

    fn take_members(&mut self) -> usize {
        let mut count = 0;
        while let Some(Event::Member(_)) = self.plane.event() {
            self.plane.event_taken();
            count += 1;
        }
        count
    }
}

/// `size` bytes or a little more, with the own member in it; names of `name` bytes.
fn topology(size: usize, name: usize) -> String {
    let mut text = String::with_capacity(size + 4096);
    text += r#"{"topology":{"serviceMap":{"s":{"properties":{"memberMap":"no"},"clusterIdClusterMap":{"#;
    let mut number = 0;
    for cluster in ["other", "dep", "own"] {
        let comma = if cluster == "other" { "" } else { "," };
        write!(text, r#"{comma}"{cluster}":{{"clusterId":"{cluster}","memberMap":{{"#).unwrap();
        let end = text.len() + size / 3;
        let mut comma = "";
        while text.len() < end {
            number += 1;
            let member = format!("{cluster}.{number}.{}", "m".repeat(name));
            write!(
                text,
                r#"{comma}"{member}":{{"memberId":"{member}","portMap":{{"80":{{"value":1}}}},"memberPrivateIPs":["10.0.0.{}"],"defaultPublicIP":"ffff:ffff:ffff:ffff:ffff:ffff:255.255.{}","properties":{{"k":"{}"}},"memberStateManager":{{"stateStack":["Created","Active"],"identifier":"x"}}}}"#,
                number % 256,
                number % 200,
                "v".repeat(300)
            )
            .unwrap();
            comma = ",";
        }
        text += "}}";
    }
    text += r#"}}},"initialized":false}}"#;
    text
}

#[test]
fn whatever_is_published_the_heap_is_bounded_and_flat() {
    for (size, name) in [(1 << 20, 40), (5 << 20, 40), (5 << 20, 140)] {
        let document = topology(size, name);
        let mut session = Session::start();
        session.publish("topology/CompleteTopologyEvent", &document);
        let first = session.peak();
        println!("{size} bytes, names of {name}: {first} bytes of heap at peak");
        assert!(first <= LIMIT, "{first}");
        assert_eq!(session.lines, 1, "one line for the members that have no room");
        assert_eq!(session.take_members(), 256);
        for _ in 0..3 {
            session.publish("topology/CompleteTopologyEvent", &document);
        }
        assert_eq!(session.take_members(), 0, "only what changes is told");
        assert!(session.peak() <= first + 1024, "flat");
        assert_eq!(session.lines, 1);
    }
    // Everything that is kept at its largest, at once, and nobody takes it.
    let (document, tenants) = (topology(1 << 20, 140), {
        let list = (0..10_000).map(|id| format!(r#"{{"tenantId":{id},"tenantDomain":"{}"}}"#, "d".repeat(90)));
        format!(r#"{{"tenants":[{}]}}"#, list.collect::<Vec<_>>().join(","))
    });
    let artifact = |tenant: u32| {
        format!(
            r#"{{"clusterId":"own","repoURL":"{}","repoUserName":"{}","repoPassword":"{}","tenantId":"{tenant}"}}"#,
            "u".repeat(1000),
            "n".repeat(1000),
            "p".repeat(1000)
        )
    };
    let topic = "t".repeat(60_000);
    let artifacts: Vec<String> = (0..100).map(artifact).collect();
    let mut session = Session::start();
    session.publish("topology/CompleteTopologyEvent", &document);
    session.publish("tenant/CompleteTenantEvent", &tenants);
    for artifact in &artifacts {
        session.publish("instance/notifier/ArtifactUpdatedEvent", artifact);
    }
    session.publish(&topic, "{}");
    println!("everything: {} bytes of heap at peak", session.peak());
    assert!(session.peak() <= LIMIT, "{}", session.peak());
}
