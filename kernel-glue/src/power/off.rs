//! The ways to switch a PC off, and to reset it where it cannot be switched off: the best known first.

use crate::acpi::{self, fixed};
use crate::arch::port;
use crate::power::button::{read16, write8, write16};
use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// PM1 control register (ACPI specification 6.5, section 4.8.3.2.1): the sleep type's place, and the bit that starts it.
const SLEEP_TYPE_SHIFT: u32 = 10;
const SLEEP_TYPE_MASK: u16 = 7 << SLEEP_TYPE_SHIFT;
const SLEEP_ENABLE: u16 = 1 << 13;
/// Sleep control register of hardware-reduced machines (section 4.8.3.7).
const REDUCED_SLEEP_TYPE_SHIFT: u32 = 2;
const REDUCED_SLEEP_ENABLE: u8 = 1 << 5;
/// Port 0xcf9 (Intel ICH9 data sheet, section 13.7.5): full reset.
const RESET_CONTROL: u16 = 0xcf9;
const FULL_RESET: u8 = 0x0e;
/// The keyboard controller's command port, and "pulse the reset line".
const KEYBOARD_CONTROLLER: u16 = 0x64;
const PULSE_RESET: u8 = 0xfe;
/// Port reads (0.2 us or more each) to wait for a way to take effect before the next one is tried.
const PATIENCE: u32 = 2_000;
/// The same after soft-off was asked for. A hypervisor acts on it on another thread, which on a busy host comes late; a reset
/// meanwhile would make it look like a crash.
const SOFT_OFF_PATIENCE: u32 = 2_000_000;

pub fn switch_off() -> ! {
    // SAFETY: the machine ends here; nothing needs interrupts any more.
    unsafe { asm!("cli", options(nomem, nostack)) };
    // A fault on the way, in tables that are not what they seem, must not lead here again and again.
    static TRIED: AtomicBool = AtomicBool::new(false);
    if TRIED.swap(true, Relaxed) {
        reset();
    }
    if let Some(fixed) = acpi::fixed_table() {
        if soft_off(fixed) {
            pause(SOFT_OFF_PATIENCE);
        }
        if let Some((register, value)) = fixed.reset() {
            write8(register, value);
            pause(PATIENCE);
        }
    }
    reset()
}

/// Asks for sleep state S5; false where there is no register for that.
fn soft_off(fixed: fixed::Fixed) -> bool {
    let Some((first, second)) = acpi::dsdt(fixed).and_then(fixed::soft_off_types) else {
        return false;
    };
    if fixed.hardware_reduced() {
        let Some(register) = fixed.sleep_control() else {
            return false;
        };
        write8(register, first << REDUCED_SLEEP_TYPE_SHIFT | REDUCED_SLEEP_ENABLE);
        return true;
    }
    let mut asked = false;
    for (register, sleep_type) in fixed.pm1_control().iter().zip([first, second]) {
        let Some(register) = *register else { continue };
        asked = true;
        let kept = read16(register) & !(SLEEP_TYPE_MASK | SLEEP_ENABLE);
        write16(
            register,
            kept | (sleep_type as u16) << SLEEP_TYPE_SHIFT & SLEEP_TYPE_MASK | SLEEP_ENABLE,
        );
    }
    asked
}

/// Resets; a machine started with `-no-reboot`, or by a cloud that does not restart, ends then.
fn reset() -> ! {
    // SAFETY: the machine ends here. A null descriptor table turns the breakpoint into a triple fault, which resets any PC
    // (on QEMU's microvm, which has neither of the ports, it is the documented way).
    unsafe {
        port::write8(KEYBOARD_CONTROLLER, PULSE_RESET);
        port::write8(RESET_CONTROL, FULL_RESET);
        pause(PATIENCE);
        let none = [0u16; 5];
        asm!("lidt [{}]", "int3", in(reg) none.as_ptr(), options(noreturn));
    }
}

fn pause(reads: u32) {
    for _ in 0..reads {
        // SAFETY: port 0x80 shows power-on codes; reading it has no effect.
        unsafe { port::read8(0x80) };
    }
}
