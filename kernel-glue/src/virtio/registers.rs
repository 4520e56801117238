//! Device registers in memory.

use core::ptr::NonNull;

/// A window of registers. Offsets are bytes from its start; an access outside the window reads 0 and writes nothing.
pub trait Registers {
    fn read8(&self, offset: usize) -> u8;
    fn read16(&self, offset: usize) -> u16;
    fn read32(&self, offset: usize) -> u32;
    fn write8(&self, offset: usize, value: u8);
    fn write16(&self, offset: usize, value: u16);
    fn write32(&self, offset: usize, value: u32);
    /// Address of the register of `width` bytes at `offset`, for one that is written often; `None` outside the window
    /// or when misaligned.
    fn address(&self, offset: usize, width: usize) -> Option<NonNull<u8>>;
}

/// Registers mapped into memory.
pub struct Window {
    base: NonNull<u8>,
    length: usize,
}

impl Window {
    /// # Safety
    /// `length` bytes at `base` stay mapped, readable and writable for ever, and no Rust reference points into them.
    pub const unsafe fn new(base: NonNull<u8>, length: usize) -> Self {
        Self { base, length }
    }

    /// Maps `length` bytes of device memory at `physical`.
    #[cfg(target_os = "hermit")]
    pub fn map(physical: u64, length: usize) -> Option<Self> {
        let base = crate::memory::map_device(physical, length)?;
        // SAFETY: map_device just mapped these bytes; device mappings are never undone, and no reference is made to them.
        Some(unsafe { Self::new(base, length) })
    }

    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        self.address(offset, size_of::<T>())
            .map(|pointer| pointer.as_ptr().cast())
    }

    fn read<T: Copy + Default>(&self, offset: usize) -> T {
        // SAFETY: `at` proved the register inside the mapped window and aligned; T is a plain integer.
        self.at(offset)
            .map_or(T::default(), |register| unsafe { core::ptr::read_volatile(register) })
    }

    fn write<T: Copy>(&self, offset: usize, value: T) {
        if let Some(register) = self.at(offset) {
            // SAFETY: as in `read`.
            unsafe { core::ptr::write_volatile(register, value) }
        }
    }
}

impl Registers for Window {
    fn read8(&self, offset: usize) -> u8 {
        self.read(offset)
    }
    fn read16(&self, offset: usize) -> u16 {
        self.read(offset)
    }
    fn read32(&self, offset: usize) -> u32 {
        self.read(offset)
    }
    fn write8(&self, offset: usize, value: u8) {
        self.write(offset, value)
    }
    fn write16(&self, offset: usize, value: u16) {
        self.write(offset, value)
    }
    fn write32(&self, offset: usize, value: u32) {
        self.write(offset, value)
    }
    fn address(&self, offset: usize, width: usize) -> Option<NonNull<u8>> {
        let end = offset.checked_add(width)?;
        let aligned = (self.base.as_ptr() as usize).wrapping_add(offset) & (width - 1) == 0;
        // SAFETY: the offset was found to lie inside the window, which is one mapped object.
        (end <= self.length && aligned).then(|| unsafe { self.base.add(offset) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_outside_the_window_do_nothing() {
        let mut memory = [0u64; 2];
        // SAFETY: the array outlives the window and is not touched through its name while the window is used.
        let window = unsafe { Window::new(NonNull::from(&mut memory).cast(), 16) };
        window.write32(4, 0x1122_3344);
        assert_eq!(
            (window.read32(4), window.read16(6), window.read8(7)),
            (0x1122_3344, 0x1122, 0x11)
        );
        window.write32(16, 1);
        window.write32(usize::MAX, 1);
        window.write32(13, 1);
        assert_eq!(
            (
                window.read32(16),
                window.read32(13),
                window.read8(usize::MAX),
                window.read32(12)
            ),
            (0, 0, 0, 0)
        );
    }
}
