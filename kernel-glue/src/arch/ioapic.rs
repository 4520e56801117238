//! I/O APICs (Intel 82093AA data sheet): routing of interrupts that are wires, not messages.

use super::apic;
use super::interrupts::FIRST_DEVICE_VECTOR;
use crate::acpi::{self, routing};
use crate::memory;
use core::ptr::NonNull;

/// Where the first one is when no ACPI table says otherwise, and microvm's second (global interrupts 24 and up).
const FIRST: (u64, u32) = (0xfec0_0000, 0);
const SECOND: (u64, u32) = (0xfec1_0000, 24);
const VERSION: u32 = 1;
const REDIRECTION: u32 = 0x10;
const LEVEL: u32 = 1 << 15;
const ACTIVE_LOW: u32 = 1 << 13;
const MASKED: u32 = 1 << 16;

struct IoApic(NonNull<u8>);

impl IoApic {
    fn read(&self, register: u32) -> u32 {
        // SAFETY: mapped device registers: select at 0, window at 16.
        unsafe {
            self.0.cast::<u32>().write_volatile(register);
            self.0.add(16).cast::<u32>().read_volatile()
        }
    }

    fn write(&self, register: u32, value: u32) {
        // SAFETY: as in read; the registers only steer interrupts.
        unsafe {
            self.0.cast::<u32>().write_volatile(register);
            self.0.add(16).cast::<u32>().write_volatile(value);
        }
    }
}

/// Physical address and first global system interrupt of the I/O APIC that has interrupt `gsi`: the one that begins last
/// before it.
fn io_apic_of(gsi: u32) -> (u64, u32) {
    let mut best: Option<(u64, u32)> = None;
    for io_apic in routing::io_apics(acpi::interrupt_controllers()) {
        if io_apic.1 <= gsi && best.is_none_or(|best| best.1 <= io_apic.1) {
            best = Some(io_apic);
        }
    }
    best.unwrap_or(if gsi < SECOND.1 { FIRST } else { SECOND })
}

/// Raises `vector` on this CPU when global system interrupt `gsi` is signalled; false when no I/O APIC has that interrupt, and
/// when another device shares it: that one keeps it.
pub fn route(gsi: u32, vector: u8, level_triggered: bool, active_low: bool) -> bool {
    let (address, first) = io_apic_of(gsi);
    let Some(io_apic) = memory::map_device(address, 32).map(IoApic) else {
        return false;
    };
    let pin = gsi - first;
    let version = io_apic.read(VERSION);
    if version == u32::MAX || pin > version >> 16 & 0xff {
        return false;
    }
    let before = io_apic.read(REDIRECTION + 2 * pin);
    if before & MASKED == 0 && before as u8 >= FIRST_DEVICE_VECTOR {
        return false;
    }
    let mut low = vector as u32;
    if level_triggered {
        low |= LEVEL;
    }
    if active_low {
        low |= ACTIVE_LOW;
    }
    io_apic.write(REDIRECTION + 2 * pin + 1, (apic::id() as u32) << 24);
    io_apic.write(REDIRECTION + 2 * pin, low);
    true
}
