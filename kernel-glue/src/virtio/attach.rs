//! Connects a device that was found to its registers and interrupts.

use super::command_line::Place as MmioPlace;
use super::events::Events;
use super::mmio::{INTERRUPT_REGISTERS, Mmio, NoDevice};
use super::pci::{self, Pci, Place, Places, Vectors};
use super::registers::{Registers, Window};
use super::report;
use super::transport::Transport;
use crate::heap;
use crate::interrupt;
use crate::pci::address_space::AddressSpace;
use crate::pci::bar::{self, Bar};
use crate::pci::capability::{self, identifier};
use crate::pci::configuration::{ConfigurationSpace, Function, Space, command};
use crate::pci::{intx, msix};
use core::cell::Cell;
use core::fmt;
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

/// Where a device was found, as reports name it.
#[derive(Clone, Copy)]
pub enum Name {
    Mmio(u64),
    Pci(Function),
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Mmio(address) => write!(formatter, "virtio device at {address:#x}"),
            Self::Pci(function) => write!(formatter, "virtio device at PCI {function}"),
        }
    }
}

impl Name {
    /// Says on the console what is the matter with the device.
    pub fn report(self, what: &dyn fmt::Display) {
        report(format_args!("{self}: {what}"));
    }
}

const UNMAPPED: &str = "its registers cannot be mapped; it is left out";
const POLLED: &str = "no way found to have its interrupts; it is polled";

/// A device ready for a driver that only polls it.
pub trait Attached {
    fn transport(&self) -> &'static dyn Transport;
    /// Gives the device interrupts. Without them its driver has to poll.
    fn connect(&mut self) -> Option<&'static Events>;
}

pub struct PciDevice<'s, 'a> {
    bars: Bars<'s, 'a>,
    interrupt_status: Place,
    transport: &'static Pci<Window>,
}

impl<'s, 'a> PciDevice<'s, 'a> {
    /// Maps the device's registers and lets it answer and reach memory. Trouble is reported.
    pub fn open(
        space: &'s Space,
        function: Function,
        device_type: u32,
        addresses: &'a mut AddressSpace,
    ) -> Option<Self> {
        let name = Name::Pci(function);
        let Some(places) = pci::places(space, function) else {
            name.report(&"it has no modern interface and is left out; QEMU: use disable-modern=off");
            return None;
        };
        let mut bars = Bars {
            space,
            function,
            addresses,
            known: [None; bar::COUNT as usize],
        };
        let Some(transport) = bars.map(&places, device_type) else {
            name.report(&UNMAPPED);
            return None;
        };
        let enable = command::MEMORY | command::BUS_MASTER | command::INTX_DISABLE;
        space.set_command(function, space.command(function) | enable);
        Some(Self {
            bars,
            interrupt_status: places.interrupt_status,
            transport,
        })
    }

    fn connect_msix(&mut self, handlers: (fn(), fn())) -> Option<()> {
        let Bars { space, function, .. } = self.bars;
        let capability = capability::list(space, function).find(|found| found.identifier == identifier::MSI_X)?;
        let table = msix::table(space, function, capability.offset);
        // One entry is enough for the queues; a second one tells configuration changes apart.
        let entries = table.entries.min(2);
        let registers = self.bars.window(&Place {
            bar: table.bar,
            offset: table.offset,
            length: (entries * msix::ENTRY) as u32,
        })?;
        for (index, handler) in [handlers.0, handlers.1].iter().enumerate().take(entries) {
            let vector = interrupt::claim(*handler)?;
            msix::program(&registers, index, interrupt::message(&vector));
        }
        msix::enable(space, function, &table);
        self.transport.vectors.set(Some(Vectors {
            queues: 0,
            configuration: entries as u16 - 1,
        }));
        Some(())
    }

    fn connect_intx(&mut self, events: &Events, handler: fn()) -> Option<()> {
        let Bars { space, function, .. } = self.bars;
        let route = intx::route(space, function)?;
        let status = self.bars.window(&self.interrupt_status)?.address(0, 1)?;
        // SAFETY: the register that the device's capability calls its ISR status, one byte, mapped for ever.
        unsafe { events.use_pci_status(status) };
        let vector = interrupt::claim(handler)?;
        events.acknowledge_pending();
        if !interrupt::route(route.gsi, &vector, true, route.active_low) {
            return None;
        }
        space.set_command(function, space.command(function) & !command::INTX_DISABLE);
        Some(())
    }
}

impl Attached for PciDevice<'_, '_> {
    fn transport(&self) -> &'static dyn Transport {
        self.transport
    }

    /// MSI-X, or else INTx.
    fn connect(&mut self) -> Option<&'static Events> {
        let (events, handlers) = claim_events()?;
        if self.connect_msix(handlers).is_none() && self.connect_intx(events, handlers.0).is_none() {
            Name::Pci(self.bars.function).report(&POLLED);
        }
        Some(events)
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
        let device = match &places.device {
            Some(place) => Some(self.window(place)?),
            None => None,
        };
        let transport = heap::try_box(Pci {
            common: self.window(&places.common)?,
            notify: self.window(&places.notify)?,
            notify_multiplier: places.notify_multiplier,
            device,
            device_type,
            vectors: Cell::new(None),
        })?;
        Some(heap::Box::leak(transport))
    }

    /// Maps a part of the registers, which has to lie inside its BAR.
    #[inline(never)]
    fn window(&mut self, place: &Place) -> Option<Window> {
        let known = self.known.get_mut(usize::from(place.bar))?;
        if known.is_none() {
            let mut bar = bar::read(self.space, self.function, place.bar)?;
            if !self.addresses.ensure(self.space, self.function, &mut bar) {
                return None;
            }
            *known = Some(bar);
        }
        let bar = known.as_ref()?;
        if u64::from(place.offset) + u64::from(place.length) > bar.size {
            return None;
        }
        Window::map(
            bar.address + u64::from(place.offset),
            place.length.min(MOST_BYTES) as usize,
        )
    }
}

/// A device named on the kernel command line or by ACPI.
pub struct MmioDevice {
    place: MmioPlace,
    transport: &'static Mmio<Window>,
}

impl MmioDevice {
    /// `None` for a place without a device; trouble is reported.
    pub fn open(place: MmioPlace) -> Option<Self> {
        let name = Name::Mmio(place.address);
        let length = place.size.min(MOST_BYTES.into()) as usize;
        let Some(window) = Window::map(place.address, length) else {
            name.report(&UNMAPPED);
            return None;
        };
        match Mmio::new(window) {
            Ok(transport) => Some(Self {
                place,
                transport: heap::Box::leak(heap::try_box(transport)?),
            }),
            Err(NoDevice::Empty) => None,
            Err(NoDevice::Unknown { .. }) => {
                name.report(&"no virtio device of version 1 or 2 answers; check the kernel command line");
                None
            }
        }
    }
}

impl Attached for MmioDevice {
    fn transport(&self) -> &'static dyn Transport {
        self.transport
    }

    /// The handler acknowledges at the device, so the line falls and an edge follows each time.
    fn connect(&mut self) -> Option<&'static Events> {
        let (events, handlers) = claim_events()?;
        let (status, acknowledge) = INTERRUPT_REGISTERS;
        let registers = self.transport.registers();
        let (status, acknowledge) = (registers.address(status, 4)?, registers.address(acknowledge, 4)?);
        // SAFETY: an MMIO device's status and acknowledge registers, 32 bits wide, inside a window mapped for ever.
        unsafe { events.use_mmio_status(status, acknowledge) };
        let place = &self.place;
        let routed = interrupt::claim(handlers.0)
            .is_some_and(|vector| interrupt::route(place.interrupt, &vector, place.level_triggered, place.active_low));
        if !routed {
            Name::Mmio(place.address).report(&POLLED);
        }
        events.acknowledge_pending();
        Some(events)
    }
}

fn claim_events() -> Option<(&'static Events, (fn(), fn()))> {
    let index = NEXT.load(Ordering::Relaxed);
    let claimed = EVENTS.get(index).zip(HANDLERS.get(index).copied());
    NEXT.store(index + 1, Ordering::Relaxed);
    claimed
}
