//! virtio over MMIO: version 2 (virtio 4.2.2) and the legacy version 1 (virtio 4.2.4), which QEMU's microvm still defaults to.

use super::memory::PAGE;
use super::queue::{Addresses, USED_ALIGN};
use super::registers::Registers;
use super::transport::{Doorbell, Transport};

/// Register offsets (virtio 4.2.2, table 4.1; 4.2.4, table 4.2). All are 32 bits wide.
mod register {
    pub const MAGIC: usize = 0x000;
    pub const VERSION: usize = 0x004;
    pub const DEVICE_TYPE: usize = 0x008;
    pub const DEVICE_FEATURES: usize = 0x010;
    pub const DEVICE_FEATURES_SELECT: usize = 0x014;
    pub const DRIVER_FEATURES: usize = 0x020;
    pub const DRIVER_FEATURES_SELECT: usize = 0x024;
    pub const LEGACY_PAGE_SIZE: usize = 0x028;
    pub const QUEUE_SELECT: usize = 0x030;
    pub const QUEUE_SIZE_MAXIMUM: usize = 0x034;
    pub const QUEUE_SIZE: usize = 0x038;
    pub const LEGACY_QUEUE_ALIGN: usize = 0x03c;
    pub const LEGACY_QUEUE_PAGE: usize = 0x040;
    pub const QUEUE_READY: usize = 0x044;
    pub const QUEUE_NOTIFY: usize = 0x050;
    pub const INTERRUPT_STATUS: usize = 0x060;
    pub const INTERRUPT_ACKNOWLEDGE: usize = 0x064;
    pub const STATUS: usize = 0x070;
    pub const QUEUE_DESCRIPTORS: usize = 0x080;
    pub const QUEUE_DRIVER: usize = 0x090;
    pub const QUEUE_DEVICE: usize = 0x0a0;
    pub const GENERATION: usize = 0x0fc;
    pub const CONFIGURATION: usize = 0x100;
}

/// "virt", little-endian.
const MAGIC: u32 = 0x7472_6976;
const VERSION_LEGACY: u32 = 1;
const VERSION: u32 = 2;

/// Why a register window holds no device for us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoDevice {
    /// Device type 0: a place for a device, with none in it (virtio 4.2.2).
    Empty,
    /// No virtio device answers, or one of an unknown version.
    Unknown { magic: u32, version: u32 },
}

pub struct Mmio<R> {
    registers: R,
    legacy: bool,
}

impl<R: Registers> Mmio<R> {
    pub fn new(registers: R) -> Result<Self, NoDevice> {
        let (magic, version) = (registers.read32(register::MAGIC), registers.read32(register::VERSION));
        if magic != MAGIC || !matches!(version, VERSION | VERSION_LEGACY) {
            return Err(NoDevice::Unknown { magic, version });
        }
        if registers.read32(register::DEVICE_TYPE) == 0 {
            return Err(NoDevice::Empty);
        }
        Ok(Self {
            registers,
            legacy: version == VERSION_LEGACY,
        })
    }

    pub fn registers(&self) -> &R {
        &self.registers
    }

    fn read(&self, register: usize) -> u32 {
        self.registers.read32(register)
    }

    fn write(&self, register: usize, value: u32) {
        self.registers.write32(register, value)
    }

    fn write_address(&self, register: usize, address: u64) {
        self.write(register, address as u32);
        self.write(register + 4, (address >> 32) as u32);
    }

    fn features(&self, half: u32) -> u64 {
        self.write(register::DEVICE_FEATURES_SELECT, half);
        u64::from(self.read(register::DEVICE_FEATURES)) << (32 * half)
    }

    /// The legacy interface takes one page number for all three parts, so their order and alignment are fixed.
    fn enable_legacy_queue(&self, addresses: Addresses) -> Option<()> {
        self.write(register::LEGACY_QUEUE_ALIGN, USED_ALIGN as u32);
        let page = u32::try_from(addresses.descriptors / PAGE as u64).ok()?;
        self.write(register::LEGACY_QUEUE_PAGE, page);
        (self.read(register::LEGACY_QUEUE_PAGE) == page).then_some(())
    }

    fn enable_modern_queue(&self, addresses: Addresses) -> Option<()> {
        self.write_address(register::QUEUE_DESCRIPTORS, addresses.descriptors);
        self.write_address(register::QUEUE_DRIVER, addresses.available);
        self.write_address(register::QUEUE_DEVICE, addresses.used);
        self.write(register::QUEUE_READY, 1);
        (self.read(register::QUEUE_READY) == 1).then_some(())
    }
}

impl<R: Registers> Transport for Mmio<R> {
    fn device_type(&self) -> u32 {
        self.read(register::DEVICE_TYPE)
    }

    fn status(&self) -> u8 {
        self.read(register::STATUS) as u8
    }

    fn set_status(&self, status: u8) {
        self.write(register::STATUS, status.into())
    }

    fn device_features(&self) -> u64 {
        if self.legacy {
            self.features(0)
        } else {
            self.features(0) | self.features(1)
        }
    }

    fn set_driver_features(&self, features: u64) {
        for half in 0..if self.legacy { 1 } else { 2 } {
            self.write(register::DRIVER_FEATURES_SELECT, half);
            self.write(register::DRIVER_FEATURES, (features >> (32 * half)) as u32);
        }
        if self.legacy {
            self.write(register::LEGACY_PAGE_SIZE, PAGE as u32);
        }
    }

    fn is_legacy(&self) -> bool {
        self.legacy
    }

    fn queue_maximum(&self, index: u16) -> u16 {
        self.write(register::QUEUE_SELECT, index.into());
        self.read(register::QUEUE_SIZE_MAXIMUM).min(u16::MAX.into()) as u16
    }

    fn enable_queue(&self, index: u16, size: u16, addresses: Addresses) -> Option<Doorbell> {
        self.write(register::QUEUE_SELECT, index.into());
        self.write(register::QUEUE_SIZE, size.into());
        if self.legacy {
            self.enable_legacy_queue(addresses)?
        } else {
            self.enable_modern_queue(addresses)?
        }
        let notify = self.registers.address(register::QUEUE_NOTIFY, 4)?;
        // SAFETY: the address was found inside the window for a register of 4 bytes; windows stay mapped for ever.
        Some(unsafe { Doorbell::new(notify, index, true) })
    }

    fn configuration8(&self, offset: usize) -> u8 {
        self.registers.read8(register::CONFIGURATION + offset)
    }

    fn generation(&self) -> u32 {
        if self.legacy {
            0
        } else {
            self.read(register::GENERATION)
        }
    }
}

/// Offsets that the interrupt handler uses without a transport at hand: (status, acknowledge).
pub const INTERRUPT_REGISTERS: (usize, usize) = (register::INTERRUPT_STATUS, register::INTERRUPT_ACKNOWLEDGE);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtio::fake::FakeRegisters;

    const ADDRESSES: Addresses = Addresses {
        descriptors: 0x12_3456_7000,
        available: 0x12_3456_7200,
        used: 0x12_3456_7280,
    };

    #[test]
    fn a_legacy_queue_is_told_by_page_and_alignment() {
        let registers = FakeRegisters::new(1, 1, u64::MAX);
        let transport = registers.transport();
        assert!(transport.is_legacy());
        assert_eq!(transport.device_features(), 0xffff_ffff, "legacy devices have 32");
        transport.set_driver_features(1 << 32 | 7);
        assert!(transport.enable_queue(1, 32, ADDRESSES).is_some());
        let device = registers.0.borrow();
        let queue = device.queues[1];
        assert_eq!((device.driver_features, device.page_size), (7, 4096));
        assert_eq!((queue.size, queue.align, queue.page), (32, 64, 0x123_4567));
    }

    #[test]
    fn a_legacy_queue_beyond_the_page_numbers_is_refused() {
        let transport = FakeRegisters::new(1, 1, 0).transport();
        let addresses = Addresses {
            descriptors: 1 << 44,
            ..ADDRESSES
        };
        assert!(transport.enable_queue(0, 32, addresses).is_none());
    }

    #[test]
    fn only_devices_are_devices() {
        let unknown = |version| Some(NoDevice::Unknown { magic: MAGIC, version });
        assert_eq!(Mmio::new(FakeRegisters::new(2, 0, 0)).err(), Some(NoDevice::Empty));
        assert_eq!(Mmio::new(FakeRegisters::new(0, 1, 0)).err(), unknown(0));
        assert_eq!(Mmio::new(FakeRegisters::new(3, 1, 0)).err(), unknown(3));
    }
}
