//! virtio over PCI by its modern interface (virtio 4.1), which transitional devices have too.

use super::queue::Addresses;
use super::registers::Registers;
use super::transport::{Doorbell, Transport};
use crate::pci::bar::COUNT as BARS;
use crate::pci::capability::{self, identifier};
use crate::pci::configuration::{register as header, *};
use core::cell::Cell;

/// Vendor of every virtio device (virtio 4.1.2).
pub const VENDOR: u16 = 0x1af4;

/// The device type behind a PCI device identifier (virtio 4.1.2, and 4.1.2.1 for the transitional ones).
pub fn device_type(identifier: u16) -> Option<u32> {
    match identifier {
        0x1000 => Some(1),
        0x1001 => Some(2),
        0x1002 => Some(5),
        0x1003 => Some(3),
        0x1004 => Some(8),
        0x1005 => Some(4),
        0x1009 => Some(9),
        0x1040..=0x107f => Some(u32::from(identifier - 0x1040)),
        _ => None,
    }
}

/// A part of the device's registers: BAR, and bytes from its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub bar: u8,
    pub offset: u32,
    pub length: u32,
}

/// Where the parts are (virtio 4.1.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Places {
    pub common: Place,
    pub notify: Place,
    /// Bytes between the doorbells of queues with adjacent notification offsets.
    pub notify_multiplier: u32,
    pub interrupt_status: Place,
    /// Absent on devices without a configuration of their own.
    pub device: Option<Place>,
}

/// Values of cfg_type in the vendor capability (virtio 4.1.4). 3 is the interrupt status, 4 the device's own configuration.
mod part {
    pub const COMMON: u8 = 1;
    pub const NOTIFY: u8 = 2;
}

/// Bytes of the common configuration (virtio 4.1.4.3), up to queue_device.
const COMMON_LENGTH: u32 = 56;

/// Reads the vendor capabilities; `None` for a device without the modern interface. Of several of one kind the first with
/// a memory BAR counts (virtio 4.1.4.1).
pub fn places(space: &Space, function: Function) -> Option<Places> {
    // By cfg_type.
    let mut parts = [None; 5];
    let mut notify_multiplier = 0;
    for found in capability::list(space, function).filter(|found| found.identifier == identifier::VENDOR) {
        // virtio 4.1.4: cfg_type at 3, bar at 4, offset at 8, length at 12, notify_off_multiplier at 16.
        let Some(last) = found.offset.checked_add(16) else {
            continue;
        };
        let bar = space.read8(function, found.offset + 4);
        // A part behind I/O ports has a twin in memory.
        if bar >= BARS || space.read(function, header::FIRST_BAR + 4 * bar) & 1 != 0 {
            continue;
        }
        let kind = space.read8(function, found.offset + 3);
        let place = Place {
            bar,
            offset: space.read(function, found.offset + 8),
            length: space.read(function, found.offset + 12),
        };
        let Some(part @ None) = parts.get_mut(usize::from(kind)) else {
            continue;
        };
        if kind == part::COMMON && place.length < COMMON_LENGTH {
            continue;
        }
        if kind == part::NOTIFY {
            notify_multiplier = space.read(function, last);
        }
        *part = Some(place);
    }
    let [_, Some(common), Some(notify), Some(interrupt_status), device] = parts else {
        return None;
    };
    Some(Places {
        common,
        notify,
        notify_multiplier,
        interrupt_status,
        device,
    })
}

/// Offsets in the common configuration (virtio 4.1.4.3).
mod register {
    pub const DEVICE_FEATURES_SELECT: usize = 0;
    pub const DEVICE_FEATURES: usize = 4;
    pub const DRIVER_FEATURES_SELECT: usize = 8;
    pub const DRIVER_FEATURES: usize = 12;
    pub const CONFIGURATION_VECTOR: usize = 16;
    pub const STATUS: usize = 20;
    pub const GENERATION: usize = 21;
    pub const QUEUE_SELECT: usize = 22;
    pub const QUEUE_SIZE: usize = 24;
    pub const QUEUE_VECTOR: usize = 26;
    pub const QUEUE_ENABLE: usize = 28;
    pub const QUEUE_NOTIFY_OFFSET: usize = 30;
    pub const QUEUE_DESCRIPTORS: usize = 32;
    pub const QUEUE_DRIVER: usize = 40;
    pub const QUEUE_DEVICE: usize = 48;
}

/// MSI-X table entries (virtio 4.1.5.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vectors {
    pub configuration: u16,
    pub queues: u16,
}

pub struct Pci<R> {
    pub common: R,
    pub notify: R,
    pub notify_multiplier: u32,
    pub device: Option<R>,
    pub device_type: u32,
    /// `None` with INTx.
    pub vectors: Cell<Option<Vectors>>,
}

impl<R: Registers> Pci<R> {
    fn features(&self, half: u32) -> u64 {
        self.common.write32(register::DEVICE_FEATURES_SELECT, half);
        u64::from(self.common.read32(register::DEVICE_FEATURES)) << (32 * half)
    }

    /// 64-bit fields are written as two halves (virtio 4.1.3.1).
    fn write_address(&self, register: usize, address: u64) {
        self.common.write32(register, address as u32);
        self.common.write32(register + 4, (address >> 32) as u32);
    }
}

impl<R: Registers> Transport for Pci<R> {
    fn device_type(&self) -> u32 {
        self.device_type
    }

    fn status(&self) -> u8 {
        self.common.read8(register::STATUS)
    }

    fn set_status(&self, status: u8) {
        self.common.write8(register::STATUS, status)
    }

    fn device_features(&self) -> u64 {
        self.features(0) | self.features(1)
    }

    fn set_driver_features(&self, features: u64) {
        for half in 0..2 {
            self.common.write32(register::DRIVER_FEATURES_SELECT, half);
            self.common
                .write32(register::DRIVER_FEATURES, (features >> (32 * half)) as u32);
        }
    }

    fn is_legacy(&self) -> bool {
        false
    }

    fn queue_maximum(&self, index: u16) -> u16 {
        self.common.write16(register::QUEUE_SELECT, index);
        self.common.read16(register::QUEUE_SIZE)
    }

    fn enable_queue(&self, index: u16, size: u16, addresses: Addresses) -> Option<Doorbell> {
        self.common.write16(register::QUEUE_SELECT, index);
        self.common.write16(register::QUEUE_SIZE, size);
        if let Some(vectors) = self.vectors.get() {
            self.common.write16(register::QUEUE_VECTOR, vectors.queues);
        }
        self.write_address(register::QUEUE_DESCRIPTORS, addresses.descriptors);
        self.write_address(register::QUEUE_DRIVER, addresses.available);
        self.write_address(register::QUEUE_DEVICE, addresses.used);
        // virtio 4.1.4.4: the doorbell is at queue_notify_off times the multiplier.
        let offset =
            u32::from(self.common.read16(register::QUEUE_NOTIFY_OFFSET)).checked_mul(self.notify_multiplier)?;
        let notify = self.notify.address(offset as usize, 2)?;
        self.common.write16(register::QUEUE_ENABLE, 1);
        if self.common.read16(register::QUEUE_ENABLE) != 1 {
            return None;
        }
        // SAFETY: the address was found inside the window for a register of 2 bytes; windows stay mapped for ever.
        Some(unsafe { Doorbell::new(notify, index, false) })
    }

    fn configuration8(&self, offset: usize) -> u8 {
        self.device.as_ref().map_or(0, |device| device.read8(offset))
    }

    fn generation(&self) -> u32 {
        self.common.read8(register::GENERATION).into()
    }

    fn prepare_interrupts(&self) {
        if let Some(vectors) = self.vectors.get() {
            self.common
                .write16(register::CONFIGURATION_VECTOR, vectors.configuration);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::fake::{FUNCTION, FakeSpace};

    fn with_capabilities(capabilities: &[(u8, u8, u8, u32, u32)]) -> FakeSpace {
        let mut space = FakeSpace::default();
        space
            .put(FUNCTION, 4, 0x0010_0000)
            .put(FUNCTION, 0x34, capabilities[0].0.into());
        for (position, &(at, kind, bar, offset, length)) in capabilities.iter().enumerate() {
            let next = capabilities.get(position + 1).map_or(0, |next| next.0);
            let header = u32::from(kind) << 24 | 16 << 16 | u32::from(next) << 8 | 9;
            space.put(FUNCTION, at, header).put(FUNCTION, at + 4, bar.into());
            space.put(FUNCTION, at + 8, offset);
            if at < 0xf4 {
                space.put(FUNCTION, at + 12, length);
            }
        }
        space
    }

    #[test]
    fn the_parts_of_a_qemu_device_are_found() {
        // (offset, cfg_type, bar, offset in it, length), as `lspci -v` shows a virtio-net-pci of QEMU.
        let mut space = with_capabilities(&[
            (0x40, 5, 0, 0, 0),
            (0x54, 2, 4, 0x3000, 0x1000),
            (0x68, 4, 4, 0x2000, 0x1000),
            (0x78, 3, 4, 0x1000, 0x1000),
            (0x88, 1, 4, 0, 0x1000),
        ]);
        space.put(FUNCTION, 0x64, 4);
        let places = places(&space, FUNCTION).unwrap();
        assert_eq!(
            places.common,
            Place {
                bar: 4,
                offset: 0,
                length: 0x1000
            }
        );
        assert_eq!((places.notify.offset, places.notify_multiplier), (0x3000, 4));
        assert_eq!(
            (places.interrupt_status.offset, places.device.unwrap().offset),
            (0x1000, 0x2000)
        );
    }

    #[test]
    fn parts_behind_io_ports_are_passed_over() {
        let mut space = with_capabilities(&[
            (0x54, 2, 2, 0, 4),
            (0x68, 2, 4, 0x3000, 0x1000),
            (0x78, 3, 4, 0, 1),
            (0x88, 1, 4, 0, 56),
        ]);
        space.put(FUNCTION, 0x18, 0xc041);
        assert_eq!(places(&space, FUNCTION).unwrap().notify.bar, 4);
    }

    #[test]
    fn bad_capabilities_do_not_count() {
        let missing = with_capabilities(&[(0x54, 2, 4, 0, 8), (0x78, 3, 4, 0, 1)]);
        assert_eq!(places(&missing, FUNCTION), None, "no common configuration");
        let reserved_bar = with_capabilities(&[(0x54, 2, 4, 0, 8), (0x78, 3, 4, 0, 1), (0x88, 1, 6, 0, 56)]);
        assert_eq!(places(&reserved_bar, FUNCTION), None);
        let short = with_capabilities(&[(0x54, 2, 4, 0, 8), (0x78, 3, 4, 0, 1), (0x88, 1, 4, 0, 55)]);
        assert_eq!(places(&short, FUNCTION), None);
        let at_the_end = with_capabilities(&[(0x54, 2, 4, 0, 8), (0x78, 3, 4, 0, 1), (0xf4, 1, 4, 0, 56)]);
        assert_eq!(places(&at_the_end, FUNCTION), None, "it reaches past the end");
    }

    #[test]
    fn identifiers_name_types() {
        assert_eq!(
            [0x1000, 0x1005, 0x1041, 0x1044].map(device_type),
            [Some(1), Some(4), Some(1), Some(4)]
        );
        assert_eq!([0x0fff, 0x1006, 0x1080].map(device_type), [None; 3]);
    }
}
