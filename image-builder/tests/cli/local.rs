//! `--control-plane local`: the platform shows a member's whole life, in a machine and as a process alike, and ends with it. The
//! member is the cartridge's own agent; where what it would never do is to be seen, mosquitto's clients play it.

use super::run::{free_port, payload};
use super::{LIMIT, Running, SOON, alone, cartridge, command, eventually, signal};
use qemu::process::{child_of, is_alive};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

const LIFE: [&str; 7] = [
    "Created",
    "Initialized",
    "Starting",
    "Active",
    "In_Maintenance",
    "ReadyToShutDown",
    "Terminated",
];
/// `run` and `dev`, each with what it needs here. A microvm: the one machine without a power button.
const PLACES: [&[&str]; 2] = [
    &["run", "apps/site", "--accel", "tcg", "--machine", "microvm"],
    &["dev", "apps/site"],
];

/// A cartridge with a platform, that runs meanwhile.
struct Watched {
    running: Running,
    /// The broker's port.
    broker: u16,
    /// Holds the payload, and whatever the command puts into its temporary folder.
    folder: tempfile::TempDir,
    _payload: tempfile::NamedTempFile,
}

impl Watched {
    fn start(place: &[&str], parameters: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = payload(&format!("PORTS={},{parameters}", free_port()));
        let mut line = command(place);
        line.args(["--control-plane", "local", "--json", "--payload"])
            .arg(file.path());
        line.env("TMPDIR", folder.path()).stdin(Stdio::piped());
        let mut running = Running::start(line);
        let broker: Value = serde_json::from_str(&running.wait_for("\"platform\":\"broker\"")).expect("JSON");
        let address = broker["address"].as_str().expect("an address");
        let port = address.strip_prefix("127.0.0.1:").and_then(|port| port.parse().ok());
        Self {
            running,
            broker: port.unwrap_or_else(|| panic!("{address} is not on the loopback interface")),
            folder,
            _payload: file,
        }
    }

    fn wait_for(&mut self, state: &str) {
        self.running.wait_for(&format!("\"state\":\"{state}\",\"ms\""));
    }

    fn type_line(&mut self, line: &str) {
        let input = self.running.child.stdin.as_mut().expect("piped");
        writeln!(input, "{line}").expect("typed");
    }

    /// Waits for the end; gives the exit status and what the platform said, by kind.
    fn end(mut self) -> (i32, Vec<String>, Vec<Value>) {
        let status = self.running.wait();
        assert!(
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.broker)).is_err(),
            "the broker's port is still in use"
        );
        let left: Vec<_> = fs::read_dir(self.folder.path()).expect("a folder").collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        let seen = views(&self.running.seen);
        (status, states(&seen), seen)
    }
}

/// What the platform said, of all lines.
fn views(lines: &[String]) -> Vec<Value> {
    let objects = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    objects.filter(|object| object.get("platform").is_some()).collect()
}

fn states(views: &[Value]) -> Vec<String> {
    let views = views.iter().filter(|view| view["platform"] == "state");
    let mut before = 0;
    views
        .map(|view| {
            let ms = view["ms"].as_u64().expect("a time");
            assert!(ms >= before, "time goes back: {view}");
            before = ms;
            view["state"].as_str().expect("a name").to_owned()
        })
        .collect()
}

fn of_kind<'a>(views: &'a [Value], kind: &str) -> Vec<&'a Value> {
    views.iter().filter(|view| view["platform"] == kind).collect()
}

#[test]
fn a_newcomer_sees_the_whole_life_of_hello_in_a_machine_and_as_a_process() {
    let _alone = alone();
    for place in [&["run", "apps/hello", "--accel", "tcg"][..], &["dev", "apps/hello"]] {
        let line = [place, &["--control-plane", "local", "--until-ready"]].concat();
        let (status, output, errors) = cartridge(&line);
        assert_eq!(status, 0, "{output}{errors}");
        let seen: Vec<&str> = output
            .lines()
            .filter_map(|line| line.strip_prefix("platform: hello-1 is ")?.split(' ').next())
            .collect();
        assert_eq!(seen, LIFE, "{output}");
        assert!(!output.contains("refused"), "{output}");
    }
}

#[test]
fn ctrl_c_and_stop_make_a_member_leave_in_order_a_microvm_too() {
    let _alone = alone();
    for place in PLACES {
        for typed in [false, true] {
            let mut watched = Watched::start(place, "MEMBER_ID=m-7,CLUSTER_ID=c-7,MB_IP=192.0.2.1,DB_PASSWORD=a=b==");
            watched.wait_for("Active");
            match typed {
                true => watched.type_line("stop"),
                false => watched.running.signal("INT"),
            }
            let (status, states, seen) = watched.end();
            assert_eq!(
                (status, &states[..]),
                (0, &LIFE.map(String::from)[..]),
                "{place:?}: {seen:#?}"
            );
            assert!(of_kind(&seen, "refused").is_empty(), "{seen:#?}");
            let member = |view: &&Value| view["member"] == "m-7";
            assert!(
                of_kind(&seen, "state").iter().all(member),
                "the payload's names stay: {seen:#?}"
            );
        }
    }
}

#[test]
fn a_second_ctrl_c_leaves_neither_broker_nor_payload_nor_process() {
    let _alone = alone();
    for place in PLACES {
        // It has said that it is Active, and never hears that it is to leave: its answers to the platform are somebody else's.
        let mut watched = Watched::start(place, "DRAIN_SECONDS=600");
        watched.wait_for("Active");
        let child = child_of(watched.running.child.id()).expect("the member runs");
        signal(child, "STOP");
        watched.running.signal("INT");
        watched.running.wait_for("Ctrl-C again kills it");
        watched.running.signal("INT");
        let (status, states, _) = watched.end();
        assert_eq!((status, states.last().map(String::as_str)), (130, Some("Active")));
        eventually("the member is left behind", || !is_alive(child));
    }
}

#[test]
fn a_member_that_dies_is_seen_to_have_ended_early() {
    let _alone = alone();
    for place in PLACES {
        let mut watched = Watched::start(place, "");
        watched.wait_for("Active");
        let child = child_of(watched.running.child.id()).expect("the member runs");
        signal(child, "KILL");
        let (status, states, seen) = watched.end();
        let last = ["Created", "Initialized", "Starting", "Active", "Terminated"];
        assert_eq!(states, last, "{place:?}");
        assert_eq!(of_kind(&seen, "ended_early")[0]["state"], "Active");
        assert_ne!(status, 0);
    }
}

#[test]
fn health_statistics_are_shown_of_a_machine_and_of_a_process() {
    let _alone = alone();
    for place in PLACES {
        // The interval, in seconds; a receiver elsewhere does not count.
        let parameters = "stats.notifier.interval=1,thrift.receiver.urls=192.0.2.1:7611,CEP_PASSWORD=secret";
        let mut watched = Watched::start(place, parameters);
        watched.wait_for("Active");
        for _ in 0..2 {
            let line = watched.running.wait_for("\"platform\":\"health\"");
            let health: Value = serde_json::from_str(&line).expect("JSON");
            let memory = health["memory_percent"].as_f64().expect("a number");
            assert!(memory > 0.0 && memory < 100.0, "{place:?}: {health}");
            assert!(
                health["load_percent"].as_f64().is_some_and(|load| load >= 0.0),
                "{health}"
            );
        }
        watched.running.signal("INT");
        let (status, states, seen) = watched.end();
        assert_eq!(
            (status, &states[..]),
            (0, &LIFE.map(String::from)[..]),
            "{place:?}: {seen:#?}"
        );
        assert!(of_kind(&seen, "refused").is_empty(), "{seen:#?}");
    }
}

/// A retained message tells a subscriber that it has subscribed.
const READY: &str = "test/ready";

/// A subscriber that is there.
struct Subscriber {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Subscriber {
    /// Takes `count` messages, for at most [`SOON`].
    fn start(port: u16, topic: &str, count: usize) -> Self {
        publish(port, READY, "{}", &["-r"]);
        let mut line = Command::new("mosquitto_sub");
        line.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        line.args(["-q", "1", "-v", "-t", topic]);
        line.args(if topic == "#" { &[][..] } else { &["-t", READY] });
        line.args(["-C", &(count + 1).to_string(), "-W", &SOON.as_secs().to_string()]);
        line.stdout(Stdio::piped());
        let mut child = line
            .spawn()
            .expect("mosquitto_sub starts; next: apt-get install mosquitto-clients");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let first = lines.next().expect("a message").expect("text");
        assert_eq!(first, format!("{READY} {{}}"));
        Self { child, lines }
    }

    /// All messages, each `TOPIC TEXT`.
    fn messages(mut self) -> Vec<String> {
        let messages: Vec<String> = self.lines.by_ref().map_while(Result::ok).collect();
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "not all messages came: {messages:#?}");
        messages
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn publish(port: u16, topic: &str, body: &str, more: &[&str]) {
    let mut line = Command::new("mosquitto_pub");
    line.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    line.args(["-q", "2", "-t", topic, "-m", body]);
    line.args(more);
    let status = line
        .status()
        .expect("mosquitto_pub starts; next: apt-get install mosquitto-clients");
    assert!(status.success(), "{topic} was not acknowledged");
}

#[test]
fn mosquittos_clients_are_served_and_events_out_of_order_refused() {
    let _alone = alone();
    let mut watched = Watched::start(&["dev", "apps/site"], "CONTROL_PLANE=none,CARTRIDGE_NAME=site");
    watched.running.wait_for("ready http");
    let port = watched.broker;
    let others = Subscriber::start(port, "#", 7);
    let status = |event: &str| {
        let body = json!({
            "applicationId": "local-application", "serviceName": "site", "clusterId": "site.local.domain",
            "clusterInstanceId": "local-application-1", "memberId": "site-1", "instanceId": null,
            "networkPartitionId": "local-network-partition", "partitionId": "local-partition",
        });
        publish(port, &format!("instance/status/{event}"), &body.to_string(), &[]);
    };
    publish(port, "initializer/CompleteTopologyRequestEvent", "{}", &[]);
    status("InstanceActivatedEvent");
    status("InstanceStartedEvent");
    status("InstanceActivatedEvent");
    let messages = others.messages();
    let topics: Vec<&str> = messages.iter().filter_map(|line| line.split(' ').next()).collect();
    let expected = [
        "initializer/CompleteTopologyRequestEvent",
        "topology/CompleteTopologyEvent",
        "instance/status/InstanceActivatedEvent",
        "instance/status/InstanceStartedEvent",
        "topology/MemberStartedEvent",
        "instance/status/InstanceActivatedEvent",
        "topology/MemberActivatedEvent",
    ];
    assert_eq!(topics, expected);
    let topology: Value = serde_json::from_str(messages[1].split_once(' ').expect("a body").1).expect("JSON");
    let member = "/topology/serviceMap/site/clusterIdClusterMap/site.local.domain/memberMap/site-1";
    let stack = &topology.pointer(member).expect("the member")["memberStateManager"]["stateStack"];
    assert_eq!(stack, &json!(["Created", "Initialized"]));

    watched.wait_for("Active");
    let asked = Subscriber::start(port, "instance/notifier/#", 2);
    watched.type_line("artifact http://example.org/a.zip 7");
    watched.type_line("artefact");
    watched.running.wait_for("`help` lists them");
    watched.running.signal("INT");
    let told = asked.messages();
    assert!(
        told[0].starts_with("instance/notifier/ArtifactUpdatedEvent {"),
        "{told:?}"
    );
    assert!(told[0].contains("\"repoURL\":\"http://example.org/a.zip\"") && told[0].contains("\"tenantId\":\"7\""));
    assert_eq!(
        told[1],
        "instance/notifier/InstanceCleanupMemberEvent {\"memberId\":\"site-1\"}"
    );
    // The agent has no control plane and does not leave: the second Ctrl-C kills it.
    watched.running.signal("INT");
    let (_, states, seen) = watched.end();
    assert_eq!(states, LIFE[..4]);
    assert_eq!(of_kind(&seen, "refused")[0]["event"], "InstanceActivatedEvent");
}

#[test]
fn a_topology_of_ones_own_is_sent_with_the_member_in_it() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("topology.json");
    let neighbour = json!({"topology": {"serviceMap": {"db": {"clusterIdClusterMap": {"db.c": {"memberMap": {}}}}}}});
    fs::write(&file, neighbour.to_string()).expect("written");
    let file = file.to_string_lossy().into_owned();
    let mut watched = Watched::start(&["dev", "apps/site", "--topology", &file], "");
    watched.wait_for("Active");
    let topology = Subscriber::start(watched.broker, "topology/CompleteTopologyEvent", 1);
    watched.type_line("topology");
    let messages = topology.messages();
    assert!(
        messages[0].contains("\"db.c\"") && messages[0].contains("\"site-1\""),
        "{messages:?}"
    );
    watched.running.signal("INT");
    assert_eq!(watched.end().0, 0);
}

#[test]
fn what_makes_no_sense_about_a_platform_is_refused_with_a_hint() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("topology.json");
    fs::write(&file, "{\"serviceMap\": 7}").expect("written");
    let bad = file.to_string_lossy().into_owned();
    for command in ["run", "dev"] {
        for (words, status, hint) in [
            (&["--control-plane", "stratos"][..], 2, "neither local nor none"),
            (&["--topology", &bad], 2, "add --control-plane local"),
            (&["--json", "--control-plane", "none"], 2, "add --control-plane local"),
            (
                &["--control-plane", "local", "--topology", "nowhere.json"],
                1,
                "read the topology",
            ),
            (
                &["--control-plane", "local", "--topology", &bad],
                1,
                "no object `serviceMap`",
            ),
        ] {
            let began = Instant::now();
            let (given, _, errors) = cartridge(&[&[command, "apps/hello"], words].concat());
            assert!(
                given == status && errors.contains(hint),
                "{command} {words:?}: {given}: {errors}"
            );
            assert!(began.elapsed() < LIMIT);
        }
    }
}
