//! What a device's interrupt handler leaves behind for its driver. Handlers have no arguments and touch atomics and device
//! registers only, so each device has one of these in a static.

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

/// Interrupt status bit: the configuration changed (virtio 4.1.4.5 for PCI, 4.2.2 for MMIO).
const CONFIGURATION: u32 = 2;

pub struct Events {
    interrupts: AtomicU32,
    changed: AtomicBool,
    /// Interrupt status register; null with MSI-X, which needs none.
    status: AtomicPtr<u8>,
    /// Acknowledge register of an MMIO device; null on PCI, where reading the status acknowledges.
    acknowledge: AtomicPtr<u8>,
}

impl Events {
    #[allow(clippy::new_without_default, reason = "built in statics only")]
    pub const fn new() -> Self {
        Self {
            interrupts: AtomicU32::new(0),
            changed: AtomicBool::new(false),
            status: AtomicPtr::new(null_mut()),
            acknowledge: AtomicPtr::new(null_mut()),
        }
    }

    /// Uses a PCI device's one-byte ISR status register.
    ///
    /// # Safety
    /// `status` is that register, mapped for ever.
    pub unsafe fn use_pci_status(&self, status: NonNull<u8>) {
        self.status.store(status.as_ptr(), Ordering::Release);
    }

    /// Uses an MMIO device's interrupt status and acknowledge registers.
    ///
    /// # Safety
    /// They are those registers, 32 bits wide and aligned, mapped for ever.
    pub unsafe fn use_mmio_status(&self, status: NonNull<u8>, acknowledge: NonNull<u8>) {
        self.acknowledge.store(acknowledge.as_ptr(), Ordering::Release);
        self.status.store(status.as_ptr(), Ordering::Release);
    }

    /// The handler of an interrupt that stands for the queues, and without MSI-X for the configuration too.
    pub fn handle(&self) {
        self.interrupts.store(
            self.interrupts.load(Ordering::Relaxed).wrapping_add(1).max(1),
            Ordering::Relaxed,
        );
        if self.acknowledge_pending() & CONFIGURATION != 0 {
            self.handle_change();
        }
    }

    /// The handler of an interrupt that says the configuration changed.
    pub fn handle_change(&self) {
        self.changed.store(true, Ordering::Release);
    }

    /// Reads and acknowledges what is pending at the device.
    pub fn acknowledge_pending(&self) -> u32 {
        let status = self.status.load(Ordering::Acquire);
        let acknowledge = self.acknowledge.load(Ordering::Relaxed);
        if status.is_null() {
            return 0;
        }
        // SAFETY: the contracts of `use_pci_status` and `use_mmio_status`, whose stores were seen here.
        unsafe {
            if acknowledge.is_null() {
                return status.read_volatile().into();
            }
            let pending = status.cast::<u32>().read_volatile();
            acknowledge.cast::<u32>().write_volatile(pending);
            pending
        }
    }

    /// True once since the configuration changed.
    pub fn take_change(&self) -> bool {
        self.changed.load(Ordering::Relaxed) && self.changed.swap(false, Ordering::Acquire)
    }

    /// True when an interrupt of this device has ever arrived.
    pub fn proven(&self) -> bool {
        self.interrupts.load(Ordering::Relaxed) != 0
    }
}
