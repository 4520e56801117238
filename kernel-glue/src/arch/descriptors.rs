//! Task state segment and interrupt descriptor table (Intel SDM volume 3, sections 8.7 and 6.14).

use super::{exceptions, interrupts};
use core::arch::asm;
use core::cell::UnsafeCell;

/// Interrupt stacks: each kind of event has its own, so that an event in user code never writes into a red zone, and a fault in
/// an interrupt does not overwrite the interrupt's frame.
const STACK_SIZE: usize = 8192;
#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK_SIZE]>);
// SAFETY: only the CPU and the stubs running on the stack touch it.
unsafe impl Sync for Stack {}
static STACKS: [Stack; 3] = [const { Stack(UnsafeCell::new([0; STACK_SIZE])) }; 3];
/// Numbers in the interrupt stack table, from 1.
const INTERRUPT_STACK: u64 = 1;
const EXCEPTION_STACK: u64 = 2;
const DOUBLE_FAULT_STACK: u64 = 3;

pub const VECTORS: usize = 80;
const INTERRUPT_GATE: u64 = 0x8e << 40;
const CODE_SEGMENT: u64 = 0x08;
const TASK_SEGMENT: u16 = 0x18;

#[repr(C, align(16))]
struct Tables {
    idt: [[u64; 2]; VECTORS],
    tss: [u32; 26],
}
struct Static(UnsafeCell<Tables>);
// SAFETY: written once by `init`, before interrupts are on; afterwards only the CPU reads it.
unsafe impl Sync for Static {}
static TABLES: Static = Static(UnsafeCell::new(Tables {
    idt: [[0; 2]; VECTORS],
    tss: [0; 26],
}));

unsafe extern "C" {
    static mut entry_gdt: [u64; 5];
}

/// Loads the tables. Before this a fault is a triple fault.
///
/// # Safety
/// Called once, at boot, with interrupts off.
pub unsafe fn init() {
    // SAFETY: called once, nothing else uses the tables yet.
    let tables = unsafe { &mut *TABLES.0.get() };
    for (index, stack) in STACKS.iter().enumerate() {
        let top = stack.0.get() as u64 + STACK_SIZE as u64;
        tables.tss[9 + 2 * index] = top as u32;
        tables.tss[10 + 2 * index] = (top >> 32) as u32;
    }
    for vector in 0..VECTORS {
        let (handler, stack) = match vector {
            8 => (exceptions::stub(vector), DOUBLE_FAULT_STACK),
            0..32 => (exceptions::stub(vector), EXCEPTION_STACK),
            _ => (interrupts::stub(vector), INTERRUPT_STACK),
        };
        tables.idt[vector] = [
            handler & 0xffff | CODE_SEGMENT << 16 | stack << 32 | INTERRUPT_GATE | (handler >> 16 & 0xffff) << 48,
            handler >> 32,
        ];
    }
    let tss = &raw const tables.tss as u64;
    let idt = &raw const tables.idt as u64;
    let limit = size_of::<[u32; 26]>() as u64 - 1;
    let mut pointer = [0u16; 5];
    pointer[0] = (VECTORS * 16 - 1) as u16;
    for index in 0..4 {
        pointer[1 + index] = (idt >> (16 * index)) as u16;
    }
    // SAFETY: the GDT has two free slots for the TSS descriptor; both tables live for ever and are filled in.
    unsafe {
        let gdt = &raw mut entry_gdt as *mut u64;
        gdt.add(3)
            .write(limit | (tss & 0xff_ffff) << 16 | 0x89 << 40 | (tss >> 24 & 0xff) << 56);
        gdt.add(4).write(tss >> 32);
        asm!("ltr ax", in("ax") TASK_SEGMENT, options(nostack, preserves_flags));
        asm!("lidt [{}]", in(reg) pointer.as_ptr(), options(readonly, nostack, preserves_flags));
    }
}
