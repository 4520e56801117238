//! A launch as QEMU's command line.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use crate::launch::{Launch, Network, QEMU};
use crate::machine::{Accel, Firmware, Machine, NetworkCard};
use crate::plugin::Counter;

/// QEMU's arguments in two parts: those that make the machine, and those that tie it to us.
pub(crate) struct Command {
    machine: Vec<String>,
}

/// QMP over standard input, which is one end of a socket pair: no file to name, to guard or to leave behind.
const SUPERVISION: [&str; 4] = ["-chardev", "socket,id=qmp,fd=0", "-mon", "chardev=qmp,mode=control"];

impl Command {
    pub fn compose(launch: &Launch, accel: Accel, counter: Option<&Counter>) -> Command {
        let mut command = Command { machine: Vec::new() };
        command.add_machine(launch, accel);
        // `file` and not `stdio`: standard input belongs to QMP.
        command.add(["-nodefaults", "-display", "none", "-no-reboot"]);
        command.add([
            "-chardev",
            "file,id=console,path=/dev/stdout",
            "-serial",
            "chardev:console",
        ]);
        command.add(["-kernel", &launch.image.to_string_lossy()]);
        if !launch.kernel_arguments.is_empty() {
            command.add(["-append", &launch.kernel_arguments]);
        }
        if let Some(payload) = &launch.payload {
            // A name as it is: unlike option values, QEMU does not split it at commas.
            command.add(["-initrd", &payload.to_string_lossy()]);
        }
        command.add_network(launch);
        if launch.entropy {
            command.add([
                "-device",
                if launch.has_pci() {
                    "virtio-rng-pci"
                } else {
                    "virtio-rng-device"
                },
            ]);
        }
        if let Some(counter) = counter {
            let (library, socket) = (doubled_commas(counter.library()), doubled_commas(counter.socket()));
            command.add(["-plugin", &format!("{library},socket={socket}")]);
        }
        command.machine.extend(launch.extra.iter().cloned());
        command
    }

    fn add_machine(&mut self, launch: &Launch, accel: Accel) {
        match launch.machine {
            Machine::Microvm if launch.pcie => self.add(["-machine", "microvm,acpi=on,pcie=on"]),
            Machine::Microvm => self.add(["-machine", "microvm,acpi=off"]),
            Machine::Q35 => self.add(["-machine", "q35"]),
            Machine::Pc => self.add(["-machine", "pc"]),
        }
        match (launch.machine, launch.firmware()) {
            (_, Firmware::Qboot) => self.add(["-bios", "qboot.rom"]),
            (Machine::Microvm, Firmware::SeaBios) => self.add(["-bios", "bios-microvm.bin"]),
            (Machine::Q35 | Machine::Pc, Firmware::SeaBios) => {} // QEMU's default
        }
        self.add(["-accel", if accel == Accel::Kvm { "kvm" } else { "tcg" }]);
        self.add(["-cpu", &launch.cpu]);
        self.add(["-smp", &launch.cpus.to_string()]);
        self.add(["-m", &format!("{}M", launch.memory_mib)]);
    }

    fn add_network(&mut self, launch: &Launch) {
        // An empty romfile: SeaBIOS would else load and run a network boot ROM.
        let pci = |legacy: &str| {
            let vectors = if launch.msix { "" } else { ",vectors=0" };
            format!("virtio-net-pci,netdev=net,romfile=,disable-modern=off,disable-legacy={legacy}{vectors}")
        };
        let device = match launch.card() {
            NetworkCard::None => return,
            NetworkCard::Modern => pci("on"),
            NetworkCard::Transitional => pci("off"),
            NetworkCard::MmioModern | NetworkCard::MmioLegacy => "virtio-net-device,netdev=net".to_owned(),
        };
        if launch.card() == NetworkCard::MmioModern {
            self.add(["-global", "virtio-mmio.force-legacy=false"]);
        }
        let mut backend = match launch.network {
            Network::User => "user,id=net".to_owned(),
            Network::Silent => "hubport,hubid=0,id=net".to_owned(),
        };
        if launch.network == Network::User {
            for forward in &launch.forwards {
                backend.push_str(&format!(",hostfwd=tcp:127.0.0.1:{}-:{}", forward.host, forward.guest));
            }
        }
        self.add(["-netdev", &backend, "-device", &device]);
    }

    fn add<const N: usize>(&mut self, words: [&str; N]) {
        self.machine.extend(words.map(str::to_owned));
    }

    /// What QEMU is given.
    pub fn arguments(&self) -> Vec<OsString> {
        self.machine
            .iter()
            .map(OsString::from)
            .chain(SUPERVISION.map(OsString::from))
            .collect()
    }
}

/// As one would type it: the same machine, without our QMP stream.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = std::iter::once(QEMU).chain(self.machine.iter().map(String::as_str));
        f.write_str(&shlex::try_join(words).unwrap_or_else(|_| format!("{QEMU} {:?}", self.machine)))
    }
}

/// QEMU splits option values at commas; a doubled comma stands for one.
fn doubled_commas(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shown_command_is_the_machine_without_our_ties() {
        let mut launch = Launch::new("an image.elf").forward(8080, 80);
        launch.payload = Some("a,b".into());
        let command = Command::compose(&launch, Accel::Tcg, None);
        let shown = command.to_string();
        assert!(
            shown.starts_with("qemu-system-x86_64 -machine 'microvm,acpi=off' -bios qboot.rom"),
            "{shown}"
        );
        assert!(
            shown.contains("'an image.elf'") && shown.contains("-initrd 'a,b'"),
            "{shown}"
        );
        assert!(shown.contains("hostfwd=tcp:127.0.0.1:8080-:80'"), "{shown}");
        assert!(!shown.contains("qmp"));
        assert!(command.arguments().contains(&"chardev=qmp,mode=control".into()));
    }

    #[test]
    fn a_card_without_msix_has_no_vectors() {
        let mut launch = Launch::new("i");
        (launch.machine, launch.msix) = (Machine::Q35, false);
        assert!(
            Command::compose(&launch, Accel::Tcg, None)
                .to_string()
                .contains("disable-legacy=on,vectors=0")
        );
    }
}
