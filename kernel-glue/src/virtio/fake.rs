//! Test devices: the device's side of a queue, and a whole device behind a set of registers.

use super::mmio::Mmio;
use super::queue::Addresses;
use super::registers::Registers;
use super::status;
use core::cell::RefCell;
use core::ptr::NonNull;
use std::boxed::Box;
use std::vec::Vec;

/// The device's side of a split virtqueue. It may write whatever it likes into the used ring.
pub struct DeviceSide {
    addresses: Addresses,
    size: u16,
    taken: u16,
    used: u16,
}

/// A buffer that the driver posted.
pub struct Posted {
    pub index: u16,
    pub address: u64,
    pub length: u32,
    pub device_writes: bool,
}

impl DeviceSide {
    pub fn new(addresses: Addresses, size: u16) -> Self {
        Self {
            addresses,
            size,
            taken: 0,
            used: 0,
        }
    }

    fn get<T>(&self, address: u64) -> T {
        // SAFETY: every address is inside the queue's memory: it comes from the queue under test, with offsets below `size`.
        unsafe { (address as *const T).read_volatile() }
    }

    fn put<T>(&mut self, address: u64, value: T) {
        // SAFETY: as in `get`; the queue reads these bytes only through atomics and volatile reads, on the same thread.
        unsafe { (address as *mut T).write_volatile(value) }
    }

    pub fn take(&mut self) -> Option<Posted> {
        if self.get::<u16>(self.addresses.available + 2) == self.taken {
            return None;
        }
        let index: u16 = self.get(self.addresses.available + 4 + 2 * u64::from(self.taken % self.size));
        self.taken = self.taken.wrapping_add(1);
        let descriptor = self.addresses.descriptors + 16 * u64::from(index);
        let flags: u16 = self.get(descriptor + 12);
        let (address, length) = (self.get(descriptor), self.get(descriptor + 8));
        Some(Posted {
            index,
            address,
            length,
            device_writes: flags & 2 != 0,
        })
    }

    pub fn read(&self, posted: &Posted) -> Vec<u8> {
        (0..u64::from(posted.length))
            .map(|offset| self.get(posted.address + offset))
            .collect()
    }

    pub fn write(&mut self, posted: &Posted, bytes: &[u8]) {
        assert!(bytes.len() <= posted.length as usize);
        for (offset, byte) in bytes.iter().enumerate() {
            self.put(posted.address + offset as u64, *byte);
        }
    }

    pub fn complete(&mut self, identifier: u32, length: u32) {
        let element = self.addresses.used + 4 + 8 * u64::from(self.used % self.size);
        self.put(element, identifier);
        self.put(element + 4, length);
        self.set_used_index(self.used.wrapping_add(1));
    }

    pub fn set_used_index(&mut self, index: u16) {
        self.used = index;
        self.put(self.addresses.used + 2, index);
    }

    /// Overwrites two bytes anywhere in the used ring.
    pub fn scribble(&mut self, position: u64, value: u16) {
        let bytes = 4 + 8 * u64::from(self.size);
        self.put(self.addresses.used + position % (bytes / 2) * 2, value);
        self.used = self.get(self.addresses.used + 2);
    }

    pub fn interrupts_wanted(&self) -> bool {
        self.get::<u16>(self.addresses.available) & 1 == 0
    }

    pub fn want_notifications(&mut self, wanted: bool) {
        self.put(self.addresses.used, u16::from(!wanted));
    }
}

/// A device behind MMIO registers (virtio 4.2.2 and 4.2.4), with what tests want to bend.
pub struct Device {
    pub version: u32,
    pub device_type: u32,
    pub features: u64,
    pub driver_features: u64,
    pub refuse_features: bool,
    pub refuse_queues: bool,
    pub stuck_reset: bool,
    pub status: u8,
    pub resets: u32,
    pub queue_maximum: u32,
    pub configuration: Vec<u8>,
    pub queues: [QueueRegisters; 2],
    select: u32,
    feature_select: u32,
    pub page_size: u32,
    /// Written by doorbells only; the last queue told.
    doorbell: &'static RefCell<u32>,
}

#[derive(Default, Clone, Copy)]
pub struct QueueRegisters {
    pub size: u32,
    pub align: u32,
    pub page: u32,
    ready: u32,
    parts: [u32; 6],
}

/// Registers of a leaked [`Device`]: drivers and their transports live for ever.
#[derive(Clone, Copy)]
pub struct FakeRegisters(pub &'static RefCell<Device>);

impl FakeRegisters {
    pub fn new(version: u32, device_type: u32, features: u64) -> Self {
        Self(Box::leak(Box::new(RefCell::new(Device {
            version,
            device_type,
            features,
            driver_features: 0,
            refuse_features: false,
            refuse_queues: false,
            stuck_reset: false,
            status: 0,
            resets: 0,
            queue_maximum: 256,
            configuration: Vec::new(),
            queues: Default::default(),
            select: 0,
            feature_select: 0,
            page_size: 0,
            doorbell: Box::leak(Box::new(RefCell::new(u32::MAX))),
        }))))
    }

    pub fn transport(self) -> &'static Mmio<Self> {
        Box::leak(Box::new(Mmio::new(self).unwrap()))
    }

    /// The device's side of queue `index`, once the driver enabled it.
    pub fn queue(self, index: usize) -> DeviceSide {
        let device = self.0.borrow();
        let queue = device.queues[index];
        assert_eq!(queue.ready, 1);
        let [d0, d1, a0, a1, u0, u1] = queue.parts.map(u64::from);
        let addresses = Addresses {
            descriptors: d0 | d1 << 32,
            available: a0 | a1 << 32,
            used: u0 | u1 << 32,
        };
        DeviceSide::new(addresses, queue.size as u16)
    }

    /// The queue last told by doorbell, since the last call.
    pub fn take_doorbell(self) -> Option<u32> {
        let device = self.0.borrow();
        let queue = device.doorbell.replace(u32::MAX);
        (queue != u32::MAX).then_some(queue)
    }
}

impl Device {
    fn read(&self, offset: usize) -> u32 {
        let queue = &self.queues[self.select as usize & 1];
        let exists = self.select < 2;
        match offset {
            0x00 => 0x7472_6976,
            0x04 => self.version,
            0x08 => self.device_type,
            0x10 => (self.features >> (32 * self.feature_select)) as u32,
            0x34 => u32::from(exists) * self.queue_maximum,
            0x40 => queue.page,
            0x44 => queue.ready,
            0x70 => self.status.into(),
            0xfc => 0,
            _ => panic!("read of register {offset:#x}"),
        }
    }

    fn write(&mut self, offset: usize, value: u32) {
        let queue = &mut self.queues[self.select as usize & 1];
        let taken = u32::from(!self.refuse_queues) * value;
        match (offset, self.version) {
            (0x14 | 0x24, _) => self.feature_select = value,
            (0x20, _) => {
                let shift = 32 * self.feature_select;
                self.driver_features = self.driver_features & !(0xffff_ffff << shift) | u64::from(value) << shift;
            }
            (0x28, 1) => self.page_size = value,
            (0x30, _) => self.select = value,
            (0x38, _) => queue.size = value,
            (0x3c, 1) => queue.align = value,
            (0x40, 1) => queue.page = taken,
            (0x44, 2) => queue.ready = taken,
            (0x70, _) => self.set_status(value as u8),
            (0x80 | 0x84, 2) => queue.parts[(offset - 0x80) / 4] = value,
            (0x90 | 0x94, 2) => queue.parts[2 + (offset - 0x90) / 4] = value,
            (0xa0 | 0xa4, 2) => queue.parts[4 + (offset - 0xa0) / 4] = value,
            _ => panic!("write of register {offset:#x}"),
        }
    }

    fn set_status(&mut self, value: u8) {
        if value == 0 {
            self.resets += 1;
            self.queues = Default::default();
        }
        let refused = if self.refuse_features || self.version == 1 {
            status::FEATURES_OK
        } else {
            0
        };
        self.status = if self.stuck_reset {
            status::DRIVER_OK
        } else {
            value & !refused
        };
    }
}

impl Registers for FakeRegisters {
    fn read8(&self, offset: usize) -> u8 {
        self.0.borrow().configuration.get(offset - 0x100).copied().unwrap_or(0)
    }
    fn read16(&self, offset: usize) -> u16 {
        panic!("16-bit read of {offset:#x}: MMIO registers have 32 bits")
    }
    fn read32(&self, offset: usize) -> u32 {
        self.0.borrow().read(offset)
    }
    fn write8(&self, offset: usize, _: u8) {
        panic!("8-bit write of {offset:#x}: MMIO registers have 32 bits")
    }
    fn write16(&self, offset: usize, _: u16) {
        panic!("16-bit write of {offset:#x}: MMIO registers have 32 bits")
    }
    fn write32(&self, offset: usize, value: u32) {
        self.0.borrow_mut().write(offset, value)
    }
    fn address(&self, offset: usize, width: usize) -> Option<NonNull<u8>> {
        assert_eq!((offset, width), (0x50, 4));
        NonNull::new(self.0.borrow().doorbell.as_ptr().cast())
    }
}
