//! MMIO devices named on the kernel command line: `virtio_mmio.device=SIZE@ADDRESS:IRQ[:ID]`, as Linux documents in
//! "The kernel's command-line parameters". QEMU's microvm and Firecracker add one such word for each device.

/// One device's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Physical address of the registers.
    pub address: u64,
    /// Bytes of registers.
    pub size: u64,
    /// Global system interrupt.
    pub interrupt: u32,
    pub level_triggered: bool,
    pub active_low: bool,
}

const PREFIX: &str = "virtio_mmio.device=";

/// The places named on `command_line`; a malformed word gives itself back as the error.
pub fn places(command_line: &str) -> impl Iterator<Item = Result<Place, &str>> {
    command_line
        .split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix(PREFIX).map(|value| place(value).ok_or(word)))
}

fn place(value: &str) -> Option<Place> {
    let (size, rest) = value.split_once('@')?;
    let mut parts = rest.split(':');
    let address = number(parts.next()?)?;
    let interrupt = u32::try_from(number(parts.next()?)?).ok()?;
    let size = number(size)?;
    address.checked_add(size)?;
    // Linux takes these words as ISA interrupts are: edge-triggered, active high.
    (size != 0).then_some(Place {
        address,
        size,
        interrupt,
        level_triggered: false,
        active_low: false,
    })
}

/// Decimal or 0x-hexadecimal, with an optional K, M or G.
fn number(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' | b'k' => (&text[..text.len() - 1], 10),
        b'M' | b'm' => (&text[..text.len() - 1], 20),
        b'G' | b'g' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let value = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16).ok()?,
        None => digits.parse().ok()?,
    };
    value.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn qemu_and_firecracker_words_are_read() {
        let line = "env=A=B virtio_mmio.device=512@0xfeb00e00:12 quiet virtio_mmio.device=4K@0xd0000000:5:1 -- x";
        let found: Vec<_> = places(line).map(Result::unwrap).collect();
        let qemu = Place {
            address: 0xfeb0_0e00,
            size: 512,
            interrupt: 12,
            level_triggered: false,
            active_low: false,
        };
        let firecracker = Place {
            address: 0xd000_0000,
            size: 4096,
            interrupt: 5,
            ..qemu
        };
        assert_eq!(found, [qemu, firecracker]);
    }

    #[test]
    fn malformed_words_are_given_back() {
        for word in [
            "virtio_mmio.device=",
            "virtio_mmio.device=512",
            "virtio_mmio.device=@:",
            "virtio_mmio.device=512@0x10",
            "virtio_mmio.device=0@0x10:1",
            "virtio_mmio.device=K@0x10:1",
            "virtio_mmio.device=1@0x10:-1",
            "virtio_mmio.device=17179869184G@0x10:1",
            "virtio_mmio.device=2@0xffffffffffffffff:1",
            "virtio_mmio.device=512@0x10:4294967296",
            "virtio_mmio.device=é@0x10:1",
            "virtio_mmio.device=512@é:é",
        ] {
            assert_eq!(places(word).collect::<Vec<_>>(), [Err(word)], "{word}");
        }
        assert_eq!(places("virtio_mmio virtio_mmio.devices=1 device=512@0x10:1").count(), 0);
    }
}
