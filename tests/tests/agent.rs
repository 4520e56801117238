//! The agent's promises to those who operate a cartridge, the same in a virtual machine and in a Linux process.

use anyhow::{Context, Result, ensure};
use cartridge_tests::clients::slow;
use cartridge_tests::target::{App, Place, STATES, TOKEN, Target, manage};
use cartridge_tests::{in_both, prometheus};
use qemu::Machine;
use std::time::{Duration, Instant};

/// An ordered stop with nothing in flight.
const STOP_LIMIT: Duration = Duration::from_secs(20);
const Q35: Place = Place::Machine(Machine::Q35);

in_both! {
    pages: every_page_answers_in_a_process, every_page_answers_in_a_machine;
    strangers: nobody_without_the_token_learns_anything_in_a_process,
        nobody_without_the_token_learns_anything_in_a_machine;
    secrets: no_page_and_no_log_line_shows_a_secret_of_a_process,
        no_page_and_no_log_line_shows_a_secret_of_a_machine;
    without_a_token: there_is_no_endpoint_without_a_token_in_a_process,
        there_is_no_endpoint_without_a_token_in_a_machine;
    asked_by_post: states_come_in_order_until_a_stop_is_posted_to_a_process,
        states_come_in_order_until_a_stop_is_posted_to_a_machine;
    asked_by_the_platform: sigterm_stops_a_process_in_order, the_power_button_stops_a_machine_in_order = Q35;
    drained: answers_in_flight_are_finished_by_a_process, answers_in_flight_are_finished_by_a_machine;
    cut_off: a_drain_ends_at_its_deadline_in_a_process, a_drain_ends_at_its_deadline_in_a_machine;
}

/// Starts the app, runs `check`, and adds the command and the console's end to an error.
fn with(app: App, place: Place, parameters: &str, check: impl FnOnce(&mut Target) -> Result<()>) -> Result<()> {
    let mut target = Target::start(app, place, parameters)?;
    check(&mut target).map_err(|error| error.context(target.report()))
}

fn pages(place: Place) -> Result<()> {
    with(App::Site, place, "", |target| {
        let health = target.manage("GET", "/healthz")?;
        ensure!(health.status == 200, "{} for /healthz", health.status);
        ensure!(
            json(&health.body)?["state"] == "Active",
            "{:?}",
            String::from_utf8_lossy(&health.body)
        );
        let ready = target.manage("GET", "/readyz")?;
        ensure!(ready.status == 200, "{} for /readyz", ready.status);

        let metrics = target.manage("GET", "/metrics")?;
        ensure!(metrics.status == 200, "{} for /metrics", metrics.status);
        ensure!(
            metrics.need("content-type")?.starts_with("text/plain; version=0.0.4"),
            "{:?}",
            metrics.fields
        );
        let samples = prometheus::check(std::str::from_utf8(&metrics.body)?)?;
        ensure!(samples > 3, "only {samples} samples");
        ensure!(
            place == Place::Process || target.figures()?.contains_key("cartridge_memory_free_bytes"),
            "no memory"
        );

        let logs = target.manage("GET", "/logs")?;
        ensure!(logs.status == 200, "{} for /logs", logs.status);
        let lines = String::from_utf8(logs.body)?;
        ensure!(
            states(lines.lines()) == STATES[..4],
            "the states in /logs: {:?}",
            states(lines.lines())
        );
        ensure!(target.manage("GET", "/elsewhere")?.status == 404, "an unknown page");
        ensure!(target.manage("GET", "/stop")?.status == 405, "GET /stop");
        ensure!(target.manage("DELETE", "/logs")?.status == 405, "DELETE /logs");
        target.service.serves()
    })
}

fn strangers(place: Place) -> Result<()> {
    with(App::Hello, place, "", |target| {
        let short = &TOKEN[..TOKEN.len() - 1];
        for token in [None, Some("wrong-token-wrong-token"), Some(short), Some("")] {
            for (method, path) in [
                ("GET", "/healthz"),
                ("GET", "/metrics"),
                ("GET", "/logs"),
                ("POST", "/stop"),
                ("GET", "/none"),
            ] {
                let answer = manage(target.management, method, path, token)?;
                ensure!(
                    answer.status == 401,
                    "{} for {method} {path} with {token:?}",
                    answer.status
                );
                ensure!(
                    answer.need("www-authenticate")?.starts_with("Bearer"),
                    "{:?}",
                    answer.fields
                );
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                ensure!(!body.contains(TOKEN) && !body.contains("Active"), "{body}");
            }
        }
        ensure!(!target.console().join("\n").contains(TOKEN), "the token is in the log");
        ensure!(
            target.manage("GET", "/healthz")?.status == 200,
            "the token works no more"
        );
        Ok(())
    })
}

/// Values whose keys say that they are secret, at the most talkative level and with something to complain about beside them.
fn secrets(place: Place) -> Result<()> {
    const SECRETS: [&str; 3] = ["hunter2-of-the-db", "hunter2-of-the-api", "hunter2-of-mqtt"];
    let [password, key, credential] = SECRETS;
    let parameters =
        format!(",LOG_LEVEL=trace,DB_PASSWORD={password},API_KEY={key},MQTT_CREDENTIALS={credential},MTU=1");
    with(App::Site, place, &parameters, |target| {
        let secrets = [&SECRETS[..], &[TOKEN]].concat();
        let pages = ["/metrics", "/logs", "/healthz", "/readyz", "/elsewhere"];
        // Twice: the first requests leave lines in the log that the second ones would show.
        for page in pages.iter().chain(&pages) {
            let answer = target.manage("GET", page)?;
            let text = format!("{:?} {}", answer.fields, String::from_utf8_lossy(&answer.body));
            let shown = secrets.iter().find(|secret| text.contains(**secret));
            ensure!(shown.is_none(), "{page} shows {shown:?}");
        }
        target.ask_by_post()?;
        ends_in_order(target, STOP_LIMIT)?;
        let console = target.console().join("\n");
        ensure!(console.contains("MTU=1 is not"), "the bad value is not in the log");
        let shown = secrets.iter().find(|secret| console.contains(**secret));
        ensure!(shown.is_none(), "the log shows {shown:?}");
        Ok(())
    })
}

/// A port alone does not open the endpoint; the log says what is missing.
fn without_a_token(place: Place) -> Result<()> {
    with(App::Hello, place, ",MANAGEMENT_TOKEN=", |target| {
        let answer = manage(target.management, "GET", "/healthz", None);
        ensure!(answer.is_err(), "the endpoint answers without a token: {answer:?}");
        target.wait_for("MANAGEMENT_TOKEN", STOP_LIMIT)?;
        target.service.serves()
    })
}

fn asked_by_post(place: Place) -> Result<()> {
    with(App::Hello, place, "", |target| {
        ensure!(
            states_of(target) == STATES[..4],
            "after the start: {:?}",
            states_of(target)
        );
        target.ask_by_post()?;
        ends_in_order(target, STOP_LIMIT)
    })
}

fn asked_by_the_platform(place: Place) -> Result<()> {
    with(App::Site, place, "", |target| {
        target.ask_to_stop()?;
        ends_in_order(target, STOP_LIMIT)
    })
}

/// A slow reader gets its whole answer after the stop was asked for, though new clients are turned away.
fn drained(place: Place) -> Result<()> {
    with(App::LargeSite, place, ",DRAIN_SECONDS=60", |target| {
        let mut reader = slow::Reader::start(&target.service)?;
        target.ask_by_post()?;
        target.wait_for("\"In_Maintenance\"", STOP_LIMIT)?;
        ensure!(
            target.manage("GET", "/readyz")?.status == 503,
            "ready in spite of the stop"
        );
        ensure!(
            target.manage("GET", "/healthz")?.status == 200,
            "not alive while it drains"
        );
        reader
            .read_all(Duration::from_millis(10))
            .context("the answer in flight")?;
        drop(reader);
        ends_in_order(target, STOP_LIMIT)
    })
}

/// A reader that never finishes does not keep the cartridge.
fn cut_off(place: Place) -> Result<()> {
    with(App::LargeSite, place, ",DRAIN_SECONDS=2", |target| {
        let _stalled = slow::Reader::start(&target.service)?;
        let begun = Instant::now();
        target.ask_by_post()?;
        ends_in_order(target, STOP_LIMIT)?;
        let took = begun.elapsed();
        ensure!(
            took >= Duration::from_millis(1900),
            "ended after {took:?}, before the deadline"
        );
        ensure!(took < Duration::from_secs(8), "ended only after {took:?}");
        Ok(())
    })
}

fn ends_in_order(target: &mut Target, limit: Duration) -> Result<()> {
    let status = target.wait(limit)?;
    ensure!(status == 0, "exit status {status}");
    ensure!(states_of(target) == STATES, "{:?}", states_of(target));
    Ok(())
}

fn states_of(target: &Target) -> Vec<String> {
    let console = target.console();
    states(console.iter().map(String::as_str))
}

/// The life-cycle states that the log names, in their order there.
fn states<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let records = lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let states = records.filter(|record| record["event"] == "lifecycle");
    states
        .filter_map(|record| Some(record["state"].as_str()?.to_owned()))
        .collect()
}

fn json(body: &[u8]) -> Result<serde_json::Value> {
    serde_json::from_slice(body).with_context(|| format!("no JSON: {:?}", String::from_utf8_lossy(body)))
}
