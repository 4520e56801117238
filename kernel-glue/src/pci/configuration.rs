//! Configuration space: a function's address and its 256 bytes of type 0 or type 1 header and capabilities (PCI 6).

use core::fmt;

/// A function's place on the bus.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Function {
    pub bus: u8,
    /// Below 32.
    pub device: u8,
    /// Below 8.
    pub function: u8,
}

impl fmt::Display for Function {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{:02x}:{:02x}.{}", self.bus, self.device, self.function)
    }
}

pub const HOST_BRIDGE: Function = Function {
    bus: 0,
    device: 0,
    function: 0,
};

/// What reaches configuration space: one type on the machine (no table of functions), anything in tests.
#[cfg(target_os = "hermit")]
pub type Space = super::access::Access;
#[cfg(not(target_os = "hermit"))]
pub type Space = dyn ConfigurationSpace;

/// Identities (vendor, device) of host bridges whose machines need to be told apart.
pub mod host_bridge {
    /// QEMU `pc`.
    pub const I440FX: (u16, u16) = (0x8086, 0x1237);
    /// QEMU `q35`.
    pub const Q35: (u16, u16) = (0x8086, 0x29c0);
    /// QEMU's generic one, of `microvm,pcie=on`.
    pub const GENERIC: (u16, u16) = (0x1b36, 0x0008);
}

/// Register offsets of the header (PCI 6.1, figure 6-1; bridges: Bridge Architecture 3.2).
pub mod register {
    pub const IDENTITY: u8 = 0x00;
    pub const COMMAND_STATUS: u8 = 0x04;
    pub const CLASS: u8 = 0x08;
    pub const HEADER_TYPE: u8 = 0x0e;
    pub const FIRST_BAR: u8 = 0x10;
    pub const SECONDARY_BUS: u8 = 0x19;
    pub const CAPABILITIES: u8 = 0x34;
    pub const INTERRUPT_LINE: u8 = 0x3c;
    pub const INTERRUPT_PIN: u8 = 0x3d;
}

/// Bits of the command register (PCI 6.2.2).
pub mod command {
    pub const MEMORY: u16 = 1 << 1;
    pub const BUS_MASTER: u16 = 1 << 2;
    pub const INTX_DISABLE: u16 = 1 << 10;
}

/// Status register: the function has a list of capabilities (PCI 6.2.3).
const STATUS_CAPABILITIES: u16 = 1 << 4;

/// Access to configuration space, 32 bits at a time. Offsets are multiples of 4.
pub trait ConfigurationSpace {
    /// All ones where nothing answers.
    fn read(&self, function: Function, offset: u8) -> u32;
    fn write(&self, function: Function, offset: u8, value: u32);

    fn read16(&self, function: Function, offset: u8) -> u16 {
        (self.read(function, offset & !3) >> (8 * u32::from(offset & 2))) as u16
    }

    fn read8(&self, function: Function, offset: u8) -> u8 {
        (self.read(function, offset & !3) >> (8 * u32::from(offset & 3))) as u8
    }

    /// Vendor and device identifier, or `None` where there is no function.
    fn identity(&self, function: Function) -> Option<(u16, u16)> {
        let identity = self.read(function, register::IDENTITY);
        (identity as u16 != 0xffff).then_some((identity as u16, (identity >> 16) as u16))
    }

    fn command(&self, function: Function) -> u16 {
        self.read16(function, register::COMMAND_STATUS)
    }

    /// Writes the command register. The status bits above it clear by writing 1, so 0 leaves them alone.
    fn set_command(&self, function: Function, command: u16) {
        self.write(function, register::COMMAND_STATUS, command.into())
    }

    fn has_capabilities(&self, function: Function) -> bool {
        self.read(function, register::COMMAND_STATUS) >> 16 & u32::from(STATUS_CAPABILITIES) != 0
    }
}
