use super::*;
use crate::parameters::Parameters;
use crate::stratos::settings;
use std::format;
use std::string::String;
use std::vec::Vec;

const PAYLOAD: &str =
    "APPLICATION_ID=app,SERVICE_NAME=php,CLUSTER_ID=php.c,MEMBER_ID=m,MB_IP=b,DEPENDENCY_CLUSTER_IDS=db.c|cache.c";

fn inbox() -> Inbox<'static> {
    let parameters = Parameters::new(b"", PAYLOAD.as_bytes());
    Inbox::new(settings::read(&parameters, &mut |wrong| panic!("{wrong}")).unwrap())
}

fn publish(inbox: &mut Inbox<'_>, topic: &str, document: &str) -> Heard {
    inbox.begin(topic, false);
    for piece in document.as_bytes().chunks(5) {
        inbox.payload(piece);
    }
    inbox.end()
}

fn events(inbox: &mut Inbox<'_>) -> Vec<String> {
    let mut events = Vec::new();
    while let Some(event) = inbox.event() {
        events.push(match event {
            // Its Debug hides what it has.
            Event::ArtifactUpdated(artifact) => format!(
                "artifact {} {:?} {:?} {:?}",
                artifact.url, artifact.user, artifact.password, artifact.tenant
            ),
            Event::Member(member) => format!(
                "{} {} {} {} {:?} {:?}",
                member.service,
                member.cluster,
                member.member,
                member.state,
                member.private_address,
                member.public_address
            ),
            Event::TenantSubscribed(tenant) => format!("subscribed {} {:?}", tenant.id, tenant.domain),
            Event::TenantRemoved(tenant) => format!("removed {} {:?}", tenant.id, tenant.domain),
            Event::SignUpRemoved(tenant) => format!("signed off {} {:?}", tenant.id, tenant.domain),
            Event::ConfigurationChanged => String::from("configuration"),
        });
        inbox.event_taken();
    }
    events
}

/// Every event of the facts, section 1.2, with the fields named there; and what this member makes of it.
#[test]
fn each_event_means_what_it_says() {
    let member = r#""serviceName":"php","clusterId":"php.c","clusterInstanceId":"ci","networkPartitionId":"n","partitionId":"p","memberId":"m2""#;
    for (topic, document, expected) in [
        ("topology/MemberCreatedEvent", format!(r#"{{{member},"loadBalancingIPType":"Private","initTime":1}}"#), "php php.c m2 Created None None"),
        (
            "topology/MemberInitializedEvent",
            format!(r#"{{{member},"instanceId":"i","memberPublicIPs":["192.0.2.1","192.0.2.2"],"defaultPublicIP":"192.0.2.3","memberPrivateIPs":["10.0.0.1"],"properties":{{"memberId":"x"}}}}"#),
            "php php.c m2 Initialized Some(\"10.0.0.1\") Some(\"192.0.2.3\")",
        ),
        ("topology/MemberStartedEvent", format!(r#"{{{member},"status":"Starting","properties":{{}},"groupId":"g"}}"#), "php php.c m2 Starting None None"),
        ("topology/MemberActivatedEvent", format!(r#"{{{member},"portMap":{{"80":{{"protocol":"http","value":80,"proxy":80}}}}}}"#), "php php.c m2 Active None None"),
        ("topology/MemberMaintenanceModeEvent", format!("{{{member}}}"), "php php.c m2 In_Maintenance None None"),
        ("topology/MemberSuspendedEvent", format!("{{{member}}}"), "php php.c m2 In_Maintenance None None"),
        ("topology/MemberReadyToShutdownEvent", format!("{{{member}}}"), "php php.c m2 ReadyToShutDown None None"),
        ("tenant/TenantSubscribedEvent", r#"{"tenantId":7,"serviceName":"php","clusterIds":["php.c"]}"#.into(), "subscribed 7 None"),
        ("tenant/TenantUnSubscribedEvent", r#"{"tenantId":-1234,"serviceName":"php","clusterIds":[]}"#.into(), "removed -1234 None"),
        ("application/signup/ApplicationSignUpRemovedEvent", r#"{"applicationId":"app","tenantId":3}"#.into(), "signed off 3 None"),
        (
            "instance/notifier/ArtifactUpdatedEvent",
            r#"{"clusterId":"php.c","status":"x","repoUserName":"u","repoPassword":"p=","repoURL":"http://r/a.tar","tenantId":"1","commitEnabled":false}"#.into(),
            r#"artifact http://r/a.tar Some("u") Some("p=") Some("1")"#,
        ),
    ] {
        let mut inbox = inbox();
        let heard = publish(&mut inbox, topic, &document);
        assert!(heard.fault.is_none() && !heard.is_stop && heard.known_as.is_none(), "{topic}");
        // The others may have waited in the session for long.
        assert_eq!(heard.is_platform, topic.starts_with("topology/"), "{topic}");
        assert_eq!(events(&mut inbox), [expected], "{topic}");
    }
}

#[test]
fn what_is_for_others_is_passed_over() {
    for (topic, document) in [
        (
            "topology/MemberActivatedEvent",
            r#"{"memberId":"m2","clusterId":"other"}"#,
        ),
        (
            "tenant/TenantSubscribedEvent",
            r#"{"tenantId":7,"serviceName":"other"}"#,
        ),
        (
            "application/signup/ApplicationSignUpRemovedEvent",
            r#"{"applicationId":"other","tenantId":3}"#,
        ),
        (
            "instance/notifier/ArtifactUpdatedEvent",
            r#"{"clusterId":"db.c","repoURL":"http://r"}"#,
        ),
        (
            "instance/notifier/ArtifactUpdatedEvent",
            r#"{"clusterId":"php.c","repoURL":""}"#,
        ),
        (
            "instance/status/InstanceStartedEvent",
            r#"{"memberId":"m2","clusterId":"php.c"}"#,
        ),
        ("topology/ApplicationClustersCreatedEvent", r#"not looked at"#),
        ("", ""),
    ] {
        let mut inbox = inbox();
        let heard = publish(&mut inbox, topic, document);
        assert!(heard.fault.is_none() && !heard.is_stop && heard.known_as.is_none());
        assert!(events(&mut inbox).is_empty(), "{document}");
    }
}

#[test]
fn what_says_nothing_of_anyone_is_left_out() {
    for (topic, documents) in [
        (
            "topology/MemberActivatedEvent",
            &[
                "{}",
                "7",
                r#"{"memberId":"m2"}"#,
                r#"{"clusterId":"php.c"}"#,
                r#"{"memberId":null,"clusterId":"php.c"}"#,
                r#"{"memberId":{"memberId":"x"},"clusterId":"php.c"}"#,
            ][..],
        ),
        ("tenant/TenantSubscribedEvent", &[r#"{"serviceName":"php"}"#]),
        ("instance/notifier/InstanceCleanupMemberEvent", &["{}", "null"]),
        (
            "topology/CompleteTopologyEvent",
            &[
                "null",
                "[]",
                "{}",
                "\"text\"",
                "7",
                r#"{"topology":7}"#,
                r#"{"topology":{}}"#,
                r#"{"topology":null}"#,
                r#"{"topology":[{}]}"#,
                r#"{"topology":{"serviceMap":7}}"#,
                r#"{"topology":{"serviceMap":[]}}"#,
                r#"{"topology":{"x":{}}}"#,
                r#"{"serviceMap":{"a":{}}}"#,
            ],
        ),
    ] {
        for document in documents {
            let mut inbox = inbox();
            let member = r#"{"memberId":"m2","clusterId":"php.c"}"#;
            publish(&mut inbox, "topology/MemberActivatedEvent", member);
            events(&mut inbox);
            let heard = publish(&mut inbox, topic, document);
            assert!(
                heard.fault.is_some() && !heard.is_platform && !heard.is_topology,
                "{document}"
            );
            assert!(events(&mut inbox).is_empty(), "{document}");
        }
    }
}

#[test]
fn tenants_have_the_domains_of_the_list() {
    let mut inbox = inbox();
    publish(
        &mut inbox,
        "tenant/CompleteTenantEvent",
        r#"{"tenants":[{"tenantId":1,"tenantDomain":"one.example","serviceNameSubscriptionMap":{"php":{"tenantId":9}}},{"tenantDomain":"two.example","tenantId":2},{"tenantId":3}]}"#,
    );
    for id in [1, 2, 3] {
        publish(
            &mut inbox,
            "tenant/TenantSubscribedEvent",
            &format!(r#"{{"tenantId":{id},"serviceName":"php"}}"#),
        );
    }
    assert_eq!(
        events(&mut inbox),
        [
            "subscribed 1 Some(\"one.example\")",
            "subscribed 2 Some(\"two.example\")",
            "subscribed 3 None"
        ]
    );
}

#[test]
fn a_topology_is_read_whatever_it_has_besides_and_lacks() {
    let document = r#"{"clusterMap":{"topology":{}},"topology":{"serviceMap":{
        "lb":{"clusterIdClusterMap":{"lb.c":{"memberMap":{"x":{"memberStateManager":{"stateStack":["Active"]}}}}}},
        "php":{"serviceName":"php","portMap":{"80":{"value":1}},"clusterIdClusterMap":{"php.c":{"kubernetesServices":[{"memberMap":{"y":{}}}],
            "memberMap":{"m":{"memberStateManager":{"identifier":"m","stateStack":["Created","Initialized"]}},
                "m2":{"memberId":"other name","defaultPrivateIP":"10.0.0.2","memberStateManager":{"stateStack":["Created","Initialized","Starting","Active"]},"portMap":{}},
                "m3":{"memberStateManager":{"stateStack":[]}},"m4":{},"m5":null,"m6":{"memberStateManager":{"stateStack":["NoSuchState"]}}}}}},
        "db":{"clusterIdClusterMap":{"db.c":{"memberMap":{"d":{"memberPublicIPs":["192.0.2.9"],"memberStateManager":{"stateStack":["Suspended"]}}}},"cache.c":{}}},
        "bad":{"clusterIdClusterMap":[{"php.c":{"memberMap":{"z":{"memberStateManager":{"stateStack":["Active"]}}}}}]}}}}"#;
    let mut inbox = inbox();
    let heard = publish(&mut inbox, "topology/CompleteTopologyEvent", document);
    assert!(heard.is_topology && heard.known_as == Some(State::Initialized) && heard.fault.is_none());
    assert_eq!(
        events(&mut inbox),
        [
            "php php.c m Initialized None None",
            "php php.c m2 Active Some(\"10.0.0.2\") None",
            "db db.c d In_Maintenance None Some(\"192.0.2.9\")"
        ]
    );
    // Cut anywhere, it has no effect at all.
    for end in (0..document.len()).step_by(3) {
        let mut inbox = self::inbox();
        let heard = publish(&mut inbox, "topology/CompleteTopologyEvent", &document[..end]);
        assert!(
            heard.fault.is_some() && heard.known_as.is_none() && events(&mut inbox).is_empty(),
            "{end}"
        );
    }
    let mut inbox = self::inbox();
    let heard = publish(
        &mut inbox,
        "topology/CompleteTopologyEvent",
        r#"{"topology":{"serviceMap":{}}}"#,
    );
    assert!(heard.is_topology && heard.known_as.is_none(), "nobody is there yet");
}

#[test]
fn events_that_wait_are_bounded_and_repeated_ones_wait_once() {
    let mut inbox = inbox();
    let subscribed = |id: usize| format!(r#"{{"tenantId":{id},"serviceName":"php"}}"#);
    for id in [1, 1, 2, 1] {
        assert!(!publish(&mut inbox, "tenant/TenantSubscribedEvent", &subscribed(id)).has_dropped);
    }
    assert_eq!(events(&mut inbox), ["subscribed 1 None", "subscribed 2 None"]);
    for topic in [
        "TenantSubscribedEvent",
        "TenantUnSubscribedEvent",
        "TenantSubscribedEvent",
    ] {
        publish(&mut inbox, &format!("tenant/{topic}"), &subscribed(1));
    }
    assert_eq!(
        events(&mut inbox),
        ["subscribed 1 None", "removed 1 None", "subscribed 1 None"]
    );
    for id in 0..70 {
        let heard = publish(&mut inbox, "tenant/TenantSubscribedEvent", &subscribed(id));
        assert_eq!(heard.has_dropped, id >= 64);
    }
    let left = events(&mut inbox);
    assert!(left.len() == 64 && left[0] == "subscribed 6 None", "{left:?}");
    for version in 0..5 {
        let document = format!(r#"{{"clusterId":"php.c","repoURL":"http://r/{version}","tenantId":"1"}}"#);
        publish(&mut inbox, "instance/notifier/ArtifactUpdatedEvent", &document);
    }
    assert_eq!(
        events(&mut inbox),
        [r#"artifact http://r/4 None None Some("1")"#],
        "the newest"
    );
}
