//! A running app to test: in a virtual machine or as a Linux process, behind one face.

use crate::clients::client::{Answer, Client};
use crate::clients::{Service, site, slow};
use crate::guest;
use crate::image::{image, workspace};
use crate::port;
use crate::process::Process;
use crate::running::Running;
use anyhow::{Context, Result, ensure};
use qemu::Machine;
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tempfile::NamedTempFile;

/// Opens the management endpoint; random enough for a test on loopback.
pub const TOKEN: &str = "a-token-for-tests-0123456789";
/// The endpoint's port inside a virtual machine.
const MANAGEMENT_PORT: u16 = 9100;
/// The states of a whole life, as the agent's log names them.
pub const STATES: [&str; 7] = [
    "Created",
    "Initialized",
    "Starting",
    "Active",
    "In_Maintenance",
    "ReadyToShutDown",
    "Terminated",
];
/// Until Active. A process may have to be compiled first.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// Longest that a target lives.
const DEADLINE: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    Hello,
    Site,
    /// The site's program with a file of 10 MiB.
    LargeSite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Process,
    Machine(Machine),
}

impl Place {
    /// Where a program there finds servers of this host's loopback: QEMU's user network shows it at an address of its own.
    pub fn loopback(self) -> &'static str {
        match self {
            Place::Process => "127.0.0.1",
            Place::Machine(_) => "10.0.2.2",
        }
    }
}

/// Names tests twice: `STORY: TEST AS PROCESS, TEST AS MACHINE;` where the story is a `fn(Place) -> anyhow::Result<()>`. The machine
/// is a microvm, or what is added as `= PLACE`.
#[macro_export]
macro_rules! in_both {
    (@place) => { $crate::target::Place::Machine(::qemu::Machine::Microvm) };
    (@place $place:expr) => { $place };
    ($($story:ident: $process:ident, $machine:ident $(= $place:expr)?;)*) => {$(
        #[test]
        fn $process() {
            $story($crate::target::Place::Process).unwrap_or_else(|error| panic!("{error:?}"));
        }
        #[test]
        fn $machine() {
            $story($crate::in_both!(@place $($place)?)).unwrap_or_else(|error| panic!("{error:?}"));
        }
    )*};
}

pub struct Target {
    pub name: String,
    pub service: Service,
    pub management: SocketAddr,
    running: Running,
    _payload: NamedTempFile,
    /// Given back when the process has ended: fields are dropped in their order.
    _port: Option<port::Claim>,
}

impl App {
    fn folder(self) -> &'static str {
        match self {
            App::Hello => "apps/hello",
            App::Site => "apps/site",
            App::LargeSite => "tests/cartridges/large-site",
        }
    }

    fn expected(self) -> Result<Vec<u8>> {
        Ok(match self {
            App::Hello => b"hello\n".to_vec(),
            App::Site => site::INDEX.to_vec(),
            App::LargeSite => fs::read(workspace().join(App::LargeSite.folder()).join("public/index.html"))?,
        })
    }

    /// Makes what is too large to keep in the repository.
    fn prepare(self) -> Result<()> {
        let path = workspace().join(self.folder()).join("public/large.bin");
        if self == App::LargeSite && fs::metadata(&path).map_or(true, |meta| meta.len() != slow::SIZE as u64) {
            fs::write(&path, (0..slow::SIZE).map(slow::byte_at).collect::<Vec<u8>>()).context("writing large.bin")?;
        }
        Ok(())
    }
}

impl Target {
    /// Starts the app and waits until it is Active. `parameters` are added to the payload, each with a comma before it.
    pub fn start(app: App, place: Place, parameters: &str) -> Result<Target> {
        app.prepare()?;
        let (name, expected) = (format!("{app:?} {place:?}"), app.expected()?);
        let (service, management, running, payload, port) = match place {
            Place::Process => process(app, parameters)?,
            Place::Machine(machine) => machine_of(app, machine, parameters)?,
        };
        let behind_qemu = place != Place::Process;
        let service = Service {
            address: service,
            expected,
            load_seconds: 5,
            behind_qemu,
        };
        Ok(Target {
            name,
            service,
            management,
            running,
            _payload: payload,
            _port: port,
        })
    }

    /// Waits for a console line with `text` in it.
    pub fn wait_for(&self, text: &str, limit: Duration) -> Result<String> {
        self.running.wait_for(text, limit)
    }

    /// Everything on the console so far.
    pub fn console(&self) -> Vec<String> {
        self.running.console()
    }

    /// The command that started it and the console's last lines.
    pub fn report(&self) -> String {
        self.running.report()
    }

    /// Asks for a stop as the platform does: SIGTERM, or the power button.
    pub fn ask_to_stop(&self) -> Result<()> {
        self.running.ask_to_stop()
    }

    /// Waits for the end and gives the exit status.
    pub fn wait(&mut self, limit: Duration) -> Result<i32> {
        self.running.wait(limit)
    }

    pub fn ended(&mut self) -> bool {
        self.running.ended()
    }

    /// Asks the management endpoint, with the token.
    pub fn manage(&self, method: &str, path: &str) -> Result<Answer> {
        manage(self.management, method, path, Some(TOKEN))
    }

    /// Asks for a stop through the management endpoint.
    pub fn ask_by_post(&self) -> Result<()> {
        let answer = self.manage("POST", "/stop")?;
        ensure!((200..300).contains(&answer.status), "{} for POST /stop", answer.status);
        Ok(())
    }

    /// The figures of /metrics that have no labels, by name.
    pub fn figures(&self) -> Result<BTreeMap<String, f64>> {
        figures(self.management)
    }
}

/// The figures of a management endpoint's /metrics that have no labels, by name.
pub fn figures(management: SocketAddr) -> Result<BTreeMap<String, f64>> {
    let answer = manage(management, "GET", "/metrics", Some(TOKEN))?;
    ensure!(answer.status == 200, "status {} for /metrics", answer.status);
    let text = String::from_utf8(answer.body).context("/metrics is no UTF-8")?;
    let samples = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '));
    Ok(samples
        .filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)))
        .collect())
}

/// One request to a management endpoint, on a connection of its own. We close it, so that none lingers in the guest.
pub fn manage(address: SocketAddr, method: &str, path: &str, token: Option<&str>) -> Result<Answer> {
    let mut client = Client::connect(address).with_context(|| format!("{method} {path}"))?;
    let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{token}{length}\r\n").as_bytes())?;
    client.answer().with_context(|| format!("{method} {path}"))
}

type Started = (SocketAddr, SocketAddr, Running, NamedTempFile, Option<port::Claim>);

fn process(app: App, parameters: &str) -> Result<Started> {
    // hello always listens on 8080, as its source says; the others on the ports of their payload.
    let claim = (app == App::Hello).then(|| port::claim(8080)).transpose()?;
    let port = if app == App::Hello { 8080 } else { port::free()? };
    let management = port::free()?;
    let payload = payload(&format!("PORTS={port},"), management, parameters);
    let process = Process::start(app.folder(), Some(payload.path()))?;
    process.wait_for("ready http://", READY_LIMIT)?;
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let running = Running::Process(process);
    Ok((local(port), local(management), running, payload, claim))
}

fn machine_of(app: App, machine: Machine, parameters: &str) -> Result<Started> {
    let payload = payload("", MANAGEMENT_PORT, parameters);
    let mut launch = guest::launch(&image(app.folder())).forward(0, MANAGEMENT_PORT);
    launch.machine = machine;
    launch.memory_mib = 16;
    launch.payload = Some(payload.path().into());
    launch.deadline = Some(DEADLINE);
    let guest = launch.start().map_err(|error| anyhow::anyhow!("{error}"))?;
    qemu::measure::Ready::agent()
        .wait(&guest, READY_LIMIT)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let address = |port| guest.address(port).map_err(|error| anyhow::anyhow!("{error}"));
    Ok((
        address(8080)?,
        address(MANAGEMENT_PORT)?,
        Running::Guest(guest),
        payload,
        None,
    ))
}

fn payload(ports: &str, management: u16, parameters: &str) -> NamedTempFile {
    let text = format!("{ports}MANAGEMENT_PORT={management},MANAGEMENT_TOKEN={TOKEN}{parameters}");
    guest::payload(text.as_bytes())
}
