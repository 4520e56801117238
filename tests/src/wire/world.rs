//! A guest on our network, as the tests' stories begin and end.

use super::{Lan, dhcp};
use crate::guest;
use crate::image::image;
use anyhow::{Result, ensure};
use qemu::{Guest, Launch};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tempfile::NamedTempFile;

/// For one exchange with a guest that is there; TCP may have to send something again.
pub const LIMIT: Duration = Duration::from_secs(20);
/// Where the program `tests/cartridges/wire` listens.
const PORT: u16 = 8080;

/// A guest on a network, and its payload's file.
pub struct World {
    pub lan: Lan,
    pub guest: Guest,
    _payload: Option<NamedTempFile>,
}

impl World {
    /// The program that does what it is asked for, with a payload.
    pub fn new(payload: &str) -> World {
        World::of("tests/cartridges/wire", payload, "")
    }

    /// Any program, with a payload and kernel arguments.
    pub fn of(program: &str, payload: &str, arguments: &str) -> World {
        let file = guest::payload(payload.as_bytes());
        let mut launch = Launch::new(image(program));
        launch.payload = Some(file.path().to_owned());
        launch.kernel_arguments = arguments.to_owned();
        World {
            _payload: Some(file),
            ..World::launched(launch)
        }
    }

    /// Any machine.
    pub fn launched(mut launch: Launch) -> World {
        launch.deadline = Some(guest::GUEST_DEADLINE);
        let (lan, guest) = Lan::start(launch).unwrap_or_else(|error| panic!("{error:#}"));
        World {
            lan,
            guest,
            _payload: None,
        }
    }

    /// Runs the test's story, and adds the console and the command to an error.
    pub fn tell(mut self, story: impl FnOnce(&mut Lan, &Guest) -> Result<()>) {
        if let Err(error) = story(&mut self.lan, &self.guest) {
            panic!(
                "{error:#}\nconsole:\n{}\n{}",
                self.guest.console(),
                self.guest.command()
            );
        }
    }
}

/// The program that does what it is asked for, where there is a DHCP server.
pub fn on_dhcp(server: dhcp::Server) -> World {
    let mut world = World::new("");
    world.lan.dhcp = Some(server);
    world
}

/// The program's port at an address of the guest's.
pub fn at(address: impl Into<IpAddr>) -> SocketAddr {
    SocketAddr::new(address.into(), PORT)
}

/// The guest answers a line as it must.
pub fn ensure_answer(lan: &mut Lan, address: impl Into<IpAddr>, line: &str, expected: &str) -> Result<()> {
    let answer = lan.ask(at(address), line, LIMIT)?;
    ensure!(answer == expected, "{line}: {answer:?} instead of {expected:?}");
    Ok(())
}

/// What the kernel says of its network has each of the lines.
pub fn ensure_network(lan: &mut Lan, address: impl Into<IpAddr>, lines: &[&str]) -> Result<()> {
    let said = lan.ask_when_ready(at(address), "network", LIMIT)?;
    for line in lines {
        ensure!(said.lines().any(|said| said == *line), "no line {line:?} in\n{said}");
    }
    Ok(())
}
