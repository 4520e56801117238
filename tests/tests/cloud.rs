//! A machine in a cloud, on an Ethernet of our own making: how it knows which cloud that is, and reaches its metadata service.

use anyhow::{Context, Result, ensure};
use cartridge_tests::cloud::{Cloud, EC2, EC2_ID, ID, Kind, OPENSTACK, SEED, instance};
use cartridge_tests::guest;
use cartridge_tests::image::image;
use cartridge_tests::wire::router::Router;
use cartridge_tests::wire::world::{World, ensure_network};
use cartridge_tests::wire::{ADDRESS, Lan, METADATA, METADATA6, dhcp};
use qemu::{Guest, Launch, Machine, NetworkCard};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

const APP: &str = "tests/cartridges/instance";
const LIMIT: Duration = Duration::from_secs(60);
/// A static address on the Ethernet, and the prefix that its router advertises.
const STATIC: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 77);
const PREFIX6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 0);

fn ensure_says(console: &str, texts: &[&str]) -> Result<()> {
    for text in texts {
        ensure!(console.contains(text), "no {text:?} in\n{console}");
    }
    Ok(())
}

/// A machine in a cloud, on an Ethernet with a DHCP server: it is told nothing, and has to find the service.
fn in_cloud(app: &str, machine: Machine, smbios: &[&str], dhcp: dhcp::Server, cloud: Cloud) -> World {
    let mut launch = Launch::new(image(app));
    launch.machine = machine;
    launch.extra = smbios
        .iter()
        .flat_map(|text| ["-smbios".into(), (*text).into()])
        .collect();
    launched_in(launch, dhcp, cloud)
}

fn launched_in(launch: Launch, dhcp: dhcp::Server, cloud: Cloud) -> World {
    let mut world = World::launched(launch);
    world.lan.dhcp = Some(dhcp);
    world.lan.cloud = Some(cloud);
    world
}

const NOVA: &str = "type=1,manufacturer=OpenStack Foundation,product=OpenStack Nova";
const AMAZON: &str = "type=1,manufacturer=Amazon EC2,product=t3.micro";

/// Lets the network work until the guest has said `text`.
fn until_said(lan: &mut Lan, guest: &Guest, text: &str) -> Result<String> {
    let said = |_: &mut Lan| {
        let console = guest.console();
        console.contains(text).then_some(console)
    };
    lan.run(&format!("{text:?} on the console"), LIMIT, said)
}

/// The route to the service and no router: what Neutron's DHCP gives in a network without one.
fn route_to_metadata() -> dhcp::Server {
    let route = [&[32][..], &METADATA.octets(), &ADDRESS.octets()].concat();
    dhcp::Server::default().with(dhcp::CLASSLESS_ROUTES, &route)
}

fn ensure_asked_at(lan: &Lan, address: impl Into<IpAddr>, requests: &[&str]) -> Result<()> {
    let cloud = lan.cloud.as_ref().context("no cloud")?;
    ensure!(cloud.wrong.is_empty(), "{:?}", cloud.wrong);
    ensure!(cloud.requests() == requests, "{:?}", cloud.requests());
    let address = address.into();
    ensure!(
        lan.cloud_asked_at.iter().all(|at| *at == address),
        "{:?}",
        lan.cloud_asked_at
    );
    Ok(())
}

#[test]
fn in_a_network_without_a_router_openstacks_service_is_reached_by_dhcps_route() {
    for (machine, smbios) in [
        (Machine::Q35, NOVA),
        (Machine::Pc, "type=3,manufacturer=x,asset=OpenStack Compute"),
    ] {
        let cloud = Cloud::new(Kind::OpenStack, "A=1");
        in_cloud(APP, machine, &[smbios], route_to_metadata(), cloud).tell(|lan, guest| {
            let console = until_said(lan, guest, "that is all")?;
            ensure_says(&console, &["parameter A is 1", &instance(ID)])?;
            ensure_asked_at(lan, METADATA, &OPENSTACK)
        });
    }
}

#[test]
fn an_smbios_entry_point_of_version_3_is_read_too() {
    let mut launch = Launch::new(image(APP));
    launch.machine = Machine::Q35;
    launch.extra = ["-smbios", NOVA, "-machine", "smbios-entry-point-type=64"]
        .map(String::from)
        .to_vec();
    launched_in(launch, route_to_metadata(), Cloud::new(Kind::OpenStack, "A=1")).tell(|lan, guest| {
        until_said(lan, guest, "parameter A is 1")?;
        ensure_asked_at(lan, METADATA, &OPENSTACK)
    });
}

#[test]
fn without_that_route_the_service_is_not_there_and_its_address_on_the_link_is_asked() {
    let cloud = Cloud::new(Kind::OpenStack, "A=1");
    in_cloud(APP, Machine::Q35, &[NOVA], dhcp::Server::default(), cloud).tell(|lan, guest| {
        let console = until_said(lan, guest, "that is all")?;
        ensure_says(&console, &["no connection (no route", "parameter A is 1"])?;
        ensure_asked_at(lan, METADATA6[0], &OPENSTACK)
    });
}

#[test]
fn ec2_is_told_by_its_name_and_reached_by_the_router() {
    for smbios in [
        AMAZON,
        "type=0,vendor=Xen,version=4.11.amazon",
        "type=1,serial=ec2ab1c2-1111",
    ] {
        let server = dhcp::Server::default().with(dhcp::ROUTER, &ADDRESS.octets());
        in_cloud(APP, Machine::Q35, &[smbios], server, Cloud::new(Kind::Ec2, "A=1")).tell(|lan, guest| {
            let console = until_said(lan, guest, "that is all")?;
            ensure_says(&console, &["parameter A is 1", &instance(EC2_ID)])?;
            ensure_asked_at(lan, METADATA, &EC2)
        });
    }
}

#[test]
fn in_an_ipv6_network_ec2_is_asked_at_its_ipv6_address() {
    let server = dhcp::Server::default().silent();
    let mut world = in_cloud(APP, Machine::Q35, &[AMAZON], server, Cloud::new(Kind::Ec2, "A=1"));
    world.lan.router = Some(Router::new(PREFIX6));
    world.tell(|lan, guest| {
        let console = until_said(lan, guest, "that is all")?;
        ensure_says(&console, &["parameter A is 1", &instance(EC2_ID)])?;
        ensure_asked_at(lan, METADATA6[1], &EC2)
    });
}

#[test]
fn a_machine_in_no_such_cloud_asks_nobody_and_one_with_a_payload_neither() {
    let payload = guest::payload(b"A=own");
    for (smbios, payload, says) in [
        (None, None, "that is all"),
        (Some("type=1,manufacturer=x,product=OpenStack"), None, "that is all"),
        (Some(NOVA), Some(payload.path()), "parameter A is own"),
    ] {
        let mut launch = Launch::new(image(APP));
        launch.machine = Machine::Q35;
        launch.payload = payload.map(Into::into);
        launch.extra = smbios
            .iter()
            .flat_map(|text| ["-smbios".into(), (*text).into()])
            .collect();
        launched_in(launch, route_to_metadata(), Cloud::new(Kind::OpenStack, "A=1")).tell(|lan, guest| {
            until_said(lan, guest, says)?;
            until_said(lan, guest, "\"state\":\"Active\"")?;
            let asked = lan.heard.iter().filter_map(|heard| heard.segment()).count();
            ensure!(asked == 0, "{asked} TCP segments");
            Ok(())
        });
    }
}

#[test]
fn without_a_network_card_the_defaults_hold_at_once() {
    let mut launch = guest::launch(&image(APP));
    (launch.machine, launch.card) = (Machine::Q35, Some(NetworkCard::None));
    launch.extra = vec!["-smbios".into(), NOVA.into()];
    let guest = guest::start(&launch);
    // Long before the 120 s that a service may take.
    guest::wait_for(&guest, "no payload: no network interface", guest::READY_LIMIT);
    guest::wait_for(&guest, "that is all", guest::READY_LIMIT);
}

#[test]
fn a_static_address_of_the_payload_is_taken_after_it_was_fetched() {
    let user_data = format!("ADDRESS={STATIC}/24,GATEWAY={ADDRESS},PORTS=8080");
    let cloud = Cloud::new(Kind::OpenStack, &user_data);
    in_cloud(
        "tests/cartridges/wire",
        Machine::Q35,
        &[NOVA],
        route_to_metadata(),
        cloud,
    )
    .tell(|lan, _| {
        let own = format!("address {STATIC}/24");
        ensure_network(lan, STATIC, &["state up", &own, &format!("gateway {ADDRESS}")])?;
        ensure_asked_at(lan, METADATA, &OPENSTACK)
    });
}

#[test]
fn the_random_seed_of_the_metadata_is_entropy_for_a_machine_that_has_none() {
    let mut launch = Launch::new(image(APP));
    (launch.machine, launch.entropy) = (Machine::Q35, false);
    launch.cpu = "max,-rdrand,-rdseed".into();
    launch.extra = vec!["-smbios".into(), NOVA.into()];
    let cloud = Cloud::new(Kind::OpenStack, "RANDOM=wanted");
    launched_in(launch, route_to_metadata(), cloud).tell(|lan, guest| {
        let console = until_said(lan, guest, "that is all")?;
        ensure_says(&console, &["random bytes: true"])?;
        ensure!(!console.contains(&SEED[..16]), "{console}");
        Ok(())
    });
}
