//! A cartridge on an Ethernet of our own making: addresses, routes, names, leases, and what a network may do badly.

use anyhow::{Context, Result, ensure};
use cartridge_tests::wire::dhcp::{self, Asked};
use cartridge_tests::wire::router::Router;
use cartridge_tests::wire::world::{LIMIT, World, at, ensure_answer, ensure_network, on_dhcp};
use cartridge_tests::wire::{
    ADDRESS, ADDRESS6, BEHIND, ECHO_PORT, FAR, FAR6, GUEST_LINK_LOCAL, LINK_LOCAL, Lan, OTHER_ROUTER, dns,
    made_of_the_card,
};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Static addresses.
const STATIC: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 77);
const STATIC6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 0x77);
const PREFIX: [u16; 4] = [0xfd09, 0, 0, 0];
const PREFIX6: Ipv6Addr = Ipv6Addr::new(PREFIX[0], 0, 0, 0, 0, 0, 0, 0);

/// The guest, at this address of its own, finds out the address behind a name.
fn ensure_looked_up(lan: &mut Lan, guest: Ipv4Addr, name: &str) -> Result<()> {
    ensure_answer(lan, guest, &format!("lookup {name}"), &dns::NAME_ADDRESS.to_string())
}

#[test]
fn an_address_of_the_payload_is_used_without_dhcp() {
    let mut world = World::new(&format!("ADDRESS={STATIC}/24,GATEWAY={ADDRESS},DNS={ADDRESS},MTU=1400"));
    // There is a server, and nobody may ask it.
    world.lan.dhcp = Some(dhcp::Server::default());
    world.tell(|lan, _| {
        let (gateway, dns) = (format!("gateway {ADDRESS}"), format!("dns {ADDRESS}"));
        let own = format!("address {STATIC}/24");
        ensure_network(lan, STATIC, &["state up", &own, &gateway, &dns, "mtu 1400"])?;
        ensure_answer(lan, STATIC, &format!("connect {ADDRESS}:{ECHO_PORT}"), "echoed")?;
        ensure_answer(lan, STATIC, &format!("connect {FAR}:{ECHO_PORT}"), "echoed")?;
        ensure_looked_up(lan, STATIC, dns::NAME)?;
        ensure!(
            !lan.heard.iter().any(|heard| heard.is_dhcp()),
            "it asked for an address all the same"
        );
        Ok(())
    });
}

#[test]
fn name_servers_and_mtu_of_the_payload_hold_beside_dhcp() {
    let mut world = World::new(&format!("DNS={ADDRESS},MTU=1400"));
    // The network's own server does not answer, and its MTU is larger.
    let server = dhcp::Server::default()
        .with(dhcp::NAME_SERVERS, &[10, 9, 0, 99])
        .with(dhcp::MTU, &1450u16.to_be_bytes());
    world.lan.dhcp = Some(server);
    world.tell(|lan, _| {
        ensure_network(lan, dhcp::CLIENT, &[&format!("dns {ADDRESS}"), "mtu 1400"])?;
        let begun = Instant::now();
        ensure_looked_up(lan, dhcp::CLIENT, dns::NAME)?;
        // The payload's server is asked first.
        ensure!(
            begun.elapsed() < Duration::from_millis(900),
            "after {:?}",
            begun.elapsed()
        );
        Ok(())
    });
}

#[test]
fn ipv6_addresses_of_the_payload_are_used() {
    let world = World::new(&format!(
        "ADDRESS={STATIC}/24,ADDRESS6={STATIC6}/64,GATEWAY6={ADDRESS6}"
    ));
    world.tell(|lan, _| {
        let own = format!("address {STATIC6}/64");
        ensure_network(lan, STATIC6, &["state up", &own, &format!("gateway {ADDRESS6}")])?;
        ensure_answer(lan, STATIC6, &format!("connect [{ADDRESS6}]:{ECHO_PORT}"), "echoed")?;
        ensure_answer(lan, STATIC6, &format!("connect [{FAR6}]:{ECHO_PORT}"), "echoed")
    });
}

#[test]
fn a_router_advertisement_gives_an_address_and_a_route() {
    let mut world = on_dhcp(dhcp::Server::default());
    world.lan.router = Some(Router::new(PREFIX6));
    world.tell(|lan, _| {
        let own = made_of_the_card(PREFIX);
        ensure_network(
            lan,
            own,
            &[
                "state up",
                &format!("address {own}/64"),
                &format!("gateway {LINK_LOCAL}"),
            ],
        )?;
        ensure_answer(lan, own, &format!("connect [{FAR6}]:{ECHO_PORT}"), "echoed")?;
        ensure!(
            lan.router.as_ref().is_some_and(|router| router.solicited > 0),
            "it did not solicit"
        );
        // Without a router, the neighbours on the link are there.
        ensure_network(lan, GUEST_LINK_LOCAL, &[&format!("address {GUEST_LINK_LOCAL}/64")])
    });
}

#[test]
fn a_router_that_comes_late_is_heard() {
    on_dhcp(dhcp::Server::default()).tell(|lan, _| {
        ensure_network(lan, dhcp::CLIENT, &["state up"])?;
        let solicited = |lan: &mut Lan| {
            let first = lan.heard.iter().find(|heard| is_router_solicitation(&heard.frame))?.at;
            // Three solicitations four seconds apart, and a while for the last one's answer.
            (first.elapsed() > Duration::from_secs(14)).then_some(())
        };
        lan.run("the end of its soliciting", Duration::from_secs(30), solicited)?;
        lan.send(&Router::new(PREFIX6).advertisement())?;
        lan.router = Some(Router::new(PREFIX6));
        let own = made_of_the_card(PREFIX);
        ensure_network(lan, own, &[&format!("address {own}/64")])
    });
}

fn is_router_solicitation(frame: &[u8]) -> bool {
    Router::new(PREFIX6).answer(frame).is_ok_and(|answer| answer.is_some())
}

#[test]
fn classless_routes_of_dhcp_replace_the_router() {
    // 198.51.100.0/24 through the second router; the first, which option 3 names, does not count (RFC 3442).
    let [a, b, c, _] = BEHIND.octets();
    let routes = [&[24, a, b, c][..], &OTHER_ROUTER.octets()].concat();
    let server = dhcp::Server::default()
        .with(dhcp::ROUTER, &ADDRESS.octets())
        .with(dhcp::CLASSLESS_ROUTES, &routes);
    on_dhcp(server).tell(|lan, _| {
        ensure_network(lan, dhcp::CLIENT, &["state up"])?;
        ensure_answer(lan, dhcp::CLIENT, &format!("connect {BEHIND}:{ECHO_PORT}"), "echoed")?;
        ensure!(
            lan.heard.iter().any(|heard| heard.asks_for() == Some(OTHER_ROUTER)),
            "not through the router of the route"
        );
        let nowhere = lan.ask(at(dhcp::CLIENT), &format!("connect {FAR}:{ECHO_PORT}"), LIMIT)?;
        ensure!(
            nowhere.starts_with("error: "),
            "through the router that does not count: {nowhere}"
        );
        Ok(())
    });
}

#[test]
fn the_router_of_dhcp_leads_to_other_networks() {
    let server = dhcp::Server::default().with(dhcp::ROUTER, &ADDRESS.octets());
    on_dhcp(server).tell(|lan, _| {
        ensure_network(lan, dhcp::CLIENT, &["state up", &format!("gateway {ADDRESS}")])?;
        ensure_answer(lan, dhcp::CLIENT, &format!("connect {FAR}:{ECHO_PORT}"), "echoed")
    });
}

#[test]
fn the_mtu_of_dhcp_bounds_every_packet() {
    let server = dhcp::Server::default().with(dhcp::MTU, &1300u16.to_be_bytes());
    on_dhcp(server).tell(|lan, _| {
        ensure_network(lan, dhcp::CLIENT, &["mtu 1300"])?;
        lan.heard.clear();
        let answer = lan.ask(at(dhcp::CLIENT), "bytes 100000", LIMIT)?;
        ensure!(answer.len() == 100_000, "{} bytes", answer.len());
        let segments: Vec<_> = lan.heard.iter().filter_map(|heard| heard.segment()).collect();
        let largest = segments.iter().map(|segment| segment.packet).max();
        ensure!(largest == Some(1300), "the largest packet has {largest:?} bytes");
        let accepted = segments.iter().find_map(|segment| segment.largest);
        ensure!(accepted == Some(1260), "it asks for segments of {accepted:?} bytes");
        Ok(())
    });
}

#[test]
fn names_are_looked_up_at_the_servers_of_dhcp() {
    // The first server is nobody.
    let servers = [[10, 9, 0, 99], ADDRESS.octets()].concat();
    on_dhcp(dhcp::Server::default().with(dhcp::NAME_SERVERS, &servers)).tell(|lan, _| {
        ensure_network(lan, dhcp::CLIENT, &[&format!("dns {ADDRESS}")])?;
        ensure_looked_up(lan, dhcp::CLIENT, dns::NAME)?;
        ensure_looked_up(lan, dhcp::CLIENT, dns::ALIAS)?;
        let unknown = lan.ask(at(dhcp::CLIENT), "lookup nobody.cartridge.test", LIMIT)?;
        ensure!(unknown.starts_with("error: "), "{unknown}");
        ensure!(lan.dns.all_differ(), "questions alike: {:?}", lan.dns.asked);
        // A question that was lost is asked again.
        lan.dns.ignore = 1;
        ensure_looked_up(lan, dhcp::CLIENT, dns::NAME)
    });
}

#[test]
fn names_have_ipv6_addresses_where_there_is_a_route_for_them() {
    let mut world = on_dhcp(dhcp::Server::default().with(dhcp::NAME_SERVERS, &ADDRESS.octets()));
    world.lan.router = Some(Router::new(PREFIX6));
    world.tell(|lan, _| {
        ensure_network(lan, made_of_the_card(PREFIX), &["state up"])?;
        ensure_network(lan, dhcp::CLIENT, &["state up"])?;
        let found = lan.ask(at(dhcp::CLIENT), &format!("lookup {}", dns::NAME), LIMIT)?;
        let found: Vec<&str> = found.split(' ').collect();
        let expected = [dns::NAME_ADDRESS.to_string(), dns::NAME_ADDRESS6.to_string()];
        ensure!(found == expected, "{found:?}");
        Ok(())
    });
}

#[test]
fn echo_requests_are_answered() {
    let mut world = on_dhcp(dhcp::Server::default());
    world.lan.router = Some(Router::new(PREFIX6));
    world.tell(|lan, _| {
        let own = made_of_the_card(PREFIX);
        ensure_network(lan, dhcp::CLIENT, &["state up"])?;
        ensure_network(lan, own, &["state up"])?;
        for length in [0, 56, 1400] {
            lan.ping(dhcp::CLIENT.into(), length, LIMIT)?;
            lan.ping(own.into(), length, LIMIT)?;
            lan.ping(GUEST_LINK_LOCAL.into(), length, LIMIT)?;
        }
        Ok(())
    });
}

#[test]
fn a_late_answer_to_dhcp_is_taken() {
    on_dhcp(dhcp::Server::default().silent()).tell(|lan, guest| {
        let told = |_: &mut Lan| guest.console().contains("no DHCP answer").then_some(());
        lan.run("the warning", Duration::from_secs(30), told)?;
        let asked = lan.dhcp.as_ref().map_or(0, |server| server.count(Asked::Discover));
        ensure!(asked >= 3, "it asked {asked} times in 5 s");
        let rarely = |lan: &mut Lan| pauses_grow(lan.dhcp.as_ref()?).then_some(());
        lan.run("a pause far longer than the first", Duration::from_secs(60), rarely)?;
        lan.dhcp.as_mut().context("the server")?.silent = false;
        let told = |_: &mut Lan| guest.console().contains("DHCP answered").then_some(());
        lan.run("the address", Duration::from_secs(40), told)?;
        ensure_network(lan, dhcp::CLIENT, &["state up"])
    });
}

/// A server that is gone is not flooded: the last pause is far longer than the first. (Each has up to a second by chance, so that
/// the first longer ones may not be that.)
fn pauses_grow(server: &dhcp::Server) -> bool {
    let times: Vec<Instant> = server.asked.iter().map(|(_, at)| *at).collect();
    let pauses: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    matches!(pauses[..], [first, .., last] if last > first * 2)
}

#[test]
fn a_lease_is_renewed_before_it_ends_and_given_up_after() {
    on_dhcp(dhcp::Server::default().lease(8)).tell(|lan, guest| {
        ensure_network(lan, dhcp::CLIENT, &["state up"])?;
        let renewed = |lan: &mut Lan| (lan.dhcp.as_ref()?.count(Asked::Renew) >= 2).then_some(());
        lan.run("two renewals", Duration::from_secs(30), renewed)?;
        ensure_network(lan, dhcp::CLIENT, &["state up"])?;
        let server = lan.dhcp.as_mut().context("the server")?;
        ensure!(server.count(Asked::Discover) == 1, "it began anew: {:?}", server.asked);
        server.silent = true;
        let told = |_: &mut Lan| guest.console().contains("lease ended").then_some(());
        lan.run("the end of the lease", Duration::from_secs(30), told)?;
        let server = lan.dhcp.as_mut().context("the server")?;
        ensure!(
            server.count(Asked::Rebind) > 0,
            "it asked nobody else: {:?}",
            server.asked
        );
        server.silent = false;
        let again = |lan: &mut Lan| (lan.dhcp.as_ref()?.count(Asked::Request) >= 2).then_some(());
        lan.run("a new lease", Duration::from_secs(30), again)?;
        ensure_network(lan, dhcp::CLIENT, &["state up"])
    });
}

#[test]
fn a_lease_that_its_server_takes_back_is_given_up_at_once() {
    let mut server = dhcp::Server::default().lease(8);
    server.takes_back = true;
    on_dhcp(server).tell(|lan, guest| {
        let told = |_: &mut Lan| guest.console().contains("lease ended").then_some(());
        lan.run("the end of the lease", LIMIT, told)?;
        let server = lan.dhcp.as_mut().context("the server")?;
        ensure!(
            server.count(Asked::Renew) == 1 && server.count(Asked::Rebind) == 0,
            "{:?}",
            server.asked
        );
        server.takes_back = false;
        let again = |lan: &mut Lan| (lan.dhcp.as_ref()?.count(Asked::Request) == 2).then_some(());
        lan.run("a new lease", LIMIT, again)?;
        ensure_network(lan, dhcp::CLIENT, &["state up"])
    });
}

/// Straight from the wire, without a host's listening queue between: not one of them is left without its answer.
#[test]
fn two_hundred_connections_in_the_same_moment_are_all_answered() {
    on_dhcp(dhcp::Server::default()).tell(|lan, _| {
        ensure_network(lan, dhcp::CLIENT, &["state up"])?;
        for round in 1..=3 {
            let begun = Instant::now();
            let answers = lan.ask_at_once(at(dhcp::CLIENT), 200, "bytes 1000", Duration::from_secs(30))?;
            let whole = answers.iter().filter(|answer| answer.len() == 1000).count();
            ensure!(whole == 200, "{whole} of 200 are whole");
            println!("round {round}: all answered in {:.1?}", begun.elapsed());
        }
        Ok(())
    });
}

/// Idle time before a probe, as the kernel promises it, and how late one may come on a busy host.
const PROBE: Duration = Duration::from_secs(75);
const PROBE_LATE: Duration = Duration::from_secs(15);
/// Longer than the pauses of a connection at its start.
const SILENCE: Duration = Duration::from_secs(10);

#[test]
fn a_connection_with_keep_alive_is_probed_while_it_is_idle() {
    let mut world = World::of(
        "kernel-glue/tests/keep-alive",
        "",
        &format!("env=PEER={ADDRESS}:{ECHO_PORT}"),
    );
    world.lan.dhcp = Some(dhcp::Server::default());
    world.tell(|lan, guest| {
        let connected = |_: &mut Lan| guest.console().contains("keep-alive: connected").then_some(());
        lan.run("the connection", LIMIT, connected)?;
        let after_silence = |lan: &mut Lan| {
            let segments: Vec<_> = lan
                .heard
                .iter()
                .filter_map(|heard| Some((heard.at, heard.segment()?)))
                .collect();
            let first = segments.first()?.1.clone();
            let pair = segments.windows(2).find(|pair| pair[1].0 - pair[0].0 > SILENCE)?;
            Some((first, pair[1].0 - pair[0].0, pair[1].1.clone()))
        };
        let (first, idle, probe) = lan.run("a probe", PROBE + PROBE_LATE, after_silence)?;
        println!("probed after {idle:.1?}: {probe:?}");
        ensure!(idle > PROBE - Duration::from_secs(2), "probed after {idle:.1?} already");
        // A probe lies one before what comes next, which makes the peer answer (RFC 1122 4.2.3.6). The guest said nothing
        // yet, so that is where its SYN was.
        ensure!(
            first.syn && probe.sequence == first.sequence && probe.data <= 1,
            "{probe:?} after {first:?}"
        );
        ensure!(lan.connections() == 1, "the connection is gone");
        lan.hang_up();
        let told = |_: &mut Lan| guest.console().contains("keep-alive: the peer closed").then_some(());
        lan.run("the end of the connection", LIMIT, told)?;
        let exit = guest.wait(LIMIT).map_err(|error| anyhow::anyhow!("{error}"))?;
        ensure!(exit.success(), "{}", exit.describe());
        Ok(())
    });
}
