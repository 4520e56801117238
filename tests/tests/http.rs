//! HTTP clients of every kind against hello and site: in virtual machines, and as Linux processes for the control.

use anyhow::{Context, Result, ensure};
use cartridge_tests::clients::bystander::Bystander;
use cartridge_tests::clients::{CASES, Case, crowds, site, slow};
use cartridge_tests::target::{App, Place, Target};
use qemu::Machine;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long memory and threads may take to be where they were: QEMU's host side ends connections late.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// Memory that may be missing then. The heaps keep pages for the next burst; these are their unevenness.
const MEMORY_SLACK: f64 = 256.0 * 1024.0;
const LOOK: Duration = Duration::from_millis(1000);

/// One target at a time: they would spoil each other's times on a machine with few processors.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn hello_stands_every_kind_of_client_as_a_process() {
    stands(App::Hello, Place::Process, 3, &[CASES]);
}

#[test]
fn hello_stands_every_kind_of_client_on_microvm() {
    stands(App::Hello, Place::Machine(Machine::Microvm), 30, &[CASES]);
}

#[test]
fn hello_stands_every_kind_of_client_on_q35() {
    stands(App::Hello, Place::Machine(Machine::Q35), 30, &[CASES]);
}

#[test]
fn site_stands_every_kind_of_client_as_a_process() {
    stands(App::Site, Place::Process, 3, &[site::CASES, CASES]);
}

#[test]
fn site_stands_every_kind_of_client_on_microvm() {
    stands(App::Site, Place::Machine(Machine::Microvm), 5, &[site::CASES, CASES]);
}

#[test]
fn site_stands_every_kind_of_client_on_q35() {
    stands(App::Site, Place::Machine(Machine::Q35), 5, &[site::CASES, CASES]);
}

#[test]
fn large_answers_take_bounded_memory_as_a_process() {
    stands(App::LargeSite, Place::Process, 3, &[slow::CASES]);
}

#[test]
fn large_answers_take_bounded_memory_on_microvm() {
    stands(App::LargeSite, Place::Machine(Machine::Microvm), 5, &[slow::CASES]);
}

#[test]
fn large_answers_take_bounded_memory_on_q35() {
    stands(App::LargeSite, Place::Machine(Machine::Q35), 5, &[slow::CASES]);
}

/// Runs all cases against one target, tells how each went, and fails at the end if one failed.
fn stands(app: App, place: Place, load_seconds: u64, cases: &[&[Case]]) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut target = Target::start(app, place, "").unwrap_or_else(|error| panic!("{app:?} {place:?}: {error:#}"));
    target.service.load_seconds = load_seconds;
    let mut failures = Vec::new();
    let before = warm_up(&target, app);
    for case in cases.iter().copied().flatten() {
        let begun = Instant::now();
        let result = beside_a_bystander(&target, case);
        let took = begun.elapsed();
        match result {
            Ok(said) => println!("{}: {} ({took:.1?}): {said}", target.name, case.name),
            Err(error) => {
                println!("{}: {} ({took:.1?}) FAILED: {error:#}", target.name, case.name);
                failures.push(format!("{}: {error:#}", case.name));
            }
        }
        if target.ended() {
            failures.push("it ended".into());
            break;
        }
    }
    match before.and_then(|before| settles(&target, &before)) {
        Ok(said) => println!("{}: {said}", target.name),
        Err(error) => failures.push(format!("memory: {error:#}")),
    }
    assert!(
        failures.is_empty(),
        "{}:\n{}\n{}",
        target.name,
        failures.join("\n"),
        target.report()
    );
}

fn beside_a_bystander(target: &Target, case: &Case) -> Result<String> {
    let bystander = Bystander::start(&target.service)?;
    let said = (case.run)(&target.service);
    let seen = bystander.finish();
    Ok(format!("{}; {}", said?, seen?))
}

/// What a virtual machine uses; a process on Linux does not tell.
struct Usage {
    free: f64,
    threads: f64,
    connections: f64,
    /// Frames that the guest's driver had no room for, since it started.
    dropped: f64,
}

impl Usage {
    fn of(target: &Target) -> Result<Option<Usage>> {
        let figures = target.figures()?;
        let figure = |name: &str| {
            figures
                .get(name)
                .copied()
                .with_context(|| format!("no {name} in {figures:?}"))
        };
        if !figures.contains_key("cartridge_memory_free_bytes") {
            ensure!(
                target.name.contains("Process"),
                "no memory figures from a virtual machine: {figures:?}"
            );
            return Ok(None);
        }
        Ok(Some(Usage {
            free: figure("cartridge_memory_free_bytes")?,
            threads: figure("cartridge_threads")?,
            connections: figure("cartridge_connections")?,
            dropped: figure("cartridge_network_dropped_frames_total")?,
        }))
    }
}

/// Lets the heaps grow to what the cases need, and takes the figures when all is quiet again.
fn warm_up(target: &Target, app: App) -> Result<Option<Usage>> {
    let started = Usage::of(target)?;
    // A port is open before the app has started all its threads; when it has answered, they are there.
    target.service.serves().context("warming up")?;
    let idle = started
        .map(|started| quiet(target, started.connections, f64::INFINITY))
        .transpose()?;
    let heaviest = if app == App::LargeSite {
        slow::stalled
    } else {
        crowds::held
    };
    heaviest(&target.service).context("warming up")?;
    // What is lost here would else be what all is compared with afterwards.
    idle.map(|idle| quiet(target, idle.connections, idle.threads))
        .transpose()
        .context("warming up")
}

/// What is used when there are no more than so many connections and threads.
fn quiet(target: &Target, connections: f64, threads: f64) -> Result<Usage> {
    let end = Instant::now() + SETTLE_LIMIT;
    loop {
        let now = Usage::of(target)?.context("figures")?;
        if now.connections <= connections && now.threads <= threads {
            return Ok(now);
        }
        ensure!(
            Instant::now() < end,
            "{} threads (before: {threads}) and {} connections (before: {connections}) are left",
            now.threads,
            now.connections
        );
        thread::sleep(LOOK);
    }
}

/// Waits until threads, connections and memory are where they were.
fn settles(target: &Target, before: &Option<Usage>) -> Result<String> {
    let Some(before) = before else {
        return Ok("no memory figures on Linux".into());
    };
    let begun = Instant::now();
    loop {
        let now = Usage::of(target)?.context("figures")?;
        ensure!(now.dropped == 0.0, "the guest dropped {} frames", now.dropped);
        let missing = before.free - now.free;
        if now.threads <= before.threads && now.connections <= before.connections && missing <= MEMORY_SLACK {
            return Ok(format!(
                "{} threads, {} connections, {:.0} KiB free ({:+.0} KiB) {:.1?} after the last case",
                now.threads,
                now.connections,
                now.free / 1024.0,
                -missing / 1024.0,
                begun.elapsed()
            ));
        }
        ensure!(
            begun.elapsed() < SETTLE_LIMIT,
            "{} threads (before: {}), {} connections (before: {}), {:.0} KiB free (before: {:.0})",
            now.threads,
            before.threads,
            now.connections,
            before.connections,
            now.free / 1024.0,
            before.free / 1024.0
        );
        thread::sleep(LOOK);
    }
}
