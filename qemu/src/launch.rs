//! A guest as one describes it, and its start.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::command::Command;
use crate::console::{Console, Line, Tee};
use crate::error::{Error, Reason};
use crate::guard;
use crate::guest::{Guest, Process, Setup};
use crate::kvm;
use crate::machine::{Accel, Firmware, Machine, NetworkCard};
use crate::plugin::Counter;
use crate::qmp::Qmp;

/// How long QEMU may take to build its machine and answer QMP; guest code does not count. Generous for a loaded host.
const QEMU_START_LIMIT: Duration = Duration::from_secs(20);

pub(crate) const QEMU: &str = "qemu-system-x86_64";

/// One port of the host's loopback interface forwarded to a port of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// On 127.0.0.1. 0: QEMU picks a free one; see [`Guest::address`].
    pub host: u16,
    pub guest: u16,
}

/// What the guest's network card is plugged into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// QEMU's user-mode network: DHCP, DNS, a gateway at 10.0.2.2, and the forwards.
    User,
    /// A cable that leads nowhere: nothing ever answers.
    Silent,
}

/// The description of a guest. Fields may be set freely; [`Launch::new`] gives the usual ones.
#[derive(Clone)]
pub struct Launch {
    /// The ELF image, entered by PVH.
    pub image: PathBuf,
    pub machine: Machine,
    /// [`Machine::default_firmware`] unless set.
    pub firmware: Option<Firmware>,
    pub accel: Accel,
    pub cpu: String,
    pub cpus: u32,
    pub memory_mib: u32,
    /// [`Machine::default_card`] unless set.
    pub card: Option<NetworkCard>,
    /// A microvm with PCI Express, and with ACPI that describes it: for PCI cards, which it has no place for otherwise.
    pub pcie: bool,
    /// Whether a PCI card offers MSI-X; without it, the interrupt is INTx.
    pub msix: bool,
    pub network: Network,
    pub forwards: Vec<Forward>,
    /// Handed to the guest as its boot module.
    pub payload: Option<PathBuf>,
    /// The kernel command line.
    pub kernel_arguments: String,
    /// A virtio entropy device fed by the host.
    pub entropy: bool,
    /// Counts guest instructions with a plugin; TCG only, and a little slower.
    pub count_instructions: bool,
    /// QEMU is killed when it runs longer than this.
    pub deadline: Option<Duration>,
    /// Appended to QEMU's command line as they are.
    pub extra: Vec<String>,
    /// See [`Launch::on_line`].
    pub(crate) tee: Option<Tee>,
}

impl Launch {
    /// A microvm with qboot, 64 MiB, one CPU, a network card, an entropy device, and the accelerator that works here.
    pub fn new(image: impl Into<PathBuf>) -> Launch {
        Launch {
            image: image.into(),
            machine: Machine::Microvm,
            firmware: None,
            accel: Accel::Auto,
            cpu: "max".to_owned(),
            cpus: 1,
            memory_mib: 64,
            card: None,
            pcie: false,
            msix: true,
            network: Network::User,
            forwards: Vec::new(),
            payload: None,
            kernel_arguments: String::new(),
            entropy: true,
            count_instructions: false,
            deadline: None,
            extra: Vec::new(),
            tee: None,
        }
    }

    /// Forwards TCP from the host's 127.0.0.1; `host` 0 lets QEMU pick a free port.
    pub fn forward(mut self, host: u16, guest: u16) -> Launch {
        self.forwards.push(Forward { host, guest });
        self
    }

    /// Calls `tee` with every console line as it comes in, on a thread of the console's own.
    pub fn on_line(mut self, tee: impl Fn(&Line) + Send + Sync + 'static) -> Launch {
        self.tee = Some(Arc::new(tee));
        self
    }

    pub fn firmware(&self) -> Firmware {
        self.firmware.unwrap_or(self.machine.default_firmware())
    }

    pub fn card(&self) -> NetworkCard {
        self.card.unwrap_or(self.machine.default_card())
    }

    pub(crate) fn has_pci(&self) -> bool {
        self.machine.has_pci() || self.pcie
    }

    /// Starts QEMU and returns once the machine exists and runs.
    ///
    /// # Errors
    /// A setting that cannot be, QEMU missing or refusing (the message says what it said and how to repeat it).
    pub fn start(&self) -> Result<Guest, Error> {
        guard::require(QEMU, "install it (Debian: apt-get install qemu-system-x86)")?;
        self.check()?;
        let mut notices = Vec::new();
        let accel = self.resolve_accel(&mut notices);
        let counter = self.count_instructions.then(Counter::prepare).transpose()?;
        let command = Command::compose(self, accel, counter.as_ref());
        let shown = command.to_string();
        let setup = Setup {
            command: shown.clone(),
            accel,
            notices,
            counter,
        };
        self.start_command(&command, setup)
            .map_err(|error| error.with_command(&shown))
    }

    fn start_command(&self, command: &Command, setup: Setup) -> Result<Guest, Error> {
        let (ours, theirs) = UnixStream::pair().map_err(|source| Error::io("make a stream for QMP", source))?;
        let started = Instant::now();
        let streams = [Stdio::from(OwnedFd::from(theirs)), Stdio::piped(), Stdio::piped()];
        let [input, output, errors] = streams;
        let mut qemu = guard::command(QEMU)?;
        qemu.args(command.arguments())
            .stdin(input)
            .stdout(output)
            .stderr(errors);
        let mut child = guard::spawn(qemu, QEMU)?;
        let console = Console::new(started);
        if let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) {
            let (lines, said, tee) = (console.clone(), console.clone(), self.tee.clone());
            thread::spawn(move || lines.follow(output, tee));
            thread::spawn(move || said.follow_qemu(errors));
        }
        let mut guest = Guest::new(
            Process {
                child,
                console,
                started,
            },
            setup,
            self,
        );
        match Qmp::connect(ours, QEMU_START_LIMIT) {
            Ok(qmp) => guest.connected(qmp, self)?,
            Err(error) => return Err(guest.failed_to_start(error, self.firmware())),
        }
        Ok(guest)
    }

    fn resolve_accel(&self, notices: &mut Vec<String>) -> Accel {
        match self.accel {
            Accel::Auto if self.count_instructions => Accel::Tcg,
            Accel::Auto => match kvm::usable() {
                Ok(()) => Accel::Kvm,
                Err(why) => {
                    notices.push(format!("using TCG (emulation), which is slower: {why}"));
                    Accel::Tcg
                }
            },
            accel => accel,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let mmio = matches!(self.card(), NetworkCard::MmioModern | NetworkCard::MmioLegacy);
        let pci = matches!(self.card(), NetworkCard::Modern | NetworkCard::Transitional);
        if (mmio && self.machine.has_pci()) || (pci && !self.has_pci()) {
            let (machine, card, fits) = (self.machine, self.card(), self.machine.default_card());
            return Err(Error::setting(format!(
                "{machine} has no place for a {card} network card; use {fits} or none"
            )));
        }
        if self.count_instructions && self.accel == Accel::Kvm {
            return Err(Error::setting(
                "instructions can be counted under TCG only; use --accel tcg",
            ));
        }
        if self.memory_mib == 0 || self.cpus == 0 {
            return Err(Error::setting("a guest needs at least 1 MiB of memory and 1 CPU"));
        }
        readable(&self.image, "image")?;
        self.payload
            .as_deref()
            .map_or(Ok(()), |payload| readable(payload, "payload"))
    }
}

/// QEMU's own message for a missing file names no cause.
fn readable(path: &Path, what: &str) -> Result<(), Error> {
    std::fs::File::open(path)
        .map(drop)
        .map_err(|source| Error::io(format!("open the {what} {}", path.display()), source))
}

/// The ports QEMU really forwards, from its `info usernet`: state, descriptor, host address, host port, guest address, port.
pub(crate) fn parse_forwards(usernet: &str) -> Vec<(Forward, SocketAddr)> {
    let forward = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        words.next().filter(|word| *word == "TCP[HOST_FORWARD]")?;
        let host: SocketAddr = format!("{}:{}", words.nth(1)?, words.next()?).parse().ok()?;
        let guest = words.nth(1)?.parse().ok()?;
        Some((
            Forward {
                host: host.port(),
                guest,
            },
            host,
        ))
    };
    usernet.lines().filter_map(forward).collect()
}

pub(crate) fn no_forward(guest: u16) -> Error {
    Reason::Setting(format!(
        "no host port is forwarded to the guest's port {guest}; add one with --port HOST:{guest}"
    ))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwards_are_read_from_info_usernet() {
        let text = "Hub -1 (n):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  \
                    TCP[HOST_FORWARD]   8       127.0.0.1 41107       10.0.2.15  8080     0     0\r\n";
        let expected = Forward {
            host: 41107,
            guest: 8080,
        };
        assert_eq!(parse_forwards(text), [(expected, "127.0.0.1:41107".parse().unwrap())]);
        assert_eq!(parse_forwards("TCP[HOST_FORWARD] 8 nonsense"), []);
    }

    #[test]
    fn a_card_that_does_not_fit_the_machine_is_refused_with_one_that_does() {
        let mut launch = Launch::new("/dev/null");
        launch.card = Some(NetworkCard::Transitional);
        let error = launch.start().err().unwrap().to_string();
        assert!(error.contains("use mmio-modern or none"), "{error}");
    }

    #[test]
    fn a_missing_image_is_named() {
        let error = Launch::new("/no/such/image").start().err().unwrap().to_string();
        assert!(error.contains("open the image /no/such/image"), "{error}");
    }
}
