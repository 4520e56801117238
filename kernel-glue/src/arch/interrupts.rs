//! Interrupt stubs, preemption, and sleeping until the next interrupt.
//!
//! An interrupt runs on its own stack. In kernel code (depth not 0) it leaves a mark in ATTENTION and returns. In program code
//! it rewrites its frame so that IRET lands in the trampoline `preempt` on the thread's own stack, 128 bytes below the stack
//! pointer (the red zone of the System V ABI, section 3.2.2), which saves every register, calls [`crate::thread::preempted`]
//! with the x87 registers empty and the upper halves of AVX's clear, as any function may expect them (the thread that runs
//! next does), and goes back with `ret 128`. Device vectors first call their handler, which may touch atomics and device registers only.

use super::descriptors::VECTORS;
use crate::critical::{ATTENTION, DEPTH};
use core::arch::{asm, global_asm};
use core::sync::atomic::Ordering::Relaxed;

/// The local APIC timer's vector; those of devices follow (interrupt.rs).
pub const TIMER_VECTOR: u8 = 32;
pub const FIRST_DEVICE_VECTOR: u8 = 33;
pub const SPURIOUS_VECTOR: u8 = VECTORS as u8 - 1;

global_asm!(
    r#"
.section .text
.balign 16
.global interrupt_timer
interrupt_timer:
  pushq %rax
  movq $-1, {armed}(%rip)
interrupt_common:
  // End of interrupt: local APIC register 0xb0.
  movl $0xfee000b0, %eax
  movl $0, (%rax)
  cmpl $0, {depth}(%rip)
  jne 1f
  // The interrupted program: go on in `preempt`, as part of the kernel.
  movl $1, {depth}(%rip)
  pushq %rcx
  movq 40(%rsp), %rax
  subq $144, %rax
  movq 16(%rsp), %rcx
  movq %rcx, 8(%rax)
  movq 32(%rsp), %rcx
  movq %rcx, (%rax)
  movq %rax, 40(%rsp)
  leaq preempt(%rip), %rcx
  movq %rcx, 16(%rsp)
  popq %rcx
  popq %rax
  iretq
1: orl $1, {attention}(%rip)
  popq %rax
  iretq

preempt:
  pushq %rax
  pushq %rcx
  pushq %rdx
  pushq %rsi
  pushq %rdi
  pushq %r8
  pushq %r9
  pushq %r10
  pushq %r11
  pushq %rbp
  movq %rsp, %rbp
  movl {state_size}(%rip), %r8d
  subq %r8, %rsp
  andq $-64, %rsp
  cld
  cmpl $512, %r8d
  ja 2f
  fxsave64 (%rsp)
  fninit
  call {preempted}
  fxrstor64 (%rsp)
  jmp 3f
  // XSAVE leaves most of its header (64 bytes at 512) as it is, and XRSTOR wants it zero.
2: leaq 512(%rsp), %rdi
  movl $8, %ecx
  xorl %eax, %eax
  rep stosq
  movl $-1, %eax
  movl $-1, %edx
  xsave64 (%rsp)
  fninit
  cmpl ${without_avx}, %r8d
  jna 5f
  vzeroupper
5: call {preempted}
  movl $-1, %eax
  movl $-1, %edx
  xrstor64 (%rsp)
3: movq %rbp, %rsp
  popq %rbp
  popq %r11
  popq %r10
  popq %r9
  popq %r8
  popq %rdi
  popq %rsi
  popq %rdx
  popq %rcx
  popq %rax
  movl $0, {depth}(%rip)
  // An interrupt that came before the last store has left its mark instead of preempting.
  cmpl $0, {attention}(%rip)
  jne 4f
  popfq
  ret $128
4: movl $1, {depth}(%rip)
  jmp preempt

// One 16-byte stub for each device vector: its number, then the common part.
.balign 16
.global interrupt_devices
interrupt_devices:
.set vector, 33
.rept {devices}
  .balign 16
  pushq %rax
  movl $vector, %eax
  jmp interrupt_device
  .set vector, vector + 1
.endr

interrupt_device:
  pushq %rcx
  pushq %rdx
  pushq %rsi
  pushq %rdi
  pushq %r8
  pushq %r9
  pushq %r10
  pushq %r11
  pushq %rbp
  movq %rsp, %rbp
  subq $512, %rsp
  andq $-16, %rsp
  fxsave64 (%rsp)
  cld
  movl %eax, %edi
  call {device}
  fxrstor64 (%rsp)
  movq %rbp, %rsp
  popq %rbp
  popq %r11
  popq %r10
  popq %r9
  popq %r8
  popq %rdi
  popq %rsi
  popq %rdx
  popq %rcx
  jmp interrupt_common

// A spurious interrupt gets no end-of-interrupt (Intel SDM volume 3, section 11.9).
.global interrupt_spurious
interrupt_spurious:
  iretq
"#,
    armed = sym super::apic::ARMED,
    depth = sym DEPTH,
    attention = sym ATTENTION,
    preempted = sym crate::thread::preempted,
    state_size = sym super::context::STATE_SIZE,
    without_avx = const super::context::SIZE_WITHOUT_AVX,
    devices = const VECTORS - 1 - FIRST_DEVICE_VECTOR as usize,
    device = sym crate::interrupt::dispatch,
    options(att_syntax)
);

unsafe extern "C" {
    fn interrupt_timer();
    fn interrupt_devices();
    fn interrupt_spurious();
}

/// Address of the stub for `vector` (32 and up).
pub fn stub(vector: usize) -> u64 {
    match vector as u8 {
        TIMER_VECTOR => interrupt_timer as *const () as u64,
        SPURIOUS_VECTOR => interrupt_spurious as *const () as u64,
        _ => interrupt_devices as *const () as u64 + 16 * (vector - FIRST_DEVICE_VECTOR as usize) as u64,
    }
}

/// Sleeps until an interrupt, unless one has left its mark since ATTENTION was last cleared. `prepare` runs with interrupts off.
pub fn sleep(prepare: impl FnOnce()) {
    // SAFETY: interrupts are off only between the two instructions; `sti` takes effect after `hlt` has begun, so that an
    // interrupt that comes in between ends the sleep (Intel SDM volume 2, STI).
    unsafe {
        asm!("cli", options(nostack));
        if ATTENTION.load(Relaxed) == 0 {
            prepare();
            asm!("sti", "hlt", options(nostack));
        } else {
            asm!("sti", options(nostack));
        }
    }
}
