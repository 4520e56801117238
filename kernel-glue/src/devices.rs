//! Finds the machine's devices: virtio over MMIO and PCI (later: block devices, Xen's).

use crate::entropy::weak;
use crate::heap::{self, Box};
use crate::memory;
use crate::net::device::NetworkDevice;
use crate::pci::access::{Access, has_ports};
use crate::pci::address_space::AddressSpace;
use crate::pci::configuration::Space;
use crate::pci::scan;
use crate::virtio::attach::{Attached, MmioDevice, Name, PciDevice};
use crate::virtio::command_line::Place;
use crate::virtio::entropy::Entropy;
use crate::virtio::network::Network;
use crate::virtio::transport::{Failure, Transport};
use crate::virtio::{command_line, described, device_type, pci};
use crate::{acpi, boot};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

pub struct Devices {
    pub network: Option<&'static dyn NetworkDevice>,
}

/// Written once by `probe`.
static ENTROPY: AtomicPtr<Entropy> = AtomicPtr::new(null_mut());

/// Probes every bus once, at boot. A device that fails its checks is logged and left out; that there is no network device is
/// told when the program asks for the network.
pub fn probe() -> Devices {
    let mut devices = Devices { network: None };
    probe_command_line(&mut devices);
    probe_pci(&mut devices);
    devices
}

/// Takes up to `buffer.len()` bytes that virtio-rng has ready; returns how many. `None`: there is none.
pub fn hardware_random(buffer: &mut [u8]) -> Option<usize> {
    // SAFETY: null, or a leaked box that `probe` stored and nothing frees. The caller is in the critical section, as all of
    // the kernel is, so the device's cells are not used twice at once.
    let device = unsafe { ENTROPY.load(Ordering::Acquire).as_ref() }?;
    Some(device.take(buffer))
}

fn probe_command_line(devices: &mut Devices) {
    for place in command_line::places(boot::info().command_line) {
        let place = match place {
            Ok(place) => place,
            Err(word) => {
                crate::log!(
                    Warn,
                    "{word} on the kernel command line is no device: expected virtio_mmio.device=SIZE@ADDRESS:IRQ"
                );
                continue;
            }
        };
        probe_mmio(place, devices);
    }
}

fn probe_mmio(place: Place, devices: &mut Devices) {
    let Some(mut device) = MmioDevice::open(place) else {
        return;
    };
    devices.add(&mut device, Name::Mmio(place.address));
}

/// A machine without the ports of a PC's PCI may have ACPI that lists its devices.
fn probe_pci(devices: &mut Devices) {
    if let Some(space) = Access::find() {
        probe_functions(&space, devices);
    }
    if !has_ports() {
        probe_described(devices);
    }
}

fn probe_described(devices: &mut Devices) {
    let Some(fixed) = acpi::fixed_table() else { return };
    for place in described::places(acpi::dsdt(fixed).unwrap_or_default()) {
        probe_mmio(place, devices);
    }
}

fn probe_functions(space: &Space, devices: &mut Devices) {
    let mut addresses = AddressSpace::new();
    scan::functions(space, &mut |found| {
        let kind = if found.vendor == pci::VENDOR {
            pci::device_type(found.device)
        } else {
            None
        };
        let Some(kind @ (device_type::NETWORK | device_type::ENTROPY)) = kind else {
            return;
        };
        if let Some(mut device) = PciDevice::open(space, found.function, kind, &mut addresses) {
            devices.add(&mut device, Name::Pci(found.function));
        }
    });
}

impl Devices {
    /// Starts the driver of `device`; one that cannot be used is told and left out.
    #[inline(never)]
    fn add(&mut self, device: &mut dyn Attached, name: Name) {
        let added = match device.transport().device_type() {
            device_type::NETWORK => self.add_network(device, name),
            device_type::ENTROPY => add_entropy(device.transport()),
            _ => Ok(()),
        };
        if let Err(failure) = added {
            name.report(&format_args!("left out: {failure}"));
        }
    }

    fn add_network(&mut self, device: &mut dyn Attached, name: Name) -> Result<(), Failure> {
        if self.network.is_some() {
            name.report(&"a second network device is not used");
            return Ok(());
        }
        let Some(events) = device.connect() else { return Ok(()) };
        let network = Network::open(device.transport(), events, ring_size(), weak)?;
        self.network = Some(Box::leak(heap::try_box(network).ok_or(Failure::OutOfMemory)?));
        Ok(())
    }
}

/// Buffers each way, 2 KiB each: both together are a 32nd of the RAM at most, from 4 MiB on.
fn ring_size() -> u16 {
    match memory::statistics().total >> 20 {
        0..8 => 32,
        8..32 => 64,
        _ => 128,
    }
}

fn add_entropy(transport: &'static dyn Transport) -> Result<(), Failure> {
    if ENTROPY.load(Ordering::Relaxed).is_null() {
        let device = heap::try_box(Entropy::open(transport)?).ok_or(Failure::OutOfMemory)?;
        ENTROPY.store(Box::leak(device), Ordering::Release);
    }
    Ok(())
}
