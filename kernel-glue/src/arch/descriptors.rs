//! Task state segment and interrupt descriptor table (Intel SDM volume 3, sections 8.7 and 6.14).

use super::{exceptions, interrupts, paging};
use core::arch::asm;
use core::cell::UnsafeCell;

/// Interrupt stacks: each kind of event has its own, so that an event in user code never writes into a red zone, and a fault in
/// an interrupt does not overwrite the interrupt's frame. The lowest page of each is its guard.
const STACK_SIZE: usize = 8192 + paging::PAGE as usize;
#[repr(C, align(4096))]
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
    tss: TaskState,
}
/// The task state segment's fields lie at multiples of 4.
#[repr(C, packed(4))]
struct TaskState {
    reserved: u32,
    ring_stacks: [u64; 3],
    reserved_2: u64,
    interrupt_stacks: [u64; 7],
    reserved_3: u64,
    io_map: u32,
}
/// What LIDT reads.
#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}
struct Static(UnsafeCell<Tables>);
// SAFETY: written once by `init`, before interrupts are on; afterwards only the CPU reads it.
unsafe impl Sync for Static {}
static TABLES: Static = Static(UnsafeCell::new(Tables {
    idt: [[0; 2]; VECTORS],
    tss: TaskState {
        reserved: 0,
        ring_stacks: [0; 3],
        reserved_2: 0,
        interrupt_stacks: [0; 7],
        reserved_3: 0,
        io_map: 0,
    },
}));

unsafe extern "C" {
    static mut entry_gdt: [u64; 5];
    static entry_stack_guard: u8;
}

/// Loads the tables, and takes the guard pages of the boot stack and of the interrupt stacks away. Before this a fault is a
/// triple fault.
///
/// # Safety
/// Called once, at boot, with interrupts off.
pub unsafe fn init() {
    // SAFETY: called once, nothing else uses the tables yet.
    let tables = unsafe { &mut *TABLES.0.get() };
    paging::unmap(&raw const entry_stack_guard as u64);
    for (index, stack) in STACKS.iter().enumerate() {
        paging::unmap(stack.0.get() as u64);
        tables.tss.interrupt_stacks[index] = stack.0.get() as u64 + STACK_SIZE as u64;
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
    let limit = size_of::<TaskState>() as u64 - 1;
    let idt = Pointer {
        limit: size_of_val(&tables.idt) as u16 - 1,
        base: &raw const tables.idt as u64,
    };
    // SAFETY: the GDT has two free slots for the TSS descriptor; both tables live for ever and are filled in.
    unsafe {
        let gdt = &raw mut entry_gdt as *mut u64;
        gdt.add(3)
            .write(limit | (tss & 0xff_ffff) << 16 | 0x89 << 40 | (tss >> 24 & 0xff) << 56);
        gdt.add(4).write(tss >> 32);
        asm!("ltr ax", in("ax") TASK_SEGMENT, options(nostack, preserves_flags));
        asm!("lidt [{}]", in(reg) &raw const idt, options(readonly, nostack, preserves_flags));
    }
}
