//! A member's life with Apache Stratos, against a real broker: the same in a virtual machine and in a Linux process.

use anyhow::{Context, Result, ensure};
use cartridge_tests::databridge::Databridge;
use cartridge_tests::in_both;
use cartridge_tests::port;
use cartridge_tests::stratos::golden::{self, ACTIVATED, FILTERS, STARTED, TENANT_REQUEST, TOPOLOGY_REQUEST};
use cartridge_tests::stratos::identity::{CLUSTER, CLUSTER_INSTANCE, NETWORK_PARTITION, PARTITION};
use cartridge_tests::stratos::member::{Member, Setup, ensure_hidden};
use cartridge_tests::stratos::server::{Known, State};
use cartridge_tests::stratos::story::{MEMBER, STEP, Story, story, tell};
use cartridge_tests::stratos::topology::Dress;
use cartridge_tests::target::Place;
use qemu::Machine;
use serde_json::{Value, json};
use std::thread;
use std::time::{Duration, Instant};

const MICROVM: Place = Place::Machine(Machine::Microvm);
/// A machine with a power button.
const Q35: Place = Place::Machine(Machine::Q35);

in_both! {
    life: a_process_lives_the_golden_life, a_machine_lives_the_golden_life;
    bare_life: a_process_without_optional_identifiers_says_null, a_machine_without_optional_identifiers_says_null;
    restarted: a_restarted_process_is_accepted_in_every_later_state,
        a_restarted_machine_is_accepted_in_every_later_state;
    cluster: a_process_leaves_with_its_cluster_and_not_with_another,
        a_machine_leaves_with_its_cluster_and_not_with_another;
    stopped_from_below: the_platform_hears_of_a_process_that_is_stopped_by_sigterm,
        the_platform_hears_of_a_machine_that_is_stopped_by_its_power_button = Q35;
    events: the_app_of_a_process_hears_of_members_and_tenants, the_app_of_a_machine_hears_of_members_and_tenants;
    healthy: a_process_sends_health_statistics_from_active_to_its_end,
        a_machine_sends_health_statistics_from_active_to_its_end;
    secrets: a_process_shows_no_secret, a_machine_shows_no_secret;
    mistaken: a_process_that_panics_shows_no_secret, the_fault_report_of_a_machine_shows_no_secret;
    soon: a_process_is_activated_within_50_ms_of_its_open_port, a_machine_is_activated_within_50_ms_of_its_open_port;
    heap: a_process_reads_a_topology_of_1_mb_in_256_kib, a_machine_reads_a_topology_of_1_mb_in_256_kib;
}

/// Sections 1.2 and 1.3 of the protocol's facts, step by step.
fn life(place: Place) -> Result<()> {
    let mut begun = Story::of(place, State::Created, |_| {})?;
    tell(&mut begun, |story| {
        let platform = &story.platform;
        platform.wait_for(TOPOLOGY_REQUEST, 1, STEP)?;
        // The platform knows it as Created only: it waits.
        story.ensure_quiet(STARTED)?;
        platform.set(Known::own(MEMBER, State::Initialized))?;
        platform.wait_state(MEMBER, State::Starting, STEP)?;
        platform.wait_for(TENANT_REQUEST, 1, STEP)?;
        // Its port is closed: it waits.
        story.ensure_quiet(ACTIVATED)?;
        story.member.open()?;
        platform.wait_state(MEMBER, State::Active, STEP)?;
        story.leave()?;
        story.platform.settle()?;
        golden::ensure_same(&golden::life(MEMBER), &story.platform.seen())?;
        story.platform.ensure_no_refusal()?;
        at_the_broker(story)
    })
}

/// What only the broker sees: subscriptions, repeated sendings, topics that the platform does not listen to, and sessions.
fn at_the_broker(story: &Story) -> Result<()> {
    let witness = story.broker.witness();
    let members: Vec<String> = witness
        .clients()
        .into_iter()
        .filter(|name| name != "platform")
        .collect();
    let [client] = &members[..] else {
        anyhow::bail!("clients {members:?}");
    };
    let published = witness.published(client);
    let topics: Vec<&str> = published.iter().map(|message| message.topic.as_str()).collect();
    let expected: Vec<&str> = golden::life(MEMBER).iter().map(|(topic, _)| *topic).collect();
    ensure!(topics == expected, "sent: {published:?}");
    ensure!(
        published
            .iter()
            .all(|message| !message.is_retained && !message.is_duplicate),
        "{published:?}"
    );
    let mut filters = witness.subscribed(client);
    ensure!(
        filters.first().is_some_and(|filter| filter == FILTERS[0]),
        "{filters:?}"
    );
    filters.sort();
    let mut expected = FILTERS.map(String::from);
    expected.sort();
    ensure!(filters == expected, "{filters:?}");
    let first_request = witness.text().find(TOPOLOGY_REQUEST);
    ensure!(
        witness.text().find(FILTERS[0]) < first_request,
        "it asks before it listens"
    );
    // No session of it is left at the broker: its last one was clean.
    ensure!(witness.last_session_is_clean(client), "its session stays at the broker");
    Ok(())
}

fn bare_life(place: Place) -> Result<()> {
    let mut begun = Story::of(place, State::Initialized, |setup| setup.is_bare = true)?;
    tell(&mut begun, |story| {
        story.activate()?;
        story.leave()?;
        story.platform.settle()?;
        golden::ensure_same(&golden::bare_life(MEMBER), &story.platform.seen())
    })
}

/// The upstream agent waits for ever in these.
fn restarted(place: Place) -> Result<()> {
    for state in [State::Starting, State::Active] {
        let mut begun = Story::of(place, state, |_| {})?;
        tell(&mut begun, |story| {
            story.platform.wait_for(TENANT_REQUEST, 1, STEP)?;
            story.member.open()?;
            story.platform.wait_for(ACTIVATED, 1, STEP)?;
            story.platform.wait_state(MEMBER, State::Active, STEP)?;
            story.leave()?;
            // The server takes it back to Starting, as it is, and each event comes once.
            story.was_whole()
        })?;
    }
    Ok(())
}

fn cluster(place: Place) -> Result<()> {
    story(place, |story| {
        story.activate()?;
        let platform = &story.platform;
        for (cluster, instance) in [("another", "shop-instance-1"), ("shop.basket.cluster-1", "another")] {
            let event = json!({"clusterId": cluster, "clusterInstanceId": instance}).to_string();
            platform.publish("instance/notifier/InstanceCleanupClusterEvent", event)?;
        }
        platform.clean_up("another-member")?;
        platform.clean_up_cluster()?;
        story.is_gone()?;
        let causes = story.member.lines_with("stop asked for");
        ensure!(causes == 1, "{causes} reasons to stop");
        story.was_whole()
    })
}

fn stopped_from_below(place: Place) -> Result<()> {
    story(place, |story| {
        story.activate()?;
        story.member.ask_to_stop()?;
        story.is_gone()?;
        story.was_whole()
    })
}

fn events(place: Place) -> Result<()> {
    let mut begun = Story::of(place, State::Initialized, |_| {})?;
    tell(&mut begun, |story| {
        story.activate()?;
        let (platform, member) = (&story.platform, &story.member);
        let told = |text: &str| member.feed.wait_for(text, STEP);
        let mut database = Known::dependency("db-1", State::Initialized);
        for state in [State::Initialized, State::Starting, State::Active] {
            database.state = state;
            platform.set(database.clone())?;
        }
        told("db-1\", state: Active")?;
        platform.set(Known::own("basket-2", State::Active))?;
        told("basket-2\", state: Active")?;
        // A stranger is no business of the app's.
        let stranger = Known {
            service: "other",
            cluster: "other.cluster",
            ..Known::own("stranger-1", State::Active)
        };
        platform.set(stranger)?;
        // Gone from the topology without a word.
        platform.forget("basket-2");
        platform.send_topology()?;
        told("basket-2\", state: Terminated")?;
        let tenant =
            json!({"tenantId": 7, "serviceName": "basket", "clusterIds": ["shop.basket.cluster-1"]}).to_string();
        platform.publish("tenant/TenantSubscribedEvent", tenant)?;
        told("TenantSubscribed(Tenant { id: \"7\"")?;
        let gone = json!({"applicationId": "shop", "tenantId": 7}).to_string();
        platform.publish("application/signup/ApplicationSignUpRemovedEvent", gone)?;
        told("SignUpRemoved(Tenant { id: \"7\"")?;
        // Unchanged topologies change nothing.
        let before = member.feed.count("Member(Member");
        for _ in 0..3 {
            platform.send_topology()?;
        }
        platform.set(Known::own("basket-3", State::Active))?;
        told("basket-3\", state: Active")?;
        let after = member.feed.count("Member(Member");
        ensure!(
            after == before + 1,
            "{} events of topologies without news",
            after - before - 1
        );
        ensure!(member.feed.count("stranger-1") == 0, "a stranger");
        let artifact = json!({"clusterId": "shop.basket.cluster-1", "repoURL": "http://127.0.0.1:9/basket.zip", "tenantId": "-1234"});
        platform.publish("instance/notifier/ArtifactUpdatedEvent", artifact.to_string())?;
        told("ArtifactUpdated(")?;
        // The last event is the shutdown with its deadline, and it comes while there is time left.
        member.hold()?;
        platform.clean_up(MEMBER)?;
        told("ShutdownRequested(Instant")?;
        member.release()?;
        story.is_gone()?;
        story.was_whole()
    })
}

/// To the event processor, over Thrift, while everything else goes on.
fn healthy(place: Place) -> Result<()> {
    const PASSWORD: &str = "hunter2-of-the-event-processor";
    let mut receiver = Databridge::start(port::free()?, &[])?;
    receiver.command(&format!("user stats {PASSWORD}"))?;
    let mut begun = Story::of(place, State::Initialized, |setup| {
        setup.parameters = format!(
            ",CEP_IP={},CEP_PORT={},thrift.server.admin.username=stats,thrift.server.admin.password={PASSWORD},\
             stats.notifier.interval=1,LOG_LEVEL=trace,DRAIN_SECONDS=60",
            place.loopback(),
            receiver.port()
        );
    })?;
    tell(&mut begun, |story| {
        let events = |count: usize| {
            let publishes = |lines: &[Value]| lines.iter().filter(|line| line["call"] == "publish").count();
            receiver.wait_for("health statistics", STEP, |lines| publishes(lines) >= count)
        };
        story.platform.wait_for(STARTED, 1, STEP)?;
        ensure!(
            receiver.calls_of("publish").is_empty(),
            "statistics before it is Active"
        );
        story.activate()?;
        events(4)?;
        if place != Place::Process {
            ensure_as_shown(&story.member, &receiver)?;
        }
        // Without them the platform would take it for dead while it finishes its work.
        story.member.hold()?;
        story.platform.clean_up(MEMBER)?;
        story.platform.wait_state(MEMBER, State::InMaintenance, STEP)?;
        events(receiver.calls_of("publish").len() + 2)?;
        story.member.release()?;
        story.is_gone()?;
        for (index, event) in receiver.events()?.iter().enumerate() {
            let kind = ["memory_consumption", "load_average"][index % 2];
            let expected = [
                ("cluster_id", CLUSTER),
                ("cluster_instance_id", CLUSTER_INSTANCE),
                ("network_partition_id", NETWORK_PARTITION),
                ("member_id", MEMBER),
                ("partition_id", PARTITION),
                ("health_description", kind),
            ];
            for (name, value) in expected {
                ensure!(event[name] == value, "{name} of event {index}: {event}");
            }
            let value = event["value"].as_f64().context("a value")?;
            ensure!((0.0..=10_000.0).contains(&value), "{event}");
            ensure!(kind == "load_average" || (0.1..=100.0).contains(&value), "{event}");
        }
        ensure!(
            !story.member.console().join("\n").contains(PASSWORD),
            "the console shows the password"
        );
        story.platform.settle()?;
        golden::ensure_same(&golden::life(MEMBER), &story.platform.seen())
    })
}

/// What a machine tells the platform is what its own endpoint shows, but for the moments between.
fn ensure_as_shown(member: &Member, receiver: &Databridge) -> Result<()> {
    let figures = member.figures()?;
    let figure = |name: &str| figures.get(name).copied().with_context(|| format!("no {name}"));
    let memory = figure("cartridge_memory_used_bytes")? * 100.0 / figure("cartridge_memory_total_bytes")?;
    // One processor.
    let load = figure("cartridge_load1")? * 100.0;
    let events = receiver.events()?;
    for (kind, shown, leeway) in [("memory_consumption", memory, 5.0), ("load_average", load, 25.0)] {
        let last = events.iter().rfind(|event| event["health_description"] == kind);
        let told = last.and_then(|event| event["value"].as_f64()).context(kind)?;
        ensure!(
            (told - shown).abs() < leeway,
            "{kind}: {told} is told, and {shown} shown"
        );
    }
    Ok(())
}

/// At the most talkative level, through a whole life with a refused password and an artifact's on the way.
fn secrets(place: Place) -> Result<()> {
    const REPOSITORY: &str = "aHVudGVyMi1vZi1yZXBvcw==";
    let mut begun = Story::of(place, State::Initialized, |setup| {
        setup.parameters = ",LOG_LEVEL=trace".into()
    })?;
    tell(&mut begun, |story| {
        story.activate()?;
        let artifact = json!({
            "clusterId": "shop.basket.cluster-1", "status": "ACTIVE", "repoUserName": "admin", "repoPassword": REPOSITORY,
            "repoURL": format!("http://admin:{REPOSITORY}@127.0.0.1:9/basket.tar.gz"), "tenantId": "-1234", "commitEnabled": false,
        });
        story
            .platform
            .publish("instance/notifier/ArtifactUpdatedEvent", artifact.to_string())?;
        story.member.feed.wait_for("ArtifactUpdated", STEP)?;
        for _ in 0..2 {
            // The first requests leave lines in the log that the second ones would show.
            story.member.ensure_no_secret()?;
        }
        story.leave()?;
        let console = story.member.console().join("\n");
        ensure_hidden("the console", &console)?;
        ensure!(
            !console.contains(REPOSITORY),
            "the console shows the repository's password"
        );
        story.was_whole()
    })
}

/// By the guest's own clock, from the moment the app's port is open to the moment the event has arrived at the broker.
fn soon(place: Place) -> Result<()> {
    const LIMIT: i64 = 50;
    let mut took = Vec::new();
    for _ in 0..5 {
        let mut begun = Story::begin(place)?;
        tell(&mut begun, |story| {
            story.platform.wait_for(STARTED, 1, STEP)?;
            let open = story.member.open()?;
            let sent = story.member.time_of("InstanceActivatedEvent")?;
            took.push(sent - open);
            Ok(())
        })?;
    }
    println!("from the open port to InstanceActivatedEvent at the broker: {took:?} ms");
    // A host that does something else for a while can make one slow, not most.
    took.sort_unstable();
    ensure!(took[took.len() / 2] <= LIMIT, "{took:?} ms");
    Ok(())
}

/// Of the heap that the whole agent takes beyond one without a control plane, at its peak.
fn heap(place: Place) -> Result<()> {
    const LIMIT: u64 = 256 * 1024;
    let alone = {
        let begun = Story::of(place, State::Initialized, |setup| {
            setup.parameters = ",CONTROL_PLANE=none".into()
        })?;
        begun.member.open()?;
        begun.member.wait_for("\"state\":\"Active\"", STEP)?;
        (begun.member.heap()?.most, kernel_heap(&begun, place)?)
    };
    let mut begun = Story::begin(place)?;
    tell(&mut begun, |story| {
        story.platform.dress(Dress {
            size: 1 << 20,
            ..Dress::default()
        });
        story.activate()?;
        let mut most = story.member.heap()?.most;
        for round in 0..5 {
            story.grow(round)?;
            most = most.max(story.member.heap()?.most);
        }
        let program = most.saturating_sub(alone.0);
        let kernel = kernel_heap(story, place)?.saturating_sub(alone.1);
        println!("heap beyond a member without control plane: program {program}, kernel {kernel} bytes");
        ensure!(
            program + kernel <= LIMIT,
            "{program} bytes of the program, {kernel} of the kernel"
        );
        story.leave()
    })
}

/// Bytes of the kernel's heap; a process has none of its own.
fn kernel_heap(story: &Story, place: Place) -> Result<u64> {
    if place == Place::Process {
        return Ok(0);
    }
    let figures = story.member.figures()?;
    Ok(figures
        .get("cartridge_kernel_heap_bytes")
        .copied()
        .unwrap_or(f64::INFINITY) as u64)
}

/// The report of a program with a mistake.
fn mistaken(place: Place) -> Result<()> {
    let mut begun = Story::of(place, State::Initialized, |setup| {
        setup.parameters = ",LOG_LEVEL=trace".into()
    })?;
    tell(&mut begun, |story| {
        story.activate()?;
        // In a process its thread ends, and with it nothing else.
        let _ = story.member.panic();
        story.member.wait_for("asked to", STEP)?;
        if place != Place::Process {
            story.member.wait_for("cartridge: exit status", STEP)?;
        }
        ensure_hidden("the console", &story.member.console().join("\n"))
    })
}

/// The machine is reset; its broker has a session of the life before.
#[test]
fn a_machine_that_is_reset_begins_a_new_life() {
    let reset = || -> Result<()> {
        let first = Story::begin(MICROVM)?;
        first.activate()?;
        first.platform.settle()?;
        let Story {
            broker,
            platform,
            member,
        } = first;
        drop(member);
        // The session of the life before keeps this: it is not for the next.
        let gone = json!({"applicationId": "shop", "tenantId": 5}).to_string();
        platform.publish("application/signup/ApplicationSignUpRemovedEvent", gone)?;
        let member = Setup::new(MICROVM, MEMBER, broker.port).start()?;
        let mut second = Story {
            broker,
            platform,
            member,
        };
        tell(&mut second, |story| {
            story.member.open()?;
            story.platform.wait_for(ACTIVATED, 2, STEP)?;
            story.leave()?;
            story.platform.settle()?;
            let status = story.platform.seen().into_iter();
            let status: Vec<_> = status
                .filter(|message| message.topic.starts_with("instance/"))
                .collect();
            let golden = golden::life(MEMBER);
            golden::ensure_same(&[&golden[2..4], &golden[2..]].concat(), &status)?;
            ensure!(
                story.member.feed.count("SignUpRemoved") == 0,
                "an event of the life before"
            );
            ensure!(
                story.broker.witness().last_session_is_clean(MEMBER),
                "its session stays"
            );
            story.platform.ensure_no_refusal()
        })
    };
    reset().unwrap_or_else(|error| panic!("{error:?}"));
}

/// With its broker there and nothing happening, but for what it sends to stay alive.
#[test]
fn an_idle_member_executes_next_to_nothing() {
    const WINDOW: Duration = Duration::from_secs(10);
    const LIMIT: u64 = 20_000;
    let idle = || -> Result<()> {
        let mut begun = Story::of(MICROVM, State::Initialized, |setup| setup.counts = true)?;
        tell(&mut begun, |story| {
            story.activate()?;
            story.platform.settle()?;
            story.member.wait_for("InstanceActivatedEvent delivered", STEP)?;
            let (before, began) = (story.member.instructions()?, Instant::now());
            // The window is what is measured, not a wait for something to happen.
            thread::sleep(WINDOW);
            let seconds = began.elapsed().as_secs_f64();
            let by_the_second = (story.member.instructions()? - before) as f64 / seconds;
            println!("{by_the_second:.0} instructions a second");
            ensure!(
                by_the_second <= LIMIT as f64,
                "{by_the_second:.0} instructions a second"
            );
            story.leave()
        })
    };
    idle().unwrap_or_else(|error| panic!("{error:?}"));
}
