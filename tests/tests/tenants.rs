//! Content of several tenants in one cartridge: each is served its own, and no path leads from one to another.

use anyhow::{Context, Result, ensure};
use cartridge_tests::archives;
use cartridge_tests::clients::client::Client;
use cartridge_tests::generic::{World, get};
use cartridge_tests::in_both;
use cartridge_tests::stratos::identity::{self, CLUSTER};
use cartridge_tests::target::Place;
use serde_json::json;

in_both! {
    isolated: no_tenant_reaches_the_files_of_another_in_a_process, no_tenant_reaches_the_files_of_another_in_a_machine;
    stalled: a_tenant_whose_server_stalls_holds_up_nobody_in_a_process,
        a_tenant_whose_server_stalls_holds_up_nobody_in_a_machine;
}

/// Two servers stall; the third tenant is told of its artifact when both are being waited for.
fn stalled(place: Place) -> Result<()> {
    let world = World::begin(place, ",MULTITENANT=true")?;
    for owner in ["6", "7", "8", "9"] {
        world
            .archives
            .pack(&format!("t{owner}.tgz"), &[("index.html", owner.as_bytes())])?;
    }
    for owner in ["6", "7", "8"] {
        world.update(&format!("held/t{owner}.tgz"), owner)?;
        world.archives.wait_for(&format!("held/t{owner}.tgz"))?;
    }
    world.update("t9.tgz", "9")?;
    world.wait_for("of tenant 9 is in place as version 1")?;
    world.ensure_serves("/t/9/", b"9")?;
    ensure!(world.get("/t/7/")?.status == 404, "what is held came");
    world.archives.release()?;
    for owner in ["6", "7", "8"] {
        world.wait_for(&format!("of tenant {owner} is in place"))?;
        world.ensure_serves(&format!("/t/{owner}/"), owner.as_bytes())?;
    }
    Ok(())
}

/// Tenants 1 (one.example, as the platform's list says, and known without an event of its own), 7 and 8, and the platform's own at `/`.
fn isolated(place: Place) -> Result<()> {
    let world = World::begin(place, ",MULTITENANT=true")?;
    let owners = ["-1234", "1", "7", "8"];
    for owner in owners {
        let (index, own) = (format!("index of {owner}"), format!("own{owner}.txt"));
        let files = [
            ("index.html", index.as_bytes()),
            ("same.txt", b"the same".as_slice()),
            (&own, index.as_bytes()),
            ("docs/index.html", index.as_bytes()),
            ("404.html", index.as_bytes()),
        ];
        world.archives.pack(&format!("t{owner}.tgz"), &files)?;
    }
    for owner in &owners[2..] {
        let event =
            json!({"tenantId": owner.parse::<i32>()?, "serviceName": identity::SERVICE, "clusterIds": [CLUSTER]});
        world
            .platform
            .publish("tenant/TenantSubscribedEvent", event.to_string())?;
    }
    for owner in owners {
        world.update(&format!("private/t{owner}.tgz"), owner)?;
        world.wait_for(&format!("of tenant {owner} is in place"))?;
    }
    for (path, owner) in [
        ("/", "-1234"),
        ("/t/1/", "1"),
        ("/t/one.example/", "1"),
        ("/t/7/", "7"),
        ("/t/8/", "8"),
    ] {
        world.ensure_serves(path, format!("index of {owner}").as_bytes())?;
        world.ensure_serves(&format!("{path}own{owner}.txt"), format!("index of {owner}").as_bytes())?;
        world.ensure_serves(&format!("{path}docs/"), format!("index of {owner}").as_bytes())?;
        let lost = world.get(&format!("{path}none"))?;
        let page = format!("index of {owner}");
        ensure!(
            lost.status == 404 && lost.body == page.as_bytes(),
            "the page for what is not there: {lost:?}"
        );
    }
    let moved = world.get("/t/7/docs")?;
    ensure!(
        moved.status == 301 && moved.need("location")? == "/t/7/docs/",
        "{moved:?}"
    );
    let moved = world.get("/t/7")?;
    ensure!(moved.status == 301 && moved.need("location")? == "/t/7/", "{moved:?}");
    breaking_out(&world)?;
    caches(&world)?;
    hostile_tenants(&world)?;
    removed(&world)
}

/// No way to write a path of tenant 7 leads to the files of 8 or of the platform's tenant.
fn breaking_out(world: &World) -> Result<()> {
    let ways = [
        "/t/7/../8/own8.txt",
        "/t/7/%2e%2e/8/own8.txt",
        "/t/7/..%2f8%2fown8.txt",
        "/t/7/%2e%2e%2f8/own8.txt",
        "/t/7//../8/own8.txt",
        "/t/7/..\\8\\own8.txt",
        "/t/7/..%5c8%5cown8.txt",
        "/t/7/docs/../../8/own8.txt",
        "/t/7/%252e%252e/8/own8.txt",
        "/t/7%2f..%2f8/own8.txt",
        "/t/7%00/own8.txt",
        "/t/7;/own8.txt",
        "/t/07/own7.txt",
        "/t/+7/own7.txt",
        "/t/7./own7.txt",
        "/t/%37/own7.txt",
        "/%74/7/own7.txt",
        "/T/7/own7.txt",
        "//t/7/own7.txt",
        "/./t/7/own7.txt",
        "/t//7/own7.txt",
        "/x/../t/7/own7.txt",
        "/t/ONE.EXAMPLE/own1.txt",
        "/t/one.example./own1.txt",
        "/t/../own-1234.txt",
        "/t/own-1234.txt",
        "/t/7/own-1234.txt",
        "/t/7/t/8/own8.txt",
        "/t/8/own7.txt",
        "/own7.txt",
        "/t/9/own7.txt",
        "/t//own7.txt",
        "/t/",
        "/t",
        "/t/-7/own7.txt",
        "/t/*/own7.txt",
        "/t/7/../../own-1234.txt",
        "/t/7/%2e%2e/%2e%2e/own-1234.txt",
        "/t/７/own7.txt",
    ];
    for way in ways {
        let answer = world.get(way).with_context(|| way.to_owned())?;
        ensure!(
            matches!(answer.status, 400 | 404),
            "{way}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        // A page for what is not there is that of whoever was asked.
        let body = String::from_utf8_lossy(&answer.body);
        let asked = if way.starts_with("/t/7/") {
            "7"
        } else if way.starts_with("/t/8/") {
            "8"
        } else {
            "-1234"
        };
        ensure!(
            !body.starts_with("index of") || body == format!("index of {asked}"),
            "{way}: {body}"
        );
    }
    // A path in a request to another host, or in absolute form, is the same path.
    let mut client = Client::connect(world.target.service.address)?;
    client.send(b"GET http://one.example/t/7/../8/own8.txt HTTP/1.1\r\nHost: one.example\r\n\r\n")?;
    ensure!(client.answer()?.status == 404, "in absolute form");
    Ok(())
}

/// What a client or a cache knows of one tenant's file says nothing of another's.
fn caches(world: &World) -> Result<()> {
    let own = world.get("/t/7/own7.txt")?;
    let tag = own.need("etag")?;
    for path in ["/t/8/own8.txt", "/own-1234.txt", "/t/8/index.html"] {
        for field in ["If-None-Match", "If-Range"] {
            let answer = get(&world.target, path, &format!("{field}: {tag}\r\nRange: bytes=0-3\r\n"))?;
            ensure!(
                matches!(answer.status, 200 | 206),
                "{path} with {field}: {}",
                answer.status
            );
        }
        let answer = get(&world.target, path, &format!("If-Match: {tag}\r\n"))?;
        ensure!(answer.status == 412, "{path}: {}", answer.status);
    }
    // On one connection, tenants in turn.
    let mut client = Client::connect(world.target.service.address)?;
    for _ in 0..10 {
        for owner in ["7", "8", "1"] {
            let answer = client.get(&format!("/t/{owner}/"), "")?;
            ensure!(answer.body == format!("index of {owner}").as_bytes(), "{answer:?}");
        }
    }
    Ok(())
}

/// Events with numbers that are none, and archives with links and names that lead to others.
fn hostile_tenants(world: &World) -> Result<()> {
    let tenants = ["../7", "7/../8", "07", "-1", "7 ", "٧"];
    for (before, tenant) in tenants.into_iter().enumerate() {
        world.update("t8.tgz", tenant)?;
        world.wait_for_lines("its tenant is not a tenant's number", before + 1)?;
    }
    world.ensure_serves("/t/7/own7.txt", b"index of 7")?;
    world.archives.put("evil.tar", &archives::slip())?;
    world.update("evil.tar", "8")?;
    world.wait_for("evil.tar of tenant 8 is not taken")?;
    world.ensure_serves("/t/8/", b"index of 8")?;
    world.ensure_serves("/t/7/", b"index of 7")
}

/// What a tenant had goes with it, and with nobody else.
fn removed(world: &World) -> Result<()> {
    let event = json!({"applicationId": identity::APPLICATION, "tenantId": 7});
    world
        .platform
        .publish("application/signup/ApplicationSignUpRemovedEvent", event.to_string())?;
    world.wait_for("the artifact of tenant 7 is removed")?;
    let event = json!({"tenantId": 1, "serviceName": identity::SERVICE, "clusterIds": [CLUSTER]});
    world
        .platform
        .publish("tenant/TenantUnSubscribedEvent", event.to_string())?;
    world.wait_for("the artifact of tenant 1 is removed")?;
    for path in ["/t/7/", "/t/7/own7.txt", "/t/1/", "/t/one.example/"] {
        let answer = world.get(path)?;
        ensure!(
            answer.status == 404 && !answer.body.starts_with(b"index of 7"),
            "{path}: {answer:?}"
        );
    }
    world.ensure_serves("/t/8/", b"index of 8")?;
    world.ensure_serves("/", b"index of -1234")?;
    // It may come again.
    world.update("private/t7.tgz", "7")?;
    world.wait_for_lines("of tenant 7 is in place", 2)?;
    world.ensure_serves("/t/7/", b"index of 7")?;
    world.ensure_no_secret()
}
