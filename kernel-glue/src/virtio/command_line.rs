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
    let (size, rest) = number(value.as_bytes())?;
    let (address, rest) = number(rest.strip_prefix(b"@")?)?;
    let (interrupt, rest) = number(rest.strip_prefix(b":")?)?;
    address.checked_add(size)?;
    // Linux takes these words as ISA interrupts are: edge-triggered, active high. What follows a third ':' is a number for
    // Linux's names.
    (size != 0 && matches!(rest, [] | [b':', ..])).then_some(Place {
        address,
        size,
        interrupt: u32::try_from(interrupt).ok()?,
        level_triggered: false,
        active_low: false,
    })
}

/// The number that `text` begins with, and what follows it: decimal or 0x-hexadecimal, with an optional K, M or G.
#[inline(never)]
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let (base, digits) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (16, digits),
        _ => (10, text),
    };
    let (mut value, mut rest) = (0u64, digits);
    while let [first, after @ ..] = rest
        && let Some(digit) = char::from(*first).to_digit(base)
    {
        value = value.checked_mul(base.into())?.checked_add(digit.into())?;
        rest = after;
    }
    let shift = match rest.first().map(u8::to_ascii_uppercase) {
        _ if rest.len() == digits.len() => return None,
        Some(b'K') => 10,
        Some(b'M') => 20,
        Some(b'G') => 30,
        _ => return Some((value, rest)),
    };
    Some((value.checked_mul(1 << shift)?, &rest[1..]))
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
