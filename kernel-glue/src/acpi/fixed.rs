//! The fixed ACPI description table (ACPI specification 6.5, section 5.2.9) and what is needed of the differentiated one.

use super::table::{after, position, u8_at, u16_at, u32_at, u64_at};

/// A register, by its generic address structure (section 5.2.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Register {
    Memory(u64),
    Port(u16),
}

/// The table, whose fields are read when they are asked for; a shorter (older) one simply has fewer. What is absent is 0 or `None`.
#[derive(Clone, Copy)]
pub struct Fixed<'t>(pub &'t [u8]);

const RESET_SUPPORTED: u32 = 1 << 10;
const HARDWARE_REDUCED: u32 = 1 << 20;

impl Fixed<'_> {
    /// Address of the differentiated table.
    pub fn dsdt(self) -> u64 {
        match u64_at(self.0, 140) {
            Some(address @ 1..) => address,
            _ => u32_at(self.0, 40).map_or(0, u64::from),
        }
    }

    /// ISA interrupt of the system control interrupt.
    pub fn sci(self) -> u16 {
        u16_at(self.0, 46).unwrap_or(0)
    }

    /// Port and value that hand the fixed hardware over to the operating system.
    pub fn enable(self) -> Option<(u16, u8)> {
        let value = u8_at(self.0, 52).filter(|value| *value != 0)?;
        Some((self.port(48)?, value))
    }

    /// The first event block: the status register, and half its length further the enable register.
    pub fn pm1_event(self) -> Option<Register> {
        self.block(148, 56)
    }

    pub fn pm1_event_length(self) -> u8 {
        self.byte(88)
    }

    /// Port and length of the other event blocks: PM1b's, and the two general-purpose ones.
    pub fn other_events(self) -> impl Iterator<Item = (u16, u8)> {
        const PLACES: &[(usize, usize)] = &[(60, 88), (80, 92), (84, 93)];
        PLACES
            .iter()
            .filter_map(move |&(block, length)| Some((self.port(block)?, self.byte(length))))
    }

    pub fn pm1_control(self) -> [Option<Register>; 2] {
        [self.block(172, 64), self.block(184, 68)]
    }

    /// The power management timer.
    pub fn timer(self) -> Option<Register> {
        self.block(208, 76)
    }

    /// What resets the machine: a register, and the value for it.
    pub fn reset(self) -> Option<(Register, u8)> {
        if self.flags() & RESET_SUPPORTED == 0 {
            return None;
        }
        Some((self.register(116)?, u8_at(self.0, 128)?))
    }

    pub fn hardware_reduced(self) -> bool {
        self.flags() & HARDWARE_REDUCED != 0
    }

    pub fn sleep_control(self) -> Option<Register> {
        self.register(244)
    }

    fn byte(self, offset: usize) -> u8 {
        u8_at(self.0, offset).unwrap_or(0)
    }

    fn flags(self) -> u32 {
        u32_at(self.0, 112).unwrap_or(0)
    }

    #[inline(never)] // for each of the blocks
    fn block(self, extended: usize, legacy: usize) -> Option<Register> {
        self.register(extended)
            .or_else(|| self.port(legacy).map(Register::Port))
    }

    /// A port by its number alone; 0 is none.
    fn port(self, offset: usize) -> Option<u16> {
        u32_at(self.0, offset)?.try_into().ok().filter(|port| *port != 0)
    }

    fn register(self, offset: usize) -> Option<Register> {
        let address = u64_at(self.0, offset + 4).filter(|address| *address != 0)?;
        match u8_at(self.0, offset)? {
            0 => Some(Register::Memory(address)),
            1 => u16::try_from(address).ok().map(Register::Port),
            _ => None,
        }
    }
}

/// Opcodes and prefixes of ACPI's byte code (section 20.2).
const NAME: u8 = 0x08;
const PACKAGE: u8 = 0x12;
const BYTE_PREFIX: u8 = 0x0a;

/// The values that switch the machine off: SLP_TYPa and SLP_TYPb of the package `_S5` (section 7.4.2.6), found by its name.
pub fn soft_off_types(dsdt: &[u8]) -> Option<(u8, u8)> {
    const NAMED: &[u8] = b"_S5_";
    let mut rest = dsdt;
    loop {
        let at = position(rest, NAMED)?;
        let named = matches!(rest[..at], [.., NAME] | [.., NAME, b'\\']);
        rest = &rest[at + NAMED.len()..];
        if named && let Some(found) = sleep_types(rest) {
            return Some(found);
        }
    }
}

fn sleep_types(code: &[u8]) -> Option<(u8, u8)> {
    let rest = code.strip_prefix(&[PACKAGE])?;
    // The package's length takes one byte, and as many more as its two top bits say; then comes the count of elements.
    let length_bytes = 1 + (u8_at(rest, 0)? >> 6) as usize;
    let rest = rest.get(length_bytes + 1..)?;
    let (first, rest) = small_number(rest)?;
    let (second, _) = small_number(rest)?;
    Some((first, second))
}

fn small_number(code: &[u8]) -> Option<(u8, &[u8])> {
    match code {
        [BYTE_PREFIX, value, rest @ ..] => Some((*value, rest)),
        [value @ (0 | 1), rest @ ..] => Some((*value, rest)),
        _ => None,
    }
}

/// QEMU's generic event device, as its byte code describes it: where to read which events came, and the interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventDevice {
    /// Reading it (32 bits) tells and clears the events.
    pub selector: u64,
    pub interrupt: u32,
}

/// The power button's bit in the selector (QEMU's docs/specs/acpi_hw_reduced_hotplug.rst).
pub const POWER_BUTTON_EVENT: u32 = 2;

/// Finds the generic event device (section 5.6.9, `_HID` ACPI0013): the operation region `EREG` in memory, and the extended
/// interrupt descriptor (section 6.4.3.6) of one interrupt that follows the device's name.
pub fn event_device(dsdt: &[u8]) -> Option<EventDevice> {
    const REGION: &[u8] = &[0x5b, 0x80, b'E', b'R', b'E', b'G', 0, 0x0c];
    const INTERRUPT: &[u8] = &[0x89, 6, 0];
    let region = after(dsdt, REGION)?;
    let descriptor = after(after(dsdt, b"ACPI0013")?, INTERRUPT)?;
    if u8_at(descriptor, 1)? != 1 {
        return None;
    }
    Some(EventDevice {
        selector: u32_at(region, 0)? as u64,
        interrupt: u32_at(descriptor, 2)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The registers of QEMU's q35.
    fn q35() -> std::vec::Vec<u8> {
        let mut table = std::vec![0u8; 244];
        let mut put = |offset: usize, bytes: &[u8]| table[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(40, &0x7ffe_0040u32.to_le_bytes());
        put(46, &9u16.to_le_bytes());
        put(48, &0xb2u32.to_le_bytes());
        put(52, &[2]);
        put(56, &0x600u32.to_le_bytes());
        put(64, &0x604u32.to_le_bytes());
        put(76, &0x608u32.to_le_bytes());
        put(80, &0x620u32.to_le_bytes());
        put(88, &[4]);
        put(92, &[16]);
        put(112, &RESET_SUPPORTED.to_le_bytes());
        put(116, &[1, 8, 0, 0, 0xf9, 0x0c]);
        put(128, &[0x0f]);
        put(140, &0x7ffe_0040u64.to_le_bytes());
        put(148, &[1, 32, 0, 0, 0, 6]);
        table
    }

    #[test]
    fn q35s_table() {
        let table = q35();
        let fixed = Fixed(&table);
        assert_eq!(fixed.dsdt(), 0x7ffe_0040);
        assert_eq!((fixed.sci(), fixed.enable()), (9, Some((0xb2, 2))));
        assert_eq!(fixed.pm1_event(), Some(Register::Port(0x600)));
        assert_eq!(fixed.pm1_control(), [Some(Register::Port(0x604)), None]);
        assert_eq!(fixed.timer(), Some(Register::Port(0x608)));
        assert_eq!(fixed.reset(), Some((Register::Port(0xcf9), 0x0f)));
        assert!(fixed.other_events().eq([(0x620, 16)]));
        assert!(!fixed.hardware_reduced() && fixed.sleep_control().is_none());
    }

    #[test]
    fn every_shorter_table_and_any_bytes_are_borne() {
        let all = |fixed: Fixed| {
            assert!(fixed.other_events().count() <= 3);
            let numbers = (
                fixed.dsdt(),
                fixed.sci(),
                fixed.pm1_event_length(),
                fixed.hardware_reduced(),
            );
            let registers = (
                fixed.pm1_event(),
                fixed.pm1_control(),
                fixed.timer(),
                fixed.sleep_control(),
            );
            (numbers, registers, fixed.enable(), fixed.reset())
        };
        let table = q35();
        for length in 0..table.len() {
            all(Fixed(&table[..length]));
        }
        let nothing = ((0, 0, 0, false), (None, [None; 2], None, None), None, None);
        assert_eq!(all(Fixed(&[])), nothing);
        let ones = all(Fixed(&[0xff; 300]));
        assert_eq!((ones.1, ones.2), (nothing.1, None));
    }

    #[test]
    fn soft_off_by_all_number_forms() {
        assert_eq!(soft_off_types(b"xx\x08_S5_\x12\x06\x04\x00\x00\x00\x00"), Some((0, 0)));
        assert_eq!(
            soft_off_types(b"\x08\\_S5_\x12\x0a\x04\x0a\x05\x0a\x07\x00\x00"),
            Some((5, 7))
        );
        assert_eq!(soft_off_types(b"\x08_S5_\x12\x48\x00\x04\x01\x0a\x03"), Some((1, 3)));
        assert_eq!(
            soft_off_types(b"_S5_ is also text; \x08_S5_\x12\x06\x02\x0a\x06\x01"),
            Some((6, 1))
        );
    }

    #[test]
    fn cut_or_strange_byte_code_gives_nothing() {
        let code = b"\x08_S5_\x12\x0a\x04\x0a\x05\x0a\x07";
        for length in 0..code.len() {
            assert_eq!(soft_off_types(&code[..length]), None);
        }
        assert_eq!(soft_off_types(b"\x08_S5_\x12\xff"), None);
        assert_eq!(soft_off_types(b"\x08_S5_\x12\x06\x04\xff\xff"), None);
    }

    #[test]
    fn the_event_device_is_found() {
        let mut code = b"\x5b\x82 GED \x0d ACPI0013\0 ....".to_vec();
        code.extend_from_slice(&[0x89, 6, 0, 3, 1, 9, 0, 0, 0, 0x79, 0]);
        code.extend_from_slice(&[0x5b, 0x80, b'E', b'R', b'E', b'G', 0, 0x0c, 0, 0, 0xa0, 0xfe, 0x0a, 4]);
        assert_eq!(
            event_device(&code),
            Some(EventDevice {
                selector: 0xfea0_0000,
                interrupt: 9
            })
        );
        for length in 0..code.len() - 2 {
            assert_eq!(event_device(&code[..length]), None);
        }
    }
}
