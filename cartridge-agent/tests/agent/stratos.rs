//! A member under Apache Stratos, at a real mosquitto; the platform at the other end of it is the test.

use crate::support::{DEADLINE, Member, free_port};
use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A broker of a test's own.
struct Mosquitto {
    port: u16,
    child: Child,
    folder: PathBuf,
}

impl Mosquitto {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("cartridge-agent-stratos-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (port, file) = (free_port(), folder.join("mosquitto.conf"));
        let configuration = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest file {}\nlog_type all\nuser root\n",
            folder.join("log").display()
        );
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new("mosquitto");
        // Where Debian puts it is not in everyone's path.
        command.env(
            "PATH",
            format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()),
        );
        let child = command
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.expect("mosquitto runs; next: apt-get install mosquitto");
        drop(crate::support::connect(port));
        Mosquitto { port, child, folder }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The platform's end: all that is published, in order.
struct Platform {
    client: Client,
    messages: Receiver<(String, String)>,
}

impl Platform {
    fn connect(port: u16) -> Self {
        let mut options = MqttOptions::new("platform", "127.0.0.1", port);
        options.set_max_packet_size(1 << 24, 1 << 24);
        let (client, mut connection) = Client::new(options, 16);
        client.subscribe("#", QoS::ExactlyOnce).unwrap();
        let (sender, messages) = channel();
        let (subscribed, is_subscribed) = channel();
        std::thread::spawn(move || {
            // It ends with the broker.
            for event in connection.iter().map_while(Result::ok) {
                match event {
                    Event::Incoming(Packet::SubAck(_)) => subscribed.send(()).unwrap(),
                    Event::Incoming(Packet::Publish(message)) => {
                        let text = String::from_utf8_lossy(&message.payload).into_owned();
                        if sender.send((message.topic, text)).is_err() {
                            return;
                        }
                    }
                    _ => {}
                }
            }
        });
        is_subscribed.recv_timeout(DEADLINE).unwrap();
        Platform { client, messages }
    }

    fn publish(&self, topic: &str, document: &str) {
        self.client.publish(topic, QoS::AtLeastOnce, false, document).unwrap();
    }

    /// The next that the member publishes; what we do ourselves comes back, too.
    fn next(&self) -> (String, String) {
        loop {
            let (topic, document) = self.messages.recv_timeout(DEADLINE).expect("a message");
            if topic.starts_with("instance/status/") || topic.starts_with("initializer/") {
                return (topic, document);
            }
        }
    }
}

fn topology(members: &str) -> String {
    format!(
        r#"{{"topology":{{"serviceMap":{{"php":{{"serviceName":"php","clusterIdClusterMap":{{"php.c":{{"clusterId":"php.c","memberMap":{{{members}}}}}}}}}}}}}}}"#
    )
}

fn member(name: &str, state: &str) -> String {
    format!(
        r#""{name}":{{"memberId":"{name}","defaultPrivateIP":"10.0.0.7","memberStateManager":{{"stateStack":["Created","{state}"]}}}}"#
    )
}

const STARTED: &str = r#"{"applicationId":"app","clusterId":"php.c","clusterInstanceId":"ci","instanceId":null,"memberId":"php.c.1","networkPartitionId":"np","partitionId":"p","serviceName":"php"}"#;
const OTHERS: &str = r#"{"clusterId":"php.c","clusterInstanceId":"ci","instanceId":null,"memberId":"php.c.1","networkPartitionId":"np","partitionId":"p","serviceName":"php"}"#;

#[test]
fn a_member_lives_a_whole_life_under_stratos() {
    let broker = Mosquitto::start();
    let platform = Platform::connect(broker.port);
    let app = free_port();
    let payload = format!(
        "APPLICATION_ID=app,SERVICE_NAME=php,CLUSTER_ID=php.c,CLUSTER_INSTANCE_ID=ci,MEMBER_ID=php.c.1,INSTANCE_ID=null,\
         NETWORK_PARTITION_ID=np,PARTITION_ID=p,MB_IP=127.0.0.1,MB_PORT={},PORTS={app},LISTEN={app},THEN=events",
        broker.port
    );
    let mut process = Member::start(&payload, |_| {});
    assert_eq!(
        platform.next(),
        ("initializer/CompleteTopologyRequestEvent".into(), "{}".into())
    );
    assert!(process.is_quiet_about("Initialized", Duration::from_millis(100)));
    let list = [member("php.c.1", "Initialized"), member("php.c.2", "Active")].join(",");
    platform.publish("topology/CompleteTopologyEvent", &topology(&list));
    let status = |name: &str| format!("instance/status/Instance{name}Event");
    assert_eq!(
        platform.next(),
        ("initializer/CompleteTenantRequestEvent".into(), "{}".into())
    );
    assert_eq!(platform.next(), (status("Started"), STARTED.into()));
    assert_eq!(platform.next(), (status("Activated"), OTHERS.into()));
    let (_, line) = process.wait_for("php.c.2");
    let event = line["msg"].as_str().unwrap();
    assert!(
        event.starts_with("event Member(Member { service: \"php\", cluster: \"php.c\", member: \"php.c.2\", state: Active, private_address: Some(\"10.0.0.7\")"),
        "{event}"
    );
    platform.publish(
        "topology/CompleteTopologyEvent",
        &topology(&member("php.c.1", "Active")),
    );
    process.wait_for("state: Terminated");
    platform.publish(
        "instance/notifier/InstanceCleanupMemberEvent",
        r#"{"memberId":"php.c.1"}"#,
    );
    assert_eq!(platform.next(), (status("MaintenanceMode"), OTHERS.into()));
    assert_eq!(platform.next(), (status("ReadyToShutdown"), OTHERS.into()));
    assert_eq!(process.wait().code(), Some(0));
    assert!(
        process.log.iter().any(|line| line.contains("event ShutdownRequested(")),
        "{:#?}",
        process.log
    );
    let log = std::fs::read_to_string(broker.folder.join("log")).unwrap();
    let last = log
        .lines()
        .rfind(|line| line.contains("as php.c.1 ("))
        .expect("a connection");
    assert!(last.contains(" c1, "), "the broker keeps the session: {last}");
}
