//! Which global system interrupt an INTx pin raises.
//!
//! The real answer is in ACPI's _PRT, which is AML code and not interpreted here. The rule instead:
//!
//! 1. Behind bridges the pin rotates by the device number at each step up (Bridge Architecture 9.1, table 9-1).
//! 2. Intel 440FX host bridge (QEMU `pc`): pin and slot select one of PIIX3's four PIRQ lines, which its registers
//!    0x60-0x63 route to an ISA interrupt (82371SB datasheet, 2.2.7). The I/O APIC input has the same number; QEMU's MADT
//!    says level, active high. A route that firmware left off (qboot does) is set to 10 or 11.
//! 3. Intel Q35 host bridge (QEMU `q35`): PIRQA-H are I/O APIC inputs 16-23 (ICH9 datasheet, 5.10). On bus 0, slots 0 to
//!    24 use PIRQE-H in turn; slot 30, the DMI bridge, uses PIRQE-H by pin; the other chipset slots use PIRQA-D by pin,
//!    the reset value of their route registers (10.1.27-10.1.32). Level, active high in QEMU.
//! 4. Anything else: what firmware wrote into the interrupt line register, level and active low (PCI 2.2.6).
//!
//! A wrong answer is not fatal: until its first interrupt arrives a device is polled by timer.

use super::configuration::*;
use super::scan;

const PIIX3: (u16, u16) = (0x8086, 0x7000);
/// First of PIIX3's four PIRQ route registers, one byte each; bit 7 means not routed.
const PIIX3_ROUTES: u8 = 0x60;
/// ISA interrupts for PIRQA-D where firmware chose none: the two that SeaBIOS alternates between as well.
const ISA_DEFAULTS: [u8; 4] = [10, 10, 11, 11];

/// An input of the I/O APICs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    pub gsi: u32,
    pub active_low: bool,
}

/// Where the pin of `function` ends up; `None` when it has no pin or nothing is known.
pub fn route(space: &Space, function: Function) -> Option<Route> {
    let pin = space
        .read8(function, register::INTERRUPT_PIN)
        .checked_sub(1)
        .filter(|pin| *pin < 4)?;
    let (slot, pin) = root_pin(space, function, pin);
    match space.identity(HOST_BRIDGE) {
        Some(host_bridge::I440FX) => piix3(space, slot.wrapping_sub(1).wrapping_add(pin) & 3),
        Some(host_bridge::Q35) => {
            let gsi = match slot {
                0..25 => 20 + u32::from((slot + pin) & 3),
                30 => 20 + u32::from(pin),
                _ => 16 + u32::from(pin),
            };
            Some(Route { gsi, active_low: false })
        }
        _ => interrupt_line(space, function),
    }
}

/// The pin as it arrives at bus 0, and the slot there: each bridge on the way rotates it.
fn root_pin(space: &Space, function: Function, pin: u8) -> (u8, u8) {
    let (mut bus, mut device, mut pin) = (function.bus, function.device, pin);
    while bus != 0 {
        let mut above = None;
        scan::functions(space, &mut |found| {
            let bridge = space.read8(found.function, register::HEADER_TYPE) & 0x7f == 1;
            if bridge && found.function.bus < bus && space.read8(found.function, register::SECONDARY_BUS) == bus {
                above = above.or(Some(found.function));
            }
        });
        let Some(bridge) = above else { break };
        pin = (pin + device) & 3;
        // Every step goes to a lower bus number, so this ends.
        (bus, device) = (bridge.bus, bridge.device);
    }
    (device, pin)
}

fn piix3(space: &Space, pirq: u8) -> Option<Route> {
    let mut bridge = None;
    scan::functions(space, &mut |found| {
        if (found.vendor, found.device) == PIIX3 {
            bridge = Some(found.function);
        }
    });
    let bridge = bridge?;
    let routes = space.read(bridge, PIIX3_ROUTES);
    let shift = 8 * u32::from(pirq);
    let mut line = (routes >> shift) as u8;
    if line & 0x80 != 0 {
        line = ISA_DEFAULTS[usize::from(pirq & 3)];
        space.write(
            bridge,
            PIIX3_ROUTES,
            routes & !(0xff << shift) | u32::from(line) << shift,
        );
    }
    Some(Route {
        gsi: u32::from(line & 0xf),
        active_low: false,
    })
}

/// 0xff means "not connected" (PCI 6.2.4); 0 is the timer's, so nobody's.
fn interrupt_line(space: &Space, function: Function) -> Option<Route> {
    let line = space.read8(function, register::INTERRUPT_LINE);
    (line != 0 && line != 0xff).then_some(Route {
        gsi: line.into(),
        active_low: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::fake::FakeSpace;

    const SLOT_3: Function = Function {
        bus: 0,
        device: 3,
        function: 0,
    };

    fn machine((vendor, device): (u16, u16)) -> FakeSpace {
        let mut space = FakeSpace::default();
        space
            .put(HOST_BRIDGE, 0, u32::from(device) << 16 | u32::from(vendor))
            .put(HOST_BRIDGE, 0xc, 0);
        space.device(SLOT_3).put(SLOT_3, 0x3c, 0x0105);
        space
    }

    #[test]
    fn q35_uses_the_io_apic_inputs_from_16() {
        assert_eq!(
            route(&machine(host_bridge::Q35), SLOT_3),
            Some(Route {
                gsi: 23,
                active_low: false
            })
        );
        for (device, gsi) in [(24, 20), (25, 16), (30, 20), (31, 16)] {
            let mut space = machine(host_bridge::Q35);
            let at = Function { device, ..SLOT_3 };
            space.device(at).put(at, 0x3c, 0x0100);
            assert_eq!(route(&space, at).map(|route| route.gsi), Some(gsi), "slot {device}");
        }
        let mut space = machine(host_bridge::Q35);
        let (bridge, behind) = (
            Function { device: 1, ..SLOT_3 },
            Function {
                bus: 2,
                device: 1,
                function: 0,
            },
        );
        space.bridge(bridge, 2).device(behind).put(behind, 0x3c, 0x0200);
        assert_eq!(
            route(&space, behind),
            Some(Route {
                gsi: 23,
                active_low: false
            }),
            "INTB, rotated by 1, slot 1"
        );
    }

    #[test]
    fn piix3_routes_are_read_or_set() {
        let isa = Function { device: 1, ..SLOT_3 };
        let mut space = machine(host_bridge::I440FX);
        space
            .put(isa, 0, 0x7000_8086)
            .put(isa, 0xc, 0)
            .put(isa, 0x60, 0x8080_8080);
        assert_eq!(
            route(&space, SLOT_3),
            Some(Route {
                gsi: 11,
                active_low: false
            })
        );
        assert_eq!(space.read(isa, 0x60), 0x800b_8080);
        space.put(isa, 0x60, 0x0505_0a09);
        assert_eq!(
            route(&space, SLOT_3),
            Some(Route {
                gsi: 5,
                active_low: false
            })
        );
    }

    #[test]
    fn other_chipsets_use_the_interrupt_line() {
        assert_eq!(
            route(&machine((0x8086, 0xd57)), SLOT_3),
            Some(Route {
                gsi: 5,
                active_low: true
            })
        );
        let mut space = machine((0x8086, 0xd57));
        for unknown in [0x0000, 0x0100, 0x01ff, 0x0605] {
            space.put(SLOT_3, 0x3c, unknown);
            assert_eq!(route(&space, SLOT_3), None, "{unknown:#x}");
        }
    }
}
