//! What PCI and MMIO have in common: how a device is found, reset, agreed with and started.

use super::queue::{Addresses, Queue};
use super::{feature, status};
use core::fmt;
use core::ptr::NonNull;

/// Access to one device. Offsets into the configuration are bytes from the start of its device-specific part.
pub trait Transport {
    fn device_type(&self) -> u32;
    fn status(&self) -> u8;
    fn set_status(&self, status: u8);
    /// All 64 feature bits (32 on legacy devices).
    fn device_features(&self) -> u64;
    fn set_driver_features(&self, features: u64);
    /// True when the device speaks the interface from before virtio 1.0.
    fn is_legacy(&self) -> bool;
    /// Largest size the device allows queue `index`; 0 when it has no such queue.
    fn queue_maximum(&self, index: u16) -> u16;
    /// Tells the device where queue `index` is and enables it; `None` when the device does not take it.
    fn enable_queue(&self, index: u16, size: u16, addresses: Addresses) -> Option<Doorbell>;
    fn configuration8(&self, offset: usize) -> u8;
    /// Changes whenever the device changed its configuration (virtio 2.5.1).
    fn generation(&self) -> u32;
    /// Tells the device which interrupt to raise when its configuration changes; needed again after each reset.
    fn prepare_interrupts(&self) {}
}

/// The register that tells a device of new buffers in one queue.
#[derive(Clone, Copy)]
pub struct Doorbell {
    register: NonNull<u8>,
    queue: u16,
    wide: bool,
}

impl Doorbell {
    /// # Safety
    /// `register` is a device register for writing, mapped for ever: 4-byte aligned and 4 bytes wide when `wide`, else 2.
    pub const unsafe fn new(register: NonNull<u8>, queue: u16, wide: bool) -> Self {
        Self { register, queue, wide }
    }

    pub fn ring(&self) {
        // SAFETY: `new`'s contract.
        unsafe {
            if self.wide {
                self.register.cast::<u32>().write_volatile(self.queue.into())
            } else {
                self.register.cast::<u16>().write_volatile(self.queue)
            }
        }
    }
}

/// Why a device could not be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    Reset,
    FeaturesRefused,
    NoQueue(u16),
    QueueRefused(u16),
    OutOfMemory,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Reset => write!(formatter, "it does not finish its reset"),
            Self::FeaturesRefused => write!(formatter, "it refuses the features it offered"),
            Self::NoQueue(index) => write!(formatter, "it has no queue {index}"),
            Self::QueueRefused(index) => write!(formatter, "it does not accept queue {index}"),
            Self::OutOfMemory => write!(formatter, "there is no memory for its rings; give the machine more"),
        }
    }
}

/// How often the status is read before a reset counts as failed; each read is an exit to the hypervisor, so this is
/// some milliseconds at least.
const RESET_READS: u32 = 10_000;

/// Resets the device and agrees on features with it (virtio 3.1.1, steps 1 to 6). `choose` may read the configuration and
/// names the features its driver wants; of those, and of what every driver accepts, returns what the device offers.
pub fn begin(transport: &dyn Transport, choose: &dyn Fn() -> u64) -> Result<u64, Failure> {
    reset(transport)?;
    transport.set_status(status::ACKNOWLEDGE);
    transport.set_status(status::ACKNOWLEDGE | status::DRIVER);
    transport.prepare_interrupts();
    let features = transport.device_features() & (choose() | feature::COMMON);
    transport.set_driver_features(features);
    if transport.is_legacy() {
        // Before 1.0 there was no FEATURES_OK (virtio 3.1.2).
        return Ok(features);
    }
    transport.set_status(status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK);
    if features & feature::VERSION_1 == 0 || transport.status() & status::FEATURES_OK == 0 {
        return Err(Failure::FeaturesRefused);
    }
    Ok(features)
}

/// Makes the device ready to run (virtio 3.1.1, step 8).
pub fn finish(transport: &dyn Transport) {
    let features_ok = if transport.is_legacy() { 0 } else { status::FEATURES_OK };
    transport.set_status(status::ACKNOWLEDGE | status::DRIVER | features_ok | status::DRIVER_OK);
}

/// Tells the device that it was given up (virtio 2.1.1).
pub fn fail(transport: &dyn Transport) {
    transport.set_status(transport.status() | status::FAILED);
}

/// Resets the device and waits until it is done (virtio 4.1.4.3.2); it then no longer touches any queue.
pub fn reset(transport: &dyn Transport) -> Result<(), Failure> {
    transport.set_status(0);
    for _ in 0..RESET_READS {
        if transport.status() == 0 {
            return Ok(());
        }
        core::hint::spin_loop();
    }
    Err(Failure::Reset)
}

/// The size to give queue `index`: a power of two, at most `wanted` and at most what the device takes.
pub fn queue_size(transport: &dyn Transport, index: u16, wanted: u16) -> Result<u16, Failure> {
    match transport.queue_maximum(index).min(wanted) {
        0 => Err(Failure::NoQueue(index)),
        size => Ok(1 << size.ilog2()),
    }
}

/// Gives `queue` to the device as its queue `index`.
pub fn enable_queue(transport: &dyn Transport, index: u16, queue: &Queue) -> Result<Doorbell, Failure> {
    transport
        .enable_queue(index, queue.size(), queue.addresses())
        .ok_or(Failure::QueueRefused(index))
}
