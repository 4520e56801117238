//! Content that is fetched after the boot, from a real server: the same in a virtual machine and in a Linux process.

use anyhow::{Context, Result, ensure};
use cartridge_tests::archives::{self, Archives, PASSWORD, USER};
use cartridge_tests::clients::client::Client;
use cartridge_tests::clients::site;
use cartridge_tests::generic::{MEMBER, STEP, World, get, update};
use cartridge_tests::in_both;
use cartridge_tests::stratos::golden::STARTED;
use cartridge_tests::stratos::server::State;
use cartridge_tests::target::{App, Place, Target};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

in_both! {
    at_boot: a_process_is_active_when_its_artifact_is_in_place, a_machine_is_active_when_its_artifact_is_in_place;
    told: a_process_waits_for_the_artifact_that_its_platform_names, a_machine_waits_for_the_artifact_that_its_platform_names;
    under_load: clients_of_a_process_see_an_update_at_once_and_whole, clients_of_a_machine_see_an_update_at_once_and_whole;
    newest: a_process_takes_the_newest_of_several_updates, a_machine_takes_the_newest_of_several_updates;
    refused: a_process_keeps_its_version_when_an_archive_is_bad, a_machine_keeps_its_version_when_an_archive_is_bad;
    room: versions_of_a_process_give_their_room_back, versions_of_a_machine_give_their_room_back;
    retried: a_process_tries_again_when_the_server_is_busy, a_machine_tries_again_when_the_server_is_busy;
}

/// Without a control plane, REPO_URL is fetched at the start; what is compiled in is never served.
fn at_boot(place: Place) -> Result<()> {
    let archives = Archives::start()?;
    let digest = archives.pack("v1.tgz", &[("index.html", b"one"), ("css/a.css", b"a")])?;
    let url = archives.url(place, "redirect/v1.tgz");
    let parameters =
        format!(",REPO_URL={url},REPO_USERNAME={USER},REPO_PASSWORD={PASSWORD},REPO_DIGEST=sha256:{digest}");
    let target = Target::start(App::Site, place, &parameters)?;
    let console = target.console();
    let at = |text: &str| console.iter().position(|line| line.contains(text));
    ensure!(
        at("is in place as version 1").is_some_and(|there| Some(there) < at("\"Active\"")),
        "{console:#?}"
    );
    ensure!(!console.join("\n").contains(PASSWORD), "the password is on the console");
    ensure!(get(&target, "/", "")?.body == b"one", "{}", target.report());
    ensure!(get(&target, "/css/a.css", "")?.body == b"a", "{}", target.report());
    ensure!(
        get(&target, "/guide/", "")?.status == 404,
        "what is compiled in is mixed in"
    );
    let users = [
        archives.wait_for("redirect/v1.tgz")?,
        archives.wait_for("private/v1.tgz")?,
    ];
    ensure!(users == [USER, USER], "{users:?}");
    Ok(())
}

/// With a control plane, REPO_URL says that there will be an artifact, and the event which; until then the member is Starting.
fn told(place: Place) -> Result<()> {
    let mut begun = World::with(
        place,
        |archives| {
            archives.pack("v1.zip", &[("index.html", b"one")])?;
            Ok(",REPO_URL=http://nobody.invalid/repository.git".into())
        },
        |archives, platform| {
            platform.wait_for(STARTED, 1, Duration::from_secs(120))?;
            update(platform, &archives.url(place, "held/v1.zip"), "-1234")?;
            ensure!(
                archives.wait_for("held/v1.zip")? == USER,
                "the credentials of the event"
            );
            // It has half of it, and is not Active.
            platform.settle()?;
            let seen = platform.seen();
            ensure!(
                !seen.iter().any(|message| message.topic.contains("Activated")),
                "{seen:?}"
            );
            archives.release()
        },
    )?;
    begun.ensure_serves("/", b"one")?;
    begun.platform.wait_state(MEMBER, State::Active, STEP)?;
    begun.platform.ensure_no_refusal()?;
    begun.ensure_no_secret()?;
    begun.target.ask_by_post()?;
    ensure!(begun.target.wait(STEP)? == 0, "its exit status");
    Ok(())
}

/// Without REPO_URL it is Active at once with what is compiled in; an update comes while clients ask all the time.
fn under_load(place: Place) -> Result<()> {
    let world = World::begin(place, "")?;
    world.ensure_serves("/", site::INDEX)?;
    let large: Vec<u8> = (0..1_000_000_u32).map(|n| (n.wrapping_mul(n) >> 9) as u8).collect();
    world
        .archives
        .pack("v1.tgz", &[("index.html", b"one"), ("large.bin", &large)])?;
    world
        .archives
        .pack("v2.tar", &[("index.html", b"two"), ("new.txt", b"new")])?;
    world.update("private/v1.tgz", "-1234")?;
    world.wait_for("is in place as version 1")?;
    world.ensure_serves("/", b"one")?;
    // One client has begun to read the old version's large file.
    let mut slow = Client::connect(world.target.service.address)?;
    slow.small_window()?;
    slow.send(b"GET /large.bin HTTP/1.1\r\nHost: test\r\n\r\n")?;
    let head = slow.head()?;
    ensure!(head.need("content-length")? == "1000000", "{head:?}");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (sender, begun) = channel();
        let clients: Vec<_> = (0..4)
            .map(|_| sender.clone())
            .map(|begun| scope.spawn(|| ask_all_the_time(&world.target, &stop, begun)))
            .collect();
        // Behind QEMU connections are made one after the other.
        let all_ask =
            (0..clients.len()).try_for_each(|_| begun.recv_timeout(STEP).context("not every client was answered"));
        let switched = all_ask
            .and_then(|()| world.update("chunked/v2.tar", "-1234"))
            .and_then(|()| world.wait_for("is in place as version 2"))
            .and_then(|_| world.ensure_serves("/new.txt", b"new"));
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            let counts = client.join().expect("a client does not panic")?;
            ensure!(counts[0] > 0 && counts[1] > 0, "answers of both versions: {counts:?}");
        }
        switched
    })?;
    let mut rest = vec![0; large.len()];
    let mut filled = 0;
    while filled < rest.len() {
        let count = slow.take(&mut rest[filled..])?;
        ensure!(count > 0, "the old version's file ended after {filled} bytes");
        filled += count;
    }
    ensure!(rest == large, "the old version's file came changed");
    ensure!(world.get("/large.bin")?.status == 404, "the old version is mixed in");
    world.ensure_no_secret()
}

/// Counts the answers of the first and the second version, and says when it has one; any other answer, and one of the first after the second, is an error.
fn ask_all_the_time(target: &Target, stop: &AtomicBool, begun: Sender<()>) -> Result<[u32; 2]> {
    let mut counts = [0; 2];
    let mut client = Client::connect(target.service.address)?;
    let end = Instant::now() + STEP * 3;
    while !stop.load(Ordering::Relaxed) || counts[1] == 0 {
        ensure!(Instant::now() < end, "no answer of the second version: {counts:?}");
        let answer = client.get("/", "")?;
        let version = [b"one", b"two"].iter().position(|body| answer.body == *body);
        let version = version.with_context(|| format!("{answer:?}"))?;
        ensure!(
            answer.status == 200 && (version == 1 || counts[1] == 0),
            "{answer:?} after {counts:?}"
        );
        counts[version] += 1;
        if counts == [1, 0] {
            begun.send(())?;
        }
    }
    Ok(counts)
}

/// An update that comes while another is being fetched takes its place.
fn newest(place: Place) -> Result<()> {
    let world = World::begin(place, "")?;
    for (name, content) in [("v1.tgz", "one"), ("v2.tgz", "two"), ("v3.tgz", "three")] {
        world.archives.pack(name, &[("index.html", content.as_bytes())])?;
    }
    world.update("held/v1.tgz", "-1234")?;
    world.archives.wait_for("held/v1.tgz")?;
    world.update("v2.tgz", "-1234")?;
    world.update("v3.tgz", "-1234")?;
    world.platform.settle()?;
    // What is being fetched ends with its next piece.
    world.archives.release()?;
    world.wait_for("v3.tgz is in place")?;
    world.ensure_serves("/", b"three")?;
    let console = world.target.console().join("\n");
    ensure!(!console.contains("v1.tgz is in place"), "{console}");
    // The same again is no new version.
    world.update("v3.tgz", "-1234")?;
    world.wait_for("v3.tgz is unchanged")?;
    Ok(())
}

/// Whatever is wrong with an archive, the version in use stays, and the log says why.
fn refused(place: Place) -> Result<()> {
    let world = World::begin(place, ",artifact.limit.mib=1,artifact.clone.retries=0")?;
    let good = world.archives.pack("v1.tgz", &[("index.html", b"one")])?;
    let url = world.archives.url(place, "v1.tgz");
    update(&world.platform, &format!("{url}#sha256={good}"), "-1234")?;
    world.wait_for("is in place as version 1")?;
    world.archives.pack("bomb.tgz", &[("index.html", &vec![0; 3 << 20])])?;
    world.archives.pack("bomb.zip", &[("index.html", &vec![0; 3 << 20])])?;
    world.archives.pack("v2.tgz", &[("index.html", b"two")])?;
    world
        .archives
        .put("page.tgz", b"<!DOCTYPE html><title>Sign in</title>")?;
    world.archives.put("slip.tar", &archives::slip())?;
    let wrong = format!("v2.tgz#sha256={good}");
    for (path, said) in [
        (&wrong[..], "its SHA-256 is"),
        ("bomb.tgz", "larger than 1048576 bytes"),
        ("bomb.zip", "larger than 1048576 bytes"),
        ("cut/v2.tgz", "the answer was cut off"),
        ("page.tgz", "it is a web page"),
        ("slip.tar", "leads out of its folder"),
        ("none.tgz", "the server answers 404"),
        ("secure/v2.tgz", "not followed"),
    ] {
        world.update(path, "-1234")?;
        let name = path.split('#').next().unwrap_or(path);
        let line = world.wait_for(&format!("/{name} is not taken: "))?;
        ensure!(
            line.contains(said) && line.contains("version 1 stays in use"),
            "{path}: {line}"
        );
        world.ensure_serves("/", b"one")?;
    }
    for (url, said) in [
        ("https://127.0.0.1/v2.tgz", "https is not supported yet"),
        ("http://127.0.0.1/shop.git", "it is a git repository's"),
    ] {
        update(&world.platform, url, "-1234")?;
        world.wait_for(said)?;
    }
    world.update("v2.tgz", "-1234")?;
    world.wait_for("v2.tgz is in place as version 2")?;
    world.ensure_serves("/", b"two")?;
    // Nothing of what failed takes room.
    world.ensure_no_secret()
}

/// A machine of 16 MiB has room for 4 MiB of files: two versions of these, and no third.
fn room(place: Place) -> Result<()> {
    let world = World::begin(place, "")?;
    let noise = |seed: u32| -> Vec<u8> {
        let bytes = (0..1_500_000_u32).map(|n| ((n ^ seed).wrapping_mul(0x9e37_79b1) >> 13) as u8);
        bytes.collect()
    };
    for name in ["v0.tgz", "v1.tgz"] {
        world.archives.pack(
            name,
            &[
                ("index.html", name.as_bytes()),
                ("noise.bin", &noise(name.len() as u32)),
            ],
        )?;
    }
    let mut free = Vec::new();
    for version in 1..=12_u32 {
        let name = ["v0.tgz", "v1.tgz"][version as usize % 2];
        world.update(name, "-1234")?;
        world.wait_for(&format!("is in place as version {version}:"))?;
        world.ensure_serves("/", name.as_bytes())?;
        free.extend(world.target.figures()?.get("cartridge_memory_free_bytes").copied());
    }
    if let [_, _, _, early, .., late] = free[..] {
        ensure!((early - late).abs() < 500_000.0, "free memory: {free:?}");
    }
    if place == Place::Process {
        return Ok(());
    }
    world.archives.pack(
        "large.tgz",
        &[("index.html", b"large"), ("noise.bin", &noise(9).repeat(6))],
    )?;
    world.update("large.tgz", "-1234")?;
    world.wait_for("large.tgz is not taken: there is no room")?;
    world.ensure_serves("/", b"v0.tgz")?;
    // What failed has given its room back.
    world.update("v1.tgz", "-1234")?;
    world.wait_for("is in place as version 13:")?;
    world.ensure_serves("/", b"v1.tgz")
}

fn retried(place: Place) -> Result<()> {
    let world = World::begin(place, ",artifact.clone.interval=1,artifact.clone.retries=2")?;
    world.archives.pack("v1.tgz", &[("index.html", b"one")])?;
    world.update("busy/v1.tgz", "-1234")?;
    world.wait_for("attempt 1 of 3 failed: the server answers 503")?;
    world.wait_for("is in place as version 1")?;
    world.ensure_serves("/", b"one")?;
    // In the end it gives up.
    world.update("cut/v1.tgz", "-1234")?;
    world.wait_for("attempt 2 of 3 failed")?;
    world.wait_for("is not taken: the answer was cut off; version 1 stays in use")?;
    let count = world
        .archives
        .requests()
        .iter()
        .filter(|line| line.contains("/cut/"))
        .count();
    ensure!(count == 3, "{count} attempts");
    Ok(())
}
