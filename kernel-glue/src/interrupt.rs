//! Interrupt vectors, MSI and I/O APIC routing. Handlers run with interrupts off and touch atomics and device registers only.

pub struct Vector(pub u8);

/// Claims a free vector for `handler`; `None` when all are taken.
pub fn claim(_handler: fn()) -> Option<Vector> {
    unimplemented!()
}

/// Address and data of a message-signalled interrupt that raises `vector` on the boot CPU.
pub fn message(_vector: &Vector) -> (u64, u32) {
    unimplemented!()
}

/// Routes global system interrupt `gsi` to `vector` through the I/O APIC that has it.
pub fn route(_gsi: u32, _vector: &Vector, _level_triggered: bool, _active_low: bool) -> bool {
    unimplemented!()
}
