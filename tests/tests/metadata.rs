//! The payload and the instance's data from a metadata service, in a machine and a process alike, and what that service may do badly.

use anyhow::{Result, ensure};
use cartridge_tests::cloud::server::Server;
use cartridge_tests::cloud::{Cloud, EC2, EC2_ID, Fault, HOSTNAME, ID, Kind, OPENSTACK, SEED, ZONE, instance};
use cartridge_tests::image::image;
use cartridge_tests::process::Process;
use cartridge_tests::running::Running;
use cartridge_tests::target::Place;
use cartridge_tests::{guest, in_both, port};
use qemu::Machine;
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

const APP: &str = "tests/cartridges/instance";
/// Until the app has said all. A process may have to be compiled first, and other tests use the machine.
const LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A machine with a power button.
const Q35: Place = Place::Machine(Machine::Q35);

struct Member {
    running: Running,
    _payload: NamedTempFile,
}

impl Member {
    /// Starts it with a payload that names the service at `port` of the host.
    fn start(place: Place, service: &str, port: u16, more: &str) -> Result<Member> {
        let host = place.loopback();
        let payload = guest::payload(format!("METADATA={service},METADATA_ADDRESS={host}:{port}{more}").as_bytes());
        Member::with(place, payload)
    }

    fn with(place: Place, payload: NamedTempFile) -> Result<Member> {
        let running = match place {
            Place::Process => Running::Process(Process::start(APP, Some(payload.path()))?),
            Place::Machine(machine) => {
                let mut launch = guest::launch(&image(APP));
                launch.machine = machine;
                launch.payload = Some(payload.path().into());
                Running::Guest(launch.start().map_err(|error| anyhow::anyhow!("{error}"))?)
            }
        };
        Ok(Member {
            running,
            _payload: payload,
        })
    }

    fn wait_for(&self, text: &str) -> Result<String> {
        self.running.wait_for(text, LIMIT)
    }

    /// Everything it has said, once the app has said all and the member is Active.
    fn all(&self) -> Result<String> {
        self.wait_for("that is all")?;
        self.wait_for("\"state\":\"Active\"")?;
        Ok(self.console())
    }

    fn console(&self) -> String {
        self.running.console().join("\n")
    }

    fn stop(&mut self) -> Result<i32> {
        self.running.ask_to_stop()?;
        self.running.wait(STOP_LIMIT)
    }
}

in_both! {
    openstack: openstack_gives_payload_and_instance_in_a_process, openstack_gives_payload_and_instance_in_a_machine = Q35;
    tokens: ec2_is_asked_with_a_token_in_a_process, ec2_is_asked_with_a_token_in_a_machine = Q35;
    version_1: without_a_route_to_a_token_version_1_is_used_in_a_process,
        without_a_route_to_a_token_version_1_is_used_in_a_machine = Q35;
    forbidden: what_is_forbidden_is_not_tried_by_version_1_in_a_process,
        what_is_forbidden_is_not_tried_by_version_1_in_a_machine = Q35;
    no_user_data: no_user_data_is_an_empty_payload_in_a_process, no_user_data_is_an_empty_payload_in_a_machine = Q35;
    json: user_data_may_be_json_in_a_process, user_data_may_be_json_in_a_machine = Q35;
    other_forms: user_data_for_other_guests_is_one_clear_line_in_a_process,
        user_data_for_other_guests_is_one_clear_line_in_a_machine = Q35;
    errors: a_service_with_errors_is_asked_again_until_the_deadline_in_a_process,
        a_service_with_errors_is_asked_again_until_the_deadline_in_a_machine = Q35;
    recovers: a_service_that_recovers_gives_the_payload_in_a_process,
        a_service_that_recovers_gives_the_payload_in_a_machine = Q35;
    late: a_service_that_comes_late_gives_the_payload_in_a_process,
        a_service_that_comes_late_gives_the_payload_in_a_machine = Q35;
    faults: no_bad_answer_holds_up_the_app_in_a_process, no_bad_answer_holds_up_the_app_in_a_machine = Q35;
    silent: a_silent_service_is_given_up_in_a_process, a_silent_service_is_given_up_in_a_machine = Q35;
    no_broker: with_the_broker_down_metadata_is_not_asked_again_in_a_process,
        with_the_broker_down_metadata_is_not_asked_again_in_a_machine = Q35;
    stops: a_stop_while_the_payload_is_waited_for_is_obeyed_in_a_process,
        a_stop_while_the_payload_is_waited_for_is_obeyed_in_a_machine = Q35;
}

fn ensure_says(console: &str, texts: &[&str]) -> Result<()> {
    for text in texts {
        ensure!(console.contains(text), "no {text:?} in\n{console}");
    }
    Ok(())
}

/// Nothing was asked that no client may ask, and nothing after the payload was known: the service is not polled.
fn ensure_asked(server: &Server, requests: &[&str]) -> Result<()> {
    let cloud = server.cloud();
    ensure!(cloud.wrong.is_empty(), "{:?}", cloud.wrong);
    ensure!(cloud.requests() == requests, "{:?}", cloud.requests());
    Ok(())
}

fn openstack(place: Place) -> Result<()> {
    let server = Server::start(Cloud::new(Kind::OpenStack, "A=x=y==,TOKEN=abc==,INSTANCE_ID=null"));
    // What the pointer says holds where the payload says nothing.
    let mut member = Member::start(place, "openstack", server.port, ",A=other,B=here")?;
    let console = member.all()?;
    ensure_says(
        &console,
        &[
            "parameter A is x=y==",
            "parameter TOKEN is abc==",
            "parameter B is here",
            &instance(ID),
        ],
    )?;
    ensure_says(&console, &[&format!("parameter INSTANCE_ID is {ID}")])?;
    ensure!(
        !console.contains(&SEED[..16]) && !console.contains("\"level\":\"error\""),
        "{console}"
    );
    ensure!(member.stop()? == 0, "{}", member.console());
    ensure_asked(&server, &OPENSTACK)
}

fn tokens(place: Place) -> Result<()> {
    let server = Server::start(Cloud::new(Kind::Ec2, "A=1,INSTANCE_ID=own"));
    let mut member = Member::start(place, "ec2", server.port, "")?;
    let console = member.all()?;
    ensure_says(&console, &["parameter A is 1", &instance("own")])?;
    ensure!(!console.contains("AQAEA"), "the token is a secret\n{console}");
    ensure!(member.stop()? == 0, "{}", member.console());
    ensure_asked(&server, &EC2)
}

fn version_1(place: Place) -> Result<()> {
    for kind in [Kind::OldEc2, Kind::OpenStack] {
        let server = Server::start(Cloud::new(kind, "A=1"));
        let member = Member::start(place, "ec2", server.port, "")?;
        ensure_says(&member.all()?, &["parameter A is 1", &instance(EC2_ID)])?;
        ensure_asked(&server, &EC2)?;
    }
    Ok(())
}

fn forbidden(place: Place) -> Result<()> {
    let server = Server::start(Cloud::new(Kind::Forbidden, "A=1"));
    let member = Member::start(place, "ec2", server.port, "")?;
    let console = member.all()?;
    ensure_says(
        &console,
        &[
            "\"level\":\"error\"",
            "no payload: status 403 (1 in all); going on with the defaults",
        ],
    )?;
    ensure!(!console.contains("parameter A"), "{console}");
    ensure_asked(&server, &["PUT /latest/api/token"])
}

fn no_user_data(place: Place) -> Result<()> {
    for kind in [Kind::OpenStack, Kind::Ec2] {
        let mut cloud = Cloud::new(kind, "");
        cloud.user_data = None;
        let server = Server::start(cloud);
        let service = if kind == Kind::Ec2 { "ec2" } else { "openstack" };
        let member = Member::start(place, service, server.port, "")?;
        let console = member.all()?;
        ensure_says(&console, &["the payload has 0 bytes"])?;
        ensure!(!console.contains("\"level\":\"error\""), "{console}");
        ensure_asked(&server, if kind == Kind::Ec2 { &EC2 } else { &OPENSTACK })?;
    }
    Ok(())
}

fn json(place: Place) -> Result<()> {
    let text = r#"{"A": "x,y=z==", "B": [8080, 9443], "C": {"d": [1]}, "E": true, "LINES": "one\ntwo"}"#;
    let server = Server::start(Cloud::new(Kind::OpenStack, text));
    let member = Member::start(place, "openstack", server.port, "")?;
    let expected = [
        "parameter A is x,y=z==",
        "parameter B is 8080|9443",
        r#"parameter C is {\"d\": [1]}"#,
        "parameter E is true",
        "parameter LINES is one\\ntwo",
    ];
    ensure_says(&member.all()?, &expected)?;
    // A boot module, or the file of `dev`, is the same.
    let member = Member::with(place, guest::payload(text.as_bytes()))?;
    ensure_says(&member.all()?, &expected)
}

fn other_forms(place: Place) -> Result<()> {
    for (bytes, line) in [
        (
            &b"\x1f\x8b\x08\0\0\0\0\0"[..],
            "payload: gzip data: nothing of it is used",
        ),
        (
            b"#!/bin/sh\necho A=1\n",
            "payload: for cloud-init: nothing of it is used",
        ),
        (b"A=1,\0\x01\x02", "payload: binary data: nothing of it is used"),
        (
            b"{\"A\": 1",
            "payload: no JSON object from byte 7 on: nothing of it is used",
        ),
    ] {
        let mut cloud = Cloud::new(Kind::OpenStack, "");
        cloud.user_data = Some(bytes.to_vec());
        let server = Server::start(cloud);
        let member = Member::start(place, "openstack", server.port, "")?;
        let console = member.all()?;
        ensure_says(&console, &[line])?;
        ensure!(console.matches("\"level\":\"error\"").count() == 1, "{console}");
        ensure!(!console.contains("parameter A"), "{console}");
    }
    Ok(())
}

fn errors(place: Place) -> Result<()> {
    let server = Server::start(Cloud::new(Kind::OpenStack, "A=1").with("user_data", Fault::Status(500)));
    let member = Member::start(place, "openstack", server.port, ",METADATA_SECONDS=4")?;
    let console = member.all()?;
    ensure_says(
        &console,
        &["status 500 for /openstack/latest/user_data", "no payload: status 500 ("],
    )?;
    ensure_says(&console, &["going on with the defaults"])?;
    ensure!(
        console.matches("\"level\":\"warn\"").count() == 1,
        "one line for all tries:\n{console}"
    );
    let asked = server.cloud().asked.len();
    // After 0.5, 1, 2 seconds and at the deadline, each pause at most a quarter shorter.
    ensure!((5..=8).contains(&asked), "{asked} requests");
    Ok(())
}

fn recovers(place: Place) -> Result<()> {
    let mut cloud = Cloud::new(Kind::Ec2, "A=1");
    cloud.fault = Some(("user-data", Fault::Status(503), 2));
    let server = Server::start(cloud);
    let member = Member::start(place, "ec2", server.port, "")?;
    ensure_says(
        &member.all()?,
        &["status 503 for /latest/user-data", "parameter A is 1"],
    )?;
    let expected = [&EC2[..2], &EC2[1..2], &EC2[1..]].concat();
    ensure_asked(&server, &expected)
}

fn late(place: Place) -> Result<()> {
    let port = port::free()?;
    let member = Member::start(place, "openstack", port, "")?;
    member.wait_for("\"level\":\"warn\"")?;
    let server = Server::on(port, Cloud::new(Kind::OpenStack, "A=1"));
    ensure_says(&member.all()?, &["parameter A is 1", &instance(ID)])?;
    ensure_asked(&server, &OPENSTACK)
}

fn faults(place: Place) -> Result<()> {
    for (fault, text) in [
        (Fault::Huge, "the answer is too large"),
        (Fault::RedirectLoop, "redirected too often"),
        (Fault::RedirectAway, "redirected to another host"),
        (Fault::Garbage, "the answer is not HTTP"),
        (Fault::Status(404), "status 404"),
    ] {
        let part = if fault == Fault::Status(404) {
            "meta_data"
        } else {
            "user_data"
        };
        let server = Server::start(Cloud::new(Kind::OpenStack, "A=1").with(part, fault));
        let member = Member::start(place, "openstack", server.port, "")?;
        let expected = format!("no payload: {text} (1 in all); going on with the defaults");
        ensure_says(&member.all()?, &[&expected])?;
    }
    let server = Server::start(Cloud::new(Kind::OpenStack, "A=1").with("user_data", Fault::Truncated));
    let member = Member::start(place, "openstack", server.port, ",METADATA_SECONDS=2")?;
    let console = member.all()?;
    ensure_says(&console, &["no payload: the answer was cut off ("])?;
    ensure!(!console.contains("parameter A"), "{console}");
    // What a member can do without is done without.
    let server = Server::start(Cloud::new(Kind::Ec2, "A=1").with("public-keys", Fault::Status(500)));
    let member = Member::start(place, "ec2", server.port, "")?;
    ensure_says(
        &member.all()?,
        &[
            "parameter A is 1",
            &format!("instance {EC2_ID} host {HOSTNAME} zone {ZONE} keys \""),
        ],
    )
}

fn silent(place: Place) -> Result<()> {
    let server = Server::start(Cloud::new(Kind::OpenStack, "A=1").with("meta_data", Fault::Silent));
    let member = Member::start(place, "openstack", server.port, ",METADATA_SECONDS=2")?;
    ensure_says(&member.all()?, &["no payload: no whole answer in time (1 in all)"])
}

fn stops(place: Place) -> Result<()> {
    let server = Server::start(Cloud::new(Kind::OpenStack, "A=1").with("meta_data", Fault::Silent));
    let mut member = Member::start(place, "openstack", server.port, "")?;
    member.wait_for("waiting for the payload, for at most 120 s")?;
    let begun = Instant::now();
    ensure!(member.stop()? == 0, "{}", member.console());
    ensure!(begun.elapsed() < Duration::from_secs(8), "after {:?}", begun.elapsed());
    ensure_says(&member.console(), &["stop asked for by", "\"state\":\"Terminated\""])
}

fn no_broker(place: Place) -> Result<()> {
    let (port, host) = (port::free()?, place.loopback());
    let user_data = format!(
        "MB_IP={host},MB_PORT={port},APPLICATION_ID=a,SERVICE_NAME=s,CLUSTER_ID=c,CLUSTER_INSTANCE_ID=ci,MEMBER_ID=m,\
         NETWORK_PARTITION_ID=n,PARTITION_ID=p,INSTANCE_ID=null"
    );
    let server = Server::start(Cloud::new(Kind::OpenStack, &user_data));
    let mut member = Member::start(place, "openstack", server.port, "")?;
    member.wait_for("next attempt in")?;
    // Several attempts fit into this time.
    let quiet = Duration::from_secs(5);
    let end = Instant::now() + LIMIT;
    while server.cloud().quiet_for() < quiet {
        ensure!(Instant::now() < end, "it goes on asking");
        std::thread::sleep(Duration::from_millis(50));
    }
    ensure!(member.stop()? == 0, "{}", member.console());
    ensure_asked(&server, &OPENSTACK)
}
