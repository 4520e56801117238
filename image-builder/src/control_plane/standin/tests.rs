//! The life of a member as the platform sees it, and what it refuses.

use super::*;

fn standin() -> Standin {
    let who = Identity::new(b"CARTRIDGE_NAME=hello", b"", &[8080], "10.0.2.15");
    Standin::new(who, Topology::default(), 1_700_000_000_000)
}

/// What the member would send.
fn report(report: Report) -> Value {
    let mut event = json!({
        "serviceName": "hello", "clusterId": "hello.local.domain", "clusterInstanceId": "local-application-1",
        "memberId": "hello-1", "instanceId": null, "networkPartitionId": "local-network-partition",
        "partitionId": "local-partition",
    });
    if report == Report::Started {
        event["applicationId"] = "local-application".into();
    }
    event
}

fn send(standin: &mut Standin, event: Report, body: &Value, ms: u64) {
    let topic = format!("instance/status/{}", event.event());
    standin.received(&topic, body.to_string().as_bytes(), Duration::from_millis(ms));
}

/// States and topics since this was last asked.
fn told(standin: &mut Standin) -> (Vec<State>, Vec<String>, Vec<String>) {
    let (mut states, mut topics, mut refused) = (vec![], vec![], vec![]);
    for action in standin.take_actions() {
        match action {
            Action::Show(View::State { state, .. }) => states.push(state),
            Action::Show(View::Refused { why, .. }) => refused.push(why),
            Action::Show(_) => {}
            Action::Publish { topic, .. } => topics.push(topic),
        }
    }
    (states, topics, refused)
}

#[test]
fn a_member_goes_through_its_whole_life_and_everybody_is_told() {
    let mut standin = standin();
    standin.launched(Duration::from_millis(1));
    for (at, event) in Report::ALL.into_iter().enumerate() {
        if event == Report::MaintenanceMode {
            standin.clean_up();
        }
        send(&mut standin, event, &report(event), 10 + at as u64);
    }
    standin.ended(Duration::from_millis(99));
    standin.ended(Duration::from_millis(100));
    let (states, topics, refused) = told(&mut standin);
    assert_eq!((states, refused), (State::ALL.to_vec(), vec![]));
    let expected = [
        "topology/MemberCreatedEvent",
        "topology/MemberInitializedEvent",
        "topology/MemberStartedEvent",
        "topology/MemberActivatedEvent",
        "instance/notifier/InstanceCleanupMemberEvent",
        "topology/MemberMaintenanceModeEvent",
        "topology/MemberReadyToShutdownEvent",
        "topology/MemberTerminatedEvent",
    ];
    assert_eq!(topics, expected);
}

#[test]
fn events_out_of_order_are_refused_and_change_nothing() {
    let mut standin = standin();
    send(&mut standin, Report::Started, &report(Report::Started), 1);
    standin.launched(Duration::from_millis(2));
    send(&mut standin, Report::Activated, &report(Report::Activated), 3);
    send(
        &mut standin,
        Report::ReadyToShutdown,
        &report(Report::ReadyToShutdown),
        4,
    );
    let (states, _, refused) = told(&mut standin);
    assert_eq!(states, [State::Created, State::Initialized]);
    let expected = ["hello-1 is Created", "hello-1 is Initialized", "hello-1 is Initialized"];
    assert_eq!(refused, expected);
    send(&mut standin, Report::Started, &report(Report::Started), 5);
    send(&mut standin, Report::Started, &report(Report::Started), 6);
    let (states, topics, refused) = told(&mut standin);
    assert_eq!((states, topics.len(), refused.len()), (vec![State::Starting], 1, 0));
}

#[test]
fn an_event_that_the_server_could_not_read_or_place_is_refused_with_the_reason() {
    let mut standin = standin();
    standin.launched(Duration::ZERO);
    told(&mut standin);
    let with = |key: &str, value: Value| {
        let mut event = report(Report::Started);
        event[key] = value;
        event.to_string()
    };
    for (body, reason) in [
        ("", "no JSON"),
        ("[1]", "no JSON object"),
        (&with("memberId", "other".into()), "memberId \"other\" is unknown"),
        (&with("clusterId", Value::Null), "no clusterId"),
        (&with("instanceId", 7.into()), "neither a string nor null"),
        (&report(Report::Activated).to_string(), "no applicationId"),
    ] {
        standin.received("instance/status/InstanceStartedEvent", body.as_bytes(), Duration::ZERO);
        let (states, topics, refused) = told(&mut standin);
        assert!(states.is_empty() && topics.is_empty(), "{body}");
        assert!(refused[0].contains(reason), "{body}: {refused:?}");
    }
    assert!(!standin.is_heard());
}

#[test]
fn topology_and_tenants_come_when_they_are_asked_for_and_the_topology_every_minute() {
    let mut standin = standin();
    told(&mut standin);
    standin.received("initializer/CompleteTopologyRequestEvent", b"{}", Duration::ZERO);
    standin.received("initializer/CompleteTenantRequestEvent", b"{}", Duration::ZERO);
    let expected = ["topology/CompleteTopologyEvent", "tenant/CompleteTenantEvent"];
    assert_eq!(told(&mut standin).1, expected);
    assert!(standin.is_heard());
    standin.tick(standin.wake() - Duration::from_millis(1));
    assert!(told(&mut standin).1.is_empty());
    standin.tick(standin.wake());
    assert_eq!(told(&mut standin).1, expected[..1]);
    assert_eq!(standin.wake(), TOPOLOGY_INTERVAL * 2);
}

#[test]
fn a_member_that_dies_is_terminated_and_said_to_have_ended_early() {
    let mut standin = standin();
    standin.launched(Duration::ZERO);
    standin.ended(Duration::from_secs(1));
    let early = |action: &Action| {
        matches!(
            action,
            Action::Show(View::EndedEarly {
                state: State::Initialized,
                ..
            })
        )
    };
    assert!(standin.take_actions().iter().any(early));
    assert_eq!(standin.state(), State::Terminated);
}

#[test]
fn a_developer_tries_artifacts_and_tenants() {
    let mut standin = standin();
    told(&mut standin);
    let (id, domain, url) = (7, "x.org".to_string(), "http://h/a.zip".to_string());
    standin.command(Command::TenantAdd { id, domain });
    standin.command(Command::Artifact {
        url,
        tenant: Some("7".into()),
    });
    standin.command(Command::TenantRemove { id });
    standin.command(Command::TenantRemove { id });
    let bodies: Vec<(String, Value)> = standin
        .take_actions()
        .into_iter()
        .filter_map(|action| match action {
            Action::Publish { topic, body } => Some((topic, body)),
            Action::Show(_) => None,
        })
        .collect();
    assert_eq!(
        bodies[0].1,
        json!({"tenants": [{"tenantId": 7, "tenantDomain": "x.org"}]})
    );
    assert_eq!(bodies[2].0, "instance/notifier/ArtifactUpdatedEvent");
    assert_eq!(
        (&bodies[2].1["tenantId"], &bodies[2].1["clusterId"]),
        (&"7".into(), &"hello.local.domain".into())
    );
    assert_eq!(
        bodies[3].1,
        json!({"applicationId": "local-application", "tenantId": 7})
    );
    assert_eq!(bodies.last().unwrap().1, json!({"tenants": []}));
    assert_eq!(bodies.len(), 6);
}

fn figure(description: &str, value: f64) -> Health {
    let text = String::from;
    Health {
        cluster: text("hello.local.domain"),
        cluster_instance: text("local-application-1"),
        network_partition: text("local-network-partition"),
        member: text("hello-1"),
        partition: text("local-partition"),
        description: text(description),
        value,
    }
}

#[test]
fn health_is_shown_in_one_line_and_a_member_that_tells_nothing_of_it_is_given_up() {
    let mut standin = standin();
    standin.launched(Duration::ZERO);
    send(&mut standin, Report::Started, &report(Report::Started), 0);
    assert_eq!(standin.wake(), TOPOLOGY_INTERVAL);
    send(&mut standin, Report::Activated, &report(Report::Activated), 0);
    let second = Duration::from_secs;
    standin.health(Ok(figure("memory_consumption", 20.0)), second(14));
    standin.health(Ok(figure("load_average", 1.5)), second(15));
    let stranger = Health {
        member: "x".into(),
        ..figure("load_average", 1.0)
    };
    standin.health(Ok(stranger), second(16));
    standin.health(Ok(figure("temperature", 1.0)), second(17));
    standin.health(Err("it is no call".into()), second(18));
    let shown = |standin: &mut Standin| -> Vec<View> {
        let actions = standin.take_actions().into_iter();
        let views = actions.filter_map(|action| match action {
            Action::Show(View::State { .. }) | Action::Publish { .. } => None,
            Action::Show(view) => Some(view),
        });
        views.collect()
    };
    let views = shown(&mut standin);
    assert_eq!(
        views[0].text(),
        "platform: hello-1 uses 20.0 % of its memory, load average 1.5 %"
    );
    assert!(views[1..].iter().all(|view| matches!(view, View::Refused { .. })) && views.len() == 4);
    standin.tick(second(74));
    assert!(shown(&mut standin).is_empty());
    standin.tick(second(75));
    standin.tick(second(76));
    let silent = SILENCE_LIMIT;
    assert_eq!(
        shown(&mut standin),
        [View::Faulty {
            member: "hello-1".into(),
            silent
        }]
    );
}
