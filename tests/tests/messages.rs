//! What the platform, or anyone who may publish at its broker, can send to a member: duplicates, old news, megabytes, nonsense.

use anyhow::{Result, ensure};
use cartridge_tests::in_both;
use cartridge_tests::stratos::golden::STARTED;
use cartridge_tests::stratos::identity::{CLUSTER, SERVICE};
use cartridge_tests::stratos::server::{Known, State};
use cartridge_tests::stratos::story::{MEMBER, STEP, Story, story, tell};
use cartridge_tests::stratos::topology::{self, Dress};
use cartridge_tests::target::Place;
use serde_json::json;

/// Of growth by what is kept for good, as the names of members.
const FLAT: u64 = 16 * 1024;
const CLEANUP: &str = "instance/notifier/InstanceCleanupMemberEvent";

in_both! {
    twice_and_late: events_twice_and_late_change_nothing_for_a_process, events_twice_and_late_change_nothing_for_a_machine;
    large: a_process_lives_with_a_topology_of_5_mb, a_machine_of_16_mib_lives_with_a_topology_of_5_mb;
    odd: a_process_lives_with_missing_and_unknown_fields, a_machine_lives_with_missing_and_unknown_fields;
    nonsense: nonsense_costs_a_process_that_message_only, nonsense_costs_a_machine_that_message_only;
    flood: a_flood_of_nonsense_fills_neither_memory_nor_log_of_a_process,
        a_flood_of_nonsense_fills_neither_memory_nor_log_of_a_machine;
}

fn twice_and_late(place: Place) -> Result<()> {
    let mut begun = Story::of(place, State::Created, |_| {})?;
    tell(&mut begun, |story| {
        let platform = &story.platform;
        let initialized = Known::own(MEMBER, State::Initialized);
        // Of another member first, and of ours before the topology says anything new of it.
        platform.set(Known::own("basket-2", State::Initialized))?;
        let (topic, event) = initialized.broadcast();
        platform.set(initialized)?;
        let old = platform.topology();
        for _ in 0..2 {
            platform.publish(&topic, event.to_string())?;
        }
        platform.wait_for(STARTED, 1, STEP)?;
        platform.publish(topology::TOPIC, old.clone())?;
        story.activate()?;
        // Where it was long ago, and where it is not yet.
        for state in [State::Created, State::Initialized, State::Starting, State::Terminated] {
            let (topic, event) = Known::own(MEMBER, state).broadcast();
            platform.publish(&topic, event.to_string())?;
        }
        platform.publish(topology::TOPIC, old)?;
        // A member of the other cluster is seen as Active and not as younger afterwards.
        let database = |state| Known::dependency("db-1", state);
        platform.set(database(State::Active))?;
        story.member.feed.wait_for("db-1\", state: Active", STEP)?;
        let (topic, event) = database(State::Initialized).broadcast();
        platform.publish(&topic, event.to_string())?;
        platform.set(Known::dependency("db-2", State::Active))?;
        story.member.feed.wait_for("db-2\", state: Active", STEP)?;
        ensure!(
            story.member.feed.count("db-1\", state: Initialized") == 0,
            "old news was told as new"
        );
        ensure!(
            story.member.feed.count("db-1\", state: Active") == 1,
            "news was told twice"
        );
        for _ in 0..3 {
            platform.clean_up(MEMBER)?;
        }
        story.is_gone()?;
        ensure!(
            story.member.lines_with("stop asked for") == 1,
            "it was asked to stop more than once"
        );
        story.was_whole()
    })
}

fn large(place: Place) -> Result<()> {
    let mut begun = Story::of(place, State::Created, |_| {})?;
    tell(&mut begun, |story| {
        story.platform.dress(Dress {
            size: 5 << 20,
            ..Dress::default()
        });
        let before = story.member.heap()?.now;
        story.platform.set(Known::own(MEMBER, State::Initialized))?;
        story.platform.send_topology()?;
        story.activate()?;
        for round in 0..3 {
            story.grow(round)?;
        }
        let heap = story.member.heap()?;
        println!("heap before {before} bytes, after {}, at most {}", heap.now, heap.most);
        ensure!(heap.now < before + FLAT, "{before} bytes of heap became {}", heap.now);
        ensure!(
            heap.most < before + 256 * 1024,
            "{before} bytes of heap became {} for a while",
            heap.most
        );
        story.leave()?;
        story.was_whole()
    })
}

fn odd(place: Place) -> Result<()> {
    for (missing, extra) in [(true, false), (false, true)] {
        let mut begun = Story::of(place, State::Created, |_| {})?;
        tell(&mut begun, |story| {
            let dress = Dress {
                size: 0,
                missing,
                extra,
            };
            story.platform.dress(dress);
            story.platform.set(Known::dependency("db-1", State::Active))?;
            // Nothing but the topology says that it is Initialized.
            story.platform.answers(|answers| answers.broadcasts = false);
            story.platform.forget(MEMBER);
            story.platform.set(Known::own(MEMBER, State::Initialized))?;
            story.platform.send_topology()?;
            story.activate()?;
            story.member.feed.wait_for("db-1\", state: Active", STEP)?;
            story.member.feed.wait_for("10.0.0.7", STEP)?;
            story.leave()?;
            story.was_whole()
        })?;
    }
    Ok(())
}

const TOPICS: [&str; 9] = [
    topology::TOPIC,
    "topology/MemberInitializedEvent",
    "topology/MemberActivatedEvent",
    CLEANUP,
    "instance/notifier/InstanceCleanupClusterEvent",
    "instance/notifier/ArtifactUpdatedEvent",
    "tenant/CompleteTenantEvent",
    "tenant/TenantSubscribedEvent",
    "application/signup/ApplicationSignUpRemovedEvent",
];

/// Payloads that are no event, whatever the topic.
fn bad() -> Vec<Vec<u8>> {
    let mut bad: Vec<Vec<u8>> = [
        "",
        "{",
        "}",
        "null",
        "[]",
        "\"text\"",
        "1e999999",
        "-",
        "{\"memberId\"",
        "{\"memberId\":",
        "{\"memberId\":7}",
        "{\"memberId\":null}",
        "{\"memberId\":{}}",
        "{\"topology\":7}",
        "{\"topology\":{\"serviceMap\":[]}}",
        "{\"topology\":{}}",
        "{\"topology\":{\"serviceMap\":7}}",
        "{\"memberId\":\"\\ud800\"}",
        "{\"memberId\":\"\\x\"}",
        "{\"memberId\":\"a\u{0}b\"}",
        "{'memberId':'x'}",
        "\u{feff}{}",
        "{\"tenants\":[{\"tenantId\":[]}]}",
        "{\"tenants\":[7,null,{}]}",
        "{,}",
        "{\"a\":1,}",
        "nul",
        "tru",
        "01",
        "{\"a\":\"\t\"}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    bad.push(b"{\"memberId\":\"\xff\xfe\xc0\x80\"}".to_vec());
    bad.push(b"\x1f\x8b\x08\x00\x00\x00\x00\x00".to_vec());
    bad.push(vec![0; 4096]);
    bad.push("[".repeat(100_000).into_bytes());
    bad.push("{\"a\":".repeat(50_000).into_bytes());
    bad.push(format!("{{\"memberId\":\"{}\"}}", "x".repeat(1 << 20)).into_bytes());
    bad.push(format!("{{\"{}\":1}}", "k".repeat(1 << 20)).into_bytes());
    // Our own name, but in no event.
    bad.push(format!("{{\"memberId\":\"{MEMBER}\"").into_bytes());
    bad.push(format!("{{\"x\":{{\"memberId\":\"{MEMBER}\"}}}}").into_bytes());
    bad.push(format!("[{{\"memberId\":\"{MEMBER}\"}}]").into_bytes());
    bad
}

fn nonsense(place: Place) -> Result<()> {
    story(place, |story| {
        story.activate()?;
        story.platform.set(Known::dependency("db-0", State::Active))?;
        story.member.feed.wait_for("db-0\", state: Active", STEP)?;
        let (before, lines) = (story.member.heap()?.now, story.member.console().len());
        for topic in TOPICS {
            for payload in bad() {
                story.platform.publish(topic, payload)?;
            }
        }
        // A whole topology that was cut, and a stranger's topics.
        let whole = story.platform.topology();
        story
            .platform
            .publish(topology::TOPIC, &whole.as_bytes()[..whole.len() / 2])?;
        let ours = json!({"memberId": MEMBER}).to_string();
        for topic in [
            "instance/notifier/InstanceCleanupMemberEvent/x",
            "topology/x",
            "tenant/",
            "topology//",
        ] {
            story.platform.publish(topic, ours.clone())?;
        }
        // The topology overtakes what the broker keeps for it (QoS 1), so the last of that is awaited, too.
        story.platform.set(Known::dependency("db-1", State::Active))?;
        let tenant = json!({"tenantId": 77, "serviceName": SERVICE, "clusterIds": [CLUSTER]}).to_string();
        story.platform.publish("tenant/TenantSubscribedEvent", tenant)?;
        story.member.feed.wait_for("db-1\", state: Active", STEP)?;
        story
            .member
            .feed
            .wait_for("TenantSubscribed(Tenant { id: \"77\"", STEP)?;
        let (heap, written) = (story.member.heap()?, story.member.console().len() - lines);
        println!(
            "{written} lines; heap before {before} bytes, after {}, at most {}",
            heap.now, heap.most
        );
        ensure!(
            (1..=12).contains(&written),
            "{written} lines:\n{}",
            story.member.console()[lines..].join("\n")
        );
        ensure!(heap.now < before + FLAT, "{before} bytes of heap became {}", heap.now);
        ensure!(
            heap.most < before + 256 * 1024,
            "{before} bytes of heap became {} for a while",
            heap.most
        );
        ensure!(
            !story.member.states().contains(&"In_Maintenance".to_owned()),
            "it stops"
        );
        ensure!(
            story.member.feed.count("Terminated") == 0,
            "what is no topology made members end"
        );
        story.leave()?;
        story.was_whole()
    })
}

fn flood(place: Place) -> Result<()> {
    // A process has no kernel that keeps the log: its agent does, and a log that was full once stays so.
    let limit = if place == Place::Process { 384 } else { 256 } * 1024;
    story(place, |story| {
        story.activate()?;
        let (before, lines) = (story.member.heap()?.now, story.member.console().len());
        for round in 0..1000 {
            let topic = TOPICS[round % TOPICS.len()];
            story
                .platform
                .publish(topic, format!("{{\"memberId\":\"{round}\u{1}"))?;
            // And members that come and go, of the own cluster: far more than there is room for.
            let (topic, event) = Known::own(&format!("basket-{round}"), State::Active).broadcast();
            story.platform.publish(&topic, event.to_string())?;
        }
        // Once two topologies have said that all of those are gone, there is room again.
        story.platform.set(Known::dependency("db-1", State::Active))?;
        for _ in 0..3 {
            story.platform.send_topology()?;
        }
        story.member.feed.wait_for("db-1\", state: Active", STEP)?;
        let heap = story.member.heap()?;
        let console = story.member.console();
        let told = console[lines..]
            .iter()
            .filter(|line| line.contains("\"from\":\"agent\""))
            .count();
        println!(
            "{told} lines; heap before {before} bytes, after {}, at most {}",
            heap.now, heap.most
        );
        ensure!(told <= 12, "{told} lines");
        ensure!(
            heap.most < before + limit,
            "{before} bytes of heap became {} for a while",
            heap.most
        );
        story.leave()?;
        story.was_whole()
    })
}
