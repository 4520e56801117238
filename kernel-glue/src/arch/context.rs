//! Switching between threads, and the extended (x87, SSE, AVX) state of a preempted one.
//!
//! A thread that gives the CPU up by itself is inside a function call, so only the callee-saved registers, MXCSR and the x87
//! control word matter (System V ABI, section 3.2.1). A preempted thread keeps everything: see interrupts.rs.

use super::cpu::{cpuid, cpuid_sub};
use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Bytes the extended state takes; more than 512 means XSAVE is in use. Read by the preemption trampoline.
pub static STATE_SIZE: AtomicU32 = AtomicU32::new(512);
/// What XSAVE takes for x87 and SSE with its header.
pub const SIZE_WITHOUT_AVX: u32 = 576;
/// The components saved by XSAVE: x87, SSE and AVX (Intel SDM volume 1, section 13.1).
const COMPONENTS: u64 = 7;

global_asm!(
    r#"
.section .text
// context_switch(rdi: where to keep the old stack pointer, rsi: the new stack pointer)
.global context_switch
context_switch:
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  subq $8, %rsp
  stmxcsr (%rsp)
  fnstcw 4(%rsp)
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  ldmxcsr (%rsp)
  fldcw 4(%rsp)
  addq $8, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  ret
// Where a new thread's first switch returns to: r12 and r13 hold entry point and argument, the stack is 16-byte aligned.
context_begin:
  movq %r12, %rdi
  movq %r13, %rsi
  xorl %ebp, %ebp
  call {begin}
  ud2
"#,
    begin = sym crate::thread::begin,
    options(att_syntax)
);

unsafe extern "C" {
    /// # Safety
    /// `new` is a stack pointer kept by an earlier switch or made by [`prepare`], of a thread that is not running.
    pub fn context_switch(old: *mut u64, new: u64);
    fn context_begin();
}

/// Power-on values: all x87 and SSE exceptions masked, round to nearest, 64-bit x87 precision.
const INITIAL_CONTROL: u64 = 0x037f_0000_1f80;

/// Lays out a new thread's stack below `top` (16-byte aligned) so that the first switch to the returned stack pointer calls
/// `begin(entry, argument)`.
///
/// # Safety
/// The 64 bytes below `top` are writable and belong to the new thread.
pub unsafe fn prepare(top: u64, entry: u64, argument: u64) -> u64 {
    // Read upwards by context_switch: control words, r15, r14, r13, r12, rbp, rbx, return address. After the return the stack
    // pointer is `top`, so the call in context_begin leaves it as a function expects it.
    let words = [
        INITIAL_CONTROL,
        0,
        0,
        argument,
        entry,
        0,
        0,
        context_begin as *const () as u64,
    ];
    let stack_pointer = top - size_of_val(&words) as u64;
    // SAFETY: the memory is the caller's promise.
    unsafe { (stack_pointer as *mut [u64; 8]).write(words) };
    stack_pointer
}

/// Enables AVX state for programs where the CPU has XSAVE, and learns how much room it takes.
///
/// # Safety
/// Called once at boot.
pub unsafe fn init() {
    let features = cpuid(1).ecx;
    if features & 1 << 26 == 0 {
        return;
    }
    let components = cpuid_sub(0xd, 0).eax as u64 & COMPONENTS;
    // SAFETY: CPUID says XSAVE is there (CR4.OSXSAVE may be set), and only components it lists are enabled.
    unsafe {
        asm!("mov {t}, cr4", "or {t}, {bit}", "mov cr4, {t}", t = out(reg) _, bit = const 1 << 18, options(nostack));
        asm!("xsetbv", in("ecx") 0, in("eax") components as u32, in("edx") 0, options(nostack));
    }
    STATE_SIZE.store(cpuid_sub(0xd, 0).ebx.max(SIZE_WITHOUT_AVX), Relaxed);
}
