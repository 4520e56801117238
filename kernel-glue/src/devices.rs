//! Finds the machine's devices: virtio over PCI and MMIO (later: Xen's).

use crate::net::device::NetworkDevice;

pub struct Devices {
    pub network: Option<&'static dyn NetworkDevice>,
}

/// Probes every bus once, at boot. A device that fails its checks is logged and left out.
pub fn probe() -> Devices {
    unimplemented!()
}

/// Reads up to `buffer.len()` bytes from virtio-rng, if there is one; bounded wait. Returns how many.
pub fn hardware_random(_buffer: &mut [u8]) -> usize {
    unimplemented!()
}
