//! Exceptions: lazily backed memory on page faults, a fault report for everything else.

use super::cpu;
use super::fault;
use core::arch::global_asm;

/// What the stubs push and the CPU pushed before them (Intel SDM volume 3, section 6.14.2), lowest address first.
#[repr(C)]
pub struct Frame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    pub vector: u64,
    /// 0 where the exception has none.
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

global_asm!(
    r#"
.section .text
.balign 16
.global exception_stubs
exception_stubs:
.set vector, 0
.rept 32
  .balign 16
  // Vectors 8, 10 to 14, 17, 21, 29 and 30 come with an error code.
  .if (0x60227d00 >> vector) & 1
  .else
  pushq $0
  .endif
  pushq $vector
  jmp exception_common
  .set vector, vector + 1
.endr
exception_common:
  pushq %rax
  pushq %rbx
  pushq %rcx
  pushq %rdx
  pushq %rsi
  pushq %rdi
  pushq %rbp
  pushq %r8
  pushq %r9
  pushq %r10
  pushq %r11
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, %rdi
  movq %rsp, %rbp
  // The kernel has no AVX code (arch/mod.rs), so the upper halves of the registers stay as they are.
  subq $512, %rsp
  andq $-16, %rsp
  fxsave64 (%rsp)
  cld
  call {exception}
  fxrstor64 (%rsp)
  movq %rbp, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %r11
  popq %r10
  popq %r9
  popq %r8
  popq %rbp
  popq %rdi
  popq %rsi
  popq %rdx
  popq %rcx
  popq %rbx
  popq %rax
  addq $16, %rsp
  iretq
"#,
    exception = sym exception,
    options(att_syntax)
);

unsafe extern "C" {
    fn exception_stubs();
}

/// Address of the stub for exception `vector` (below 32).
pub fn stub(vector: usize) -> u64 {
    exception_stubs as *const () as u64 + 16 * vector as u64
}

const PAGE_FAULT: u64 = 14;

/// Returns when the faulting instruction may run again; otherwise reports and ends the machine.
extern "C" fn exception(frame: &Frame) {
    let address = cpu::fault_address();
    if frame.vector == PAGE_FAULT && crate::memory::back_stack(address, frame.error) {
        return;
    }
    fault::report(frame, address)
}
