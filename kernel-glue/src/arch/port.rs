//! Port input and output.

use core::arch::asm;

/// # Safety
/// Writing `value` to `port` has no effect on memory the program or the kernel uses.
#[inline(always)]
pub unsafe fn write8(port: u16, value: u8) {
    // SAFETY: the instruction itself touches no memory; what the device does is the caller's promise.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) }
}

/// # Safety
/// As [`write8`].
#[inline(always)]
pub unsafe fn write16(port: u16, value: u16) {
    // SAFETY: as write8.
    unsafe { asm!("out dx, ax", in("dx") port, in("ax") value, options(nomem, nostack, preserves_flags)) }
}

/// # Safety
/// As [`write8`].
#[inline(always)]
pub unsafe fn write32(port: u16, value: u32) {
    // SAFETY: as write8.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags)) }
}

/// # Safety
/// Reading `port` has no side effect the rest of the kernel does not expect.
#[inline(always)]
pub unsafe fn read8(port: u16) -> u8 {
    let value;
    // SAFETY: the instruction itself touches no memory; side effects are the caller's promise.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags)) };
    value
}

/// # Safety
/// As [`read8`].
#[inline(always)]
pub unsafe fn read16(port: u16) -> u16 {
    let value;
    // SAFETY: as read8.
    unsafe { asm!("in ax, dx", in("dx") port, out("ax") value, options(nomem, nostack, preserves_flags)) };
    value
}

/// # Safety
/// As [`read8`].
#[inline(always)]
pub unsafe fn read32(port: u16) -> u32 {
    let value;
    // SAFETY: as read8.
    unsafe { asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags)) };
    value
}
