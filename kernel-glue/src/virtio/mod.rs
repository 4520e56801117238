//! virtio 1.2 devices over PCI and MMIO (OASIS "Virtual I/O Device (VIRTIO) Version 1.2", cited below as "virtio").
//!
//! A [`transport`] finds a device's registers, a [`queue`] moves buffers through a split virtqueue, a driver
//! ([`network`], [`entropy`]) gives them their meaning. What a device writes is untrusted: identifiers and lengths are
//! checked before use, and a device that breaks the rules is reset, never believed.

pub mod command_line;
pub mod described;
pub mod entropy;
pub mod events;
pub mod memory;
pub mod mmio;
pub mod network;
pub mod pci;
pub mod queue;
pub mod registers;
pub mod transport;

#[cfg(target_os = "hermit")]
pub mod attach;
#[cfg(test)]
mod fake;

/// Device types (virtio 5).
pub mod device_type {
    pub const NETWORK: u32 = 1;
    pub const ENTROPY: u32 = 4;
}

/// Bits of the device status field (virtio 2.1).
pub mod status {
    pub const ACKNOWLEDGE: u8 = 1;
    pub const DRIVER: u8 = 2;
    pub const DRIVER_OK: u8 = 4;
    pub const FEATURES_OK: u8 = 8;
    pub const NEEDS_RESET: u8 = 64;
    pub const FAILED: u8 = 128;
}

/// Feature bits that belong to no device type (virtio 6).
pub mod feature {
    /// The device follows virtio 1.0 or later; absent on legacy devices.
    pub const VERSION_1: u64 = 1 << 32;
    /// The device reaches memory through the platform's translation; ours is the identity.
    pub const ACCESS_PLATFORM: u64 = 1 << 33;
    /// The device needs the platform's memory barriers; the queue always uses them.
    pub const ORDER_PLATFORM: u64 = 1 << 36;
    /// What every driver here accepts.
    pub const COMMON: u64 = VERSION_1 | ACCESS_PLATFORM | ORDER_PLATFORM;
}

/// A warning on the console; host tests have none.
fn report(message: core::fmt::Arguments) {
    #[cfg(target_os = "hermit")]
    crate::console::log_line(crate::console::Level::Warn, message);
    #[cfg(not(target_os = "hermit"))]
    let _ = message;
}
