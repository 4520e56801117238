//! Connects a device that was found to its registers and interrupts.

use super::command_line::Place as MmioPlace;
use super::events::Events;
use super::mmio::{INTERRUPT_REGISTERS, Mmio, NoDevice};
use super::pci::{self, Pci, Place, Places, Vectors};
use super::registers::{Registers, Window};
use super::report;
use super::transport::Transport;
use crate::heap;
use crate::interrupt::{self, Vector};
use crate::pci::address_space::AddressSpace;
use crate::pci::bar::{self, Bar};
use crate::pci::capability::{self, identifier};
use crate::pci::configuration::{ConfigurationSpace, Function, Space, command};
use crate::pci::{intx, msix};
use core::cell::Cell;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Devices with interrupts of their own; one network device today.
const MOST: usize = 2;
static EVENTS: [Events; MOST] = [const { Events::new() }; MOST];
static NEXT: AtomicUsize = AtomicUsize::new(0);
/// Handlers have no argument: each device has its own pair (queues, configuration).
static HANDLERS: [(fn(), fn()); MOST] = [(queues::<0>, change::<0>), (queues::<1>, change::<1>)];

fn queues<const DEVICE: usize>() {
    EVENTS[DEVICE].handle();
}

fn change<const DEVICE: usize>() {
    EVENTS[DEVICE].handle_change();
}

/// Largest part of a device's registers that is mapped; ours need far less.
const MOST_BYTES: u32 = 1 << 16;

/// A device ready for a driver that only polls it.
pub struct PciDevice<'s> {
    space: &'s Space,
    function: Function,
    places: Places,
    bars: [Option<Bar>; bar::COUNT as usize],
    pub transport: &'static Pci<Window>,
}

impl<'s> PciDevice<'s> {
    /// Maps the device's registers and lets it answer and reach memory. Trouble is reported.
    pub fn open(
        space: &'s Space,
        function: Function,
        device_type: u32,
        addresses: &mut AddressSpace,
    ) -> Option<Self> {
        let Some(places) = pci::places(space, function) else {
            report(format_args!(
                "virtio device at PCI {function} has no modern interface and is left out; QEMU: use disable-modern=off"
            ));
            return None;
        };
        let mut bars = Bars {
            space,
            function,
            addresses,
            known: [None; bar::COUNT as usize],
        };
        let Some(transport) = bars.map(&places, device_type) else {
            report(format_args!(
                "virtio device at PCI {function}: its registers cannot be mapped; it is left out"
            ));
            return None;
        };
        let bars = bars.known;
        let enable = command::MEMORY | command::BUS_MASTER | command::INTX_DISABLE;
        space.set_command(function, space.command(function) | enable);
        Some(Self {
            space,
            function,
            places,
            bars,
            transport,
        })
    }

    /// Gives the device interrupts: MSI-X, or else INTx. Without either its driver has to poll.
    pub fn connect(&self) -> Option<&'static Events> {
        let (events, handlers) = claim_events()?;
        if self.connect_msix(handlers).is_none() && self.connect_intx(events, handlers.0).is_none() {
            report(format_args!(
                "virtio device at PCI {}: no way found to have its interrupts; it is polled",
                self.function
            ));
        }
        Some(events)
    }

    fn connect_msix(&self, handlers: (fn(), fn())) -> Option<()> {
        let capability =
            capability::list(self.space, self.function).find(|found| found.identifier == identifier::MSI_X)?;
        let table = msix::table(self.space, self.function, capability.offset);
        let bar = (*self.bars.get(usize::from(table.bar))?)?;
        // One entry is enough for the queues; a second one tells configuration changes apart.
        let entries = table.entries.min(2);
        let length = entries * msix::ENTRY;
        if table.offset.checked_add(length as u64)? > bar.size {
            return None;
        }
        let registers = Window::map(bar.address + table.offset, length)?;
        for (index, handler) in [handlers.0, handlers.1].into_iter().enumerate().take(entries) {
            let vector = interrupt::claim(handler)?;
            msix::program(&registers, index, interrupt::message(&vector));
        }
        msix::enable(self.space, self.function, &table);
        self.transport.vectors.set(Some(Vectors {
            queues: 0,
            configuration: entries as u16 - 1,
        }));
        Some(())
    }

    fn connect_intx(&self, events: &Events, handler: fn()) -> Option<()> {
        let route = intx::route(self.space, self.function)?;
        let status = map(&self.bars, &self.places.interrupt_status)?.address(0, 1)?;
        // SAFETY: the register that the device's capability calls its ISR status, one byte, mapped for ever.
        unsafe { events.use_pci_status(status) };
        let vector = interrupt::claim(handler)?;
        events.acknowledge_pending();
        let routed = interrupt::route(route.gsi, &vector, true, route.active_low);
        self.space.set_command(
            self.function,
            self.space.command(self.function) & !command::INTX_DISABLE,
        );
        routed.then_some(())
    }
}

/// The BARs of a function, read and placed when first needed.
struct Bars<'s, 'a> {
    space: &'s Space,
    function: Function,
    addresses: &'a mut AddressSpace,
    known: [Option<Bar>; bar::COUNT as usize],
}

impl Bars<'_, '_> {
    fn map(&mut self, places: &Places, device_type: u32) -> Option<&'static Pci<Window>> {
        let msix = capability::list(self.space, self.function).find(|found| found.identifier == identifier::MSI_X);
        let table = msix.map(|found| msix::table(self.space, self.function, found.offset).bar);
        let needed = [places.common.bar, places.notify.bar, places.interrupt_status.bar];
        for index in needed.into_iter().chain(places.device.map(|place| place.bar)) {
            self.place(index)?;
        }
        // Without its table's BAR the device still has INTx.
        table.and_then(|index| self.place(index));
        let device = match &places.device {
            Some(place) => Some(map(&self.known, place)?),
            None => None,
        };
        let transport = heap::try_box(Pci {
            common: map(&self.known, &places.common)?,
            notify: map(&self.known, &places.notify)?,
            notify_multiplier: places.notify_multiplier,
            device,
            device_type,
            vectors: Cell::new(None),
        })?;
        Some(heap::Box::leak(transport))
    }

    fn place(&mut self, index: u8) -> Option<()> {
        let known = self.known.get_mut(usize::from(index))?;
        if known.is_none() {
            let mut bar = bar::read(self.space, self.function, index)?;
            if !self.addresses.ensure(self.space, self.function, &mut bar) {
                return None;
            }
            *known = Some(bar);
        }
        Some(())
    }
}

/// Maps a part of the registers, which has to lie inside its BAR.
fn map(bars: &[Option<Bar>], place: &Place) -> Option<Window> {
    let bar = (*bars.get(usize::from(place.bar))?)?;
    if u64::from(place.offset) + u64::from(place.length) > bar.size {
        return None;
    }
    Window::map(
        bar.address + u64::from(place.offset),
        place.length.min(MOST_BYTES) as usize,
    )
}

/// A device named on the kernel command line or by ACPI.
pub struct MmioDevice {
    place: MmioPlace,
    pub transport: &'static Mmio<Window>,
}

impl MmioDevice {
    /// `None` for a place without a device; trouble is reported.
    pub fn open(place: MmioPlace) -> Option<Self> {
        let address = place.address;
        let length = place.size.min(MOST_BYTES.into()) as usize;
        let Some(window) = Window::map(address, length) else {
            report(format_args!(
                "virtio_mmio.device at {address:#x}: its registers cannot be mapped; it is left out"
            ));
            return None;
        };
        match Mmio::new(window) {
            Ok(transport) => Some(Self {
                place,
                transport: heap::Box::leak(heap::try_box(transport)?),
            }),
            Err(NoDevice::Empty) => None,
            Err(NoDevice::Unknown { magic, version }) => {
                report(format_args!(
                    "virtio_mmio.device at {address:#x}: no virtio device of version 1 or 2 answers (magic {magic:#x}, version \
                     {version}); check the kernel command line"
                ));
                None
            }
        }
    }

    pub fn device_type(&self) -> u32 {
        self.transport.device_type()
    }

    /// Gives the device its interrupt. The handler acknowledges at the device, so the line falls and an edge follows each
    /// time.
    pub fn connect(&self) -> Option<&'static Events> {
        let (events, handlers) = claim_events()?;
        let (status, acknowledge) = INTERRUPT_REGISTERS;
        let registers = self.transport.registers();
        let (status, acknowledge) = (registers.address(status, 4)?, registers.address(acknowledge, 4)?);
        // SAFETY: an MMIO device's status and acknowledge registers, 32 bits wide, inside a window mapped for ever.
        unsafe { events.use_mmio_status(status, acknowledge) };
        let routed = interrupt::claim(handlers.0).is_some_and(|vector| route(&self.place, &vector));
        if !routed {
            let MmioPlace { address, interrupt, .. } = self.place;
            report(format_args!(
                "virtio_mmio.device at {address:#x}: interrupt {interrupt} has no I/O APIC input; it is polled"
            ));
        }
        events.acknowledge_pending();
        Some(events)
    }
}

fn route(place: &MmioPlace, vector: &Vector) -> bool {
    interrupt::route(place.interrupt, vector, place.level_triggered, place.active_low)
}

fn claim_events() -> Option<(&'static Events, (fn(), fn()))> {
    let index = NEXT.load(Ordering::Relaxed);
    let claimed = EVENTS.get(index).zip(HANDLERS.get(index).copied());
    NEXT.store(index + 1, Ordering::Relaxed);
    claimed
}
