//! The power button: ACPI's fixed hardware on PCs, QEMU's generic event device on hardware-reduced machines (microvm).

use super::STOP;
use crate::acpi::fixed::{self, Fixed, POWER_BUTTON_EVENT, Register};
use crate::acpi::{self, routing::Line};
use crate::arch::port;
use crate::{interrupt, memory, thread};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// PM1 status and enable registers (ACPI specification 6.5, section 4.8.3.1): the power button's bit.
const POWER_BUTTON: u16 = 1 << 8;
/// PM1 control: the fixed hardware is the operating system's.
const SCI_ENABLED: u16 = 1;
/// Port reads to wait for the hand-over.
const PATIENCE: u32 = 100_000;

static REQUESTED: AtomicBool = AtomicBool::new(false);
static ANNOUNCED: AtomicBool = AtomicBool::new(false);
/// What the interrupt handler reads: the PM1 status port, or the event selector's address.
static SOURCE: AtomicU64 = AtomicU64::new(0);

/// True once the platform asked for a stop (ACPI power button).
pub fn stop_requested() -> bool {
    REQUESTED.load(Relaxed)
}

/// Wakes those who wait for a stop, once. Called by the scheduler after interrupts, inside the critical section: the handlers
/// themselves may not touch threads.
#[inline]
pub fn announce_stop() {
    if REQUESTED.load(Relaxed) && !ANNOUNCED.swap(true, Relaxed) {
        thread::wake(STOP, usize::MAX);
    }
}

/// Has the power button interrupt, where the machine has one.
pub fn listen_for_stop() {
    let Some(fixed) = acpi::fixed_table() else { return };
    // Without one the machine is simply never asked to stop this way.
    let _ = if fixed.hardware_reduced() {
        listen_to_event_device(fixed)
    } else {
        listen_to_fixed_hardware(fixed)
    };
}

fn listen_to_fixed_hardware(fixed: Fixed) -> Option<()> {
    let Some(Register::Port(status)) = fixed.pm1_event() else {
        return None;
    };
    let enable = Register::Port(status.checked_add(fixed.pm1_event_length() as u16 / 2)?);
    let control = fixed.pm1_control()[0]?;
    if let Some((command, value)) = fixed.enable()
        && read16(control) & SCI_ENABLED == 0
    {
        write8(Register::Port(command), value);
        (0..PATIENCE).find(|_| read16(control) & SCI_ENABLED != 0)?;
    }
    SOURCE.store(status as u64, Relaxed);
    let vector = interrupt::claim(fixed_hardware_interrupt)?;
    let Line {
        gsi,
        level_triggered,
        active_low,
    } = acpi::sci_line(u8::try_from(fixed.sci()).ok()?);
    interrupt::route(gsi, &vector, level_triggered, active_low).then_some(())?;
    // Nobody answers for other events: one that firmware left enabled would hold the interrupt up for ever.
    for (port, length) in fixed.other_events() {
        for enable in length / 2..length {
            write8(Register::Port(port.saturating_add(enable.into())), 0);
        }
    }
    // What was pressed before is cleared by writing ones.
    write16(Register::Port(status), POWER_BUTTON);
    write16(enable, POWER_BUTTON);
    Some(())
}

fn fixed_hardware_interrupt() {
    let status = Register::Port(SOURCE.load(Relaxed) as u16);
    if read16(status) & POWER_BUTTON != 0 {
        write16(status, POWER_BUTTON);
        REQUESTED.store(true, Relaxed);
    }
}

fn listen_to_event_device(fixed: Fixed) -> Option<()> {
    let device = fixed::event_device(acpi::dsdt(fixed)?)?;
    memory::map_device(device.selector, size_of::<u32>())?;
    SOURCE.store(device.selector, Relaxed);
    let vector = interrupt::claim(event_device_interrupt)?;
    interrupt::route(device.interrupt, &vector, false, false).then_some(())
}

fn event_device_interrupt() {
    // SAFETY: mapped before the interrupt was routed; reading tells and clears the events.
    let events = unsafe { (SOURCE.load(Relaxed) as *const u32).read_volatile() };
    if events & POWER_BUTTON_EVENT != 0 {
        REQUESTED.store(true, Relaxed);
    }
}

/// Reads a 16-bit register of the fixed hardware; 0 where it cannot be reached.
pub fn read16(register: Register) -> u16 {
    match register {
        // SAFETY: a register ACPI's fixed table names; reading the PM1 blocks has no side effect.
        Register::Port(port) => unsafe { port::read16(port) },
        Register::Memory(address) => memory::map_device(address, 2).map_or(0, |place| {
            // SAFETY: mapped just now, otherwise as above.
            unsafe { place.cast::<u16>().read_volatile() }
        }),
    }
}

pub fn write16(register: Register, value: u16) {
    match register {
        // SAFETY: a register ACPI's fixed table names; the PM1 blocks steer power and nothing else.
        Register::Port(port) => unsafe { port::write16(port, value) },
        Register::Memory(address) => {
            if let Some(place) = memory::map_device(address, 2) {
                // SAFETY: mapped just now, otherwise as above.
                unsafe { place.cast::<u16>().write_volatile(value) }
            }
        }
    }
}

pub fn write8(register: Register, value: u8) {
    match register {
        // SAFETY: as in write16: reset, sleep control and hand-over registers.
        Register::Port(port) => unsafe { port::write8(port, value) },
        Register::Memory(address) => {
            if let Some(place) = memory::map_device(address, 1) {
                // SAFETY: mapped just now, otherwise as above.
                unsafe { place.write_volatile(value) }
            }
        }
    }
}
