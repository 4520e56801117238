//! What a guest is made of: machine, firmware, accelerator, network card.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// QEMU's machine type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Machine {
    /// `microvm` without ACPI or PCI: virtio over MMIO, found through the kernel command line. No power button.
    Microvm,
    /// `q35`: PCI Express with ECAM, ACPI.
    Q35,
    /// `pc` (i440fx): conventional PCI, ACPI.
    Pc,
}

impl Machine {
    pub const ALL: [Machine; 3] = [Machine::Microvm, Machine::Q35, Machine::Pc];

    /// The firmware QEMU users would expect: the small one on microvm, SeaBIOS on the PCs.
    pub fn default_firmware(self) -> Firmware {
        match self {
            Machine::Microvm => Firmware::Qboot,
            Machine::Q35 | Machine::Pc => Firmware::SeaBios,
        }
    }

    pub fn default_card(self) -> NetworkCard {
        match self {
            Machine::Microvm => NetworkCard::MmioModern,
            Machine::Q35 | Machine::Pc => NetworkCard::Modern,
        }
    }

    /// Whether QMP's `system_powerdown` reaches the guest (the ACPI power button).
    pub fn has_power_button(self) -> bool {
        self != Machine::Microvm
    }

    pub(crate) fn has_pci(self) -> bool {
        self != Machine::Microvm
    }
}

/// What runs first after reset and loads the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    Qboot,
    SeaBios,
}

/// How guest code is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// KVM if [`crate::kvm::usable`] proves it, else TCG.
    Auto,
    Kvm,
    Tcg,
}

/// The guest's network card: always virtio-net, by transport and by virtio generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkCard {
    /// PCI, virtio 1 only (device id 0x1041).
    Modern,
    /// PCI, virtio 1 and the legacy interface (device id 0x1000).
    Transitional,
    /// MMIO, version 2.
    MmioModern,
    /// MMIO, version 1, QEMU's default on microvm.
    MmioLegacy,
    None,
}

macro_rules! words {
    ($type:ident, $($variant:ident = $word:literal),+) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($type::$variant => $word),+ })
            }
        }

        impl FromStr for $type {
            type Err = String;

            /// The error lists the accepted words.
            fn from_str(text: &str) -> Result<$type, String> {
                match text {
                    $($word => Ok($type::$variant),)+
                    other => Err(format!("\"{other}\" is not one of: {}", [$($word),+].join(", "))),
                }
            }
        }
    };
}

words!(Machine, Microvm = "microvm", Q35 = "q35", Pc = "pc");
words!(Firmware, Qboot = "qboot", SeaBios = "seabios");
words!(Accel, Auto = "auto", Kvm = "kvm", Tcg = "tcg");
words!(
    NetworkCard,
    Modern = "modern",
    Transitional = "transitional",
    MmioModern = "mmio-modern",
    MmioLegacy = "mmio-legacy",
    None = "none"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_a_wrong_one_lists_the_right_ones() {
        for machine in Machine::ALL {
            assert_eq!(machine.to_string().parse(), Ok(machine));
        }
        let error = "virt".parse::<Machine>().unwrap_err();
        assert_eq!(error, "\"virt\" is not one of: microvm, q35, pc");
    }
}
