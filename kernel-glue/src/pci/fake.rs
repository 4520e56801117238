//! A configuration space for tests: plain registers, and BARs that can be sized.

use super::configuration::{ConfigurationSpace, Function};
use core::cell::RefCell;
use std::collections::BTreeMap;

pub const FUNCTION: Function = Function {
    bus: 0,
    device: 2,
    function: 0,
};

#[derive(Default)]
pub struct FakeSpace {
    registers: RefCell<BTreeMap<(u8, u8, u8, u8), u32>>,
    /// Bits that can be written, for registers that are BARs.
    writable: BTreeMap<(u8, u8, u8, u8), u32>,
    pub writes_with_decoding_on: RefCell<usize>,
}

fn key(function: Function, offset: u8) -> (u8, u8, u8, u8) {
    (function.bus, function.device, function.function, offset)
}

impl FakeSpace {
    pub fn put(&mut self, function: Function, offset: u8, value: u32) -> &mut Self {
        self.registers.get_mut().insert(key(function, offset), value);
        self
    }

    pub fn device(&mut self, function: Function) -> &mut Self {
        self.put(function, 0, 0x1041_1af4).put(function, 0x0c, 0)
    }

    pub fn bridge(&mut self, function: Function, secondary: u8) -> &mut Self {
        self.put(function, 0, 0x000c_1b36)
            .put(function, 8, 0x0604_0000)
            .put(function, 0x0c, 0x0001_0000);
        self.put(function, 0x18, u32::from(secondary) << 8)
    }

    /// A BAR register with `value`, of which the device lets the bits of `mask` be written.
    pub fn bar(&mut self, function: Function, index: u8, value: u32, mask: u32) -> &mut Self {
        self.writable.insert(key(function, 0x10 + 4 * index), mask);
        self.put(function, 0x10 + 4 * index, value)
    }
}

impl ConfigurationSpace for FakeSpace {
    fn read(&self, function: Function, offset: u8) -> u32 {
        assert_eq!(offset % 4, 0);
        let registers = self.registers.borrow();
        let present = registers.range(key(function, 0)..=key(function, 255)).next().is_some();
        let absent = if present { 0 } else { u32::MAX };
        registers.get(&key(function, offset)).copied().unwrap_or(absent)
    }

    fn write(&self, function: Function, offset: u8, value: u32) {
        if (0x10..0x28).contains(&offset) {
            let decoding = self.read(function, 4) & 3 != 0;
            *self.writes_with_decoding_on.borrow_mut() += usize::from(decoding);
            let mask = self.writable.get(&key(function, offset)).copied().unwrap_or(0);
            let kept = self.read(function, offset) & !mask;
            self.registers
                .borrow_mut()
                .insert(key(function, offset), kept | value & mask);
        } else {
            self.registers.borrow_mut().insert(key(function, offset), value);
        }
    }
}
