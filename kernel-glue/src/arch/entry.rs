//! The PVH entry: from 32-bit protected mode without paging to long mode with the image mapped W^X.
//!
//! Sources: Xen's docs/misc/pvh.pandoc and include/public/elfnote.h (note 18, PHYS32_ENTRY: EBX holds the physical address of
//! `hvm_start_info`); Intel SDM volume 3, sections 4.5 (4-level paging) and 10.8.5 (entering long mode).
//!
//! Only the image is mapped here, in 4 KiB pages: read-only data R--, text R-X, everything after it RW-NX. Page 0 and all else
//! stay unmapped until the memory map is known (memory/). The tables below 1 GiB are `entry_*` and link.ld's `__image_tables`.

core::arch::global_asm!(
    r#"
.section .note.Xen,"a",@note
.balign 4
.long 4, 8, 18
.asciz "Xen"
.quad pvh_entry

.section .text.boot,"ax",@progbits
.code32
.global pvh_entry
pvh_entry:
  cld
  cli
  movl $entry_stack_top, %esp
  movl %ebx, %esi

  // Has the CPU no-execute (CPUID 0x80000001 EDX bit 20)? ebp: upper half of a no-execute entry; without it the bit is reserved.
  xorl %ebp, %ebp
  movl $0x80000001, %eax
  cpuid
  btl $20, %edx
  jnc 1f
  movl $0x80000000, %ebp
  movl $0x80000000, entry_no_execute+4
1:
  // The image's pages. ecx: entry low (present, writable), edx: entry high.
  movl $__image_start, %eax
  movl %eax, %edi
  shrl $9, %edi
  addl $__image_tables, %edi
2: leal 3(%eax), %ecx
  movl %ebp, %edx
  cmpl $__text_end, %eax
  jae 3f
  leal 1(%eax), %ecx
  cmpl $__text_start, %eax
  jb 3f
  xorl %edx, %edx
3: movl %ecx, (%edi)
  movl %edx, 4(%edi)
  addl $8, %edi
  addl $0x1000, %eax
  cmpl $__image_end, %eax
  jb 2b

  // The page directory of the first GiB: one table for each 2 MiB up to the image's end.
  movl $__image_tables+3, %eax
  movl $entry_pd, %edi
4: movl %eax, (%edi)
  addl $8, %edi
  addl $0x1000, %eax
  cmpl $__image_end, %eax
  jb 4b
  movl $entry_pd+3, entry_pdpt
  movl $entry_pdpt+3, entry_pml4

  // CR4: PAE 5, OSFXSR 9, OSXMMEXCPT 10. EFER: LME 8, NXE 11. CR0: PE 0, MP 1, NE 5, WP 16, PG 31, not EM 2.
  movl $entry_pml4, %eax
  movl %eax, %cr3
  movl %cr4, %eax
  orl $0x620, %eax
  movl %eax, %cr4
  movl $0xC0000080, %ecx
  rdmsr
  orl $0x100, %eax
  testl %ebp, %ebp
  jz 5f
  orl $0x800, %eax
5: wrmsr
  movl %cr0, %eax
  andl $~4, %eax
  orl $0x80010023, %eax
  movl %eax, %cr0
  lgdt entry_gdt_pointer
  ljmpl $8, $6f

.code64
6: xorl %eax, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movl %eax, %fs
  movl %eax, %gs
  fninit
  movl $entry_stack_top, %esp
  movl %esi, %edi
  call {start}
  ud2

// Null, 64-bit code (0x08), data (0x10), the task state segment (0x18, two slots; filled by descriptors.rs).
.section .data.entry,"aw"
.balign 8
.global entry_gdt
entry_gdt: .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff, 0, 0
entry_gdt_end:
entry_gdt_pointer: .word entry_gdt_end-entry_gdt-1
.long entry_gdt
.long 0

.section .bss.entry,"aw",@nobits
.balign 4096
.global entry_pml4
entry_pml4: .skip 4096
entry_pdpt: .skip 4096
entry_pd: .skip 4096
// Unmapped by descriptors.rs.
.global entry_stack_guard
entry_stack_guard: .skip 4096
.skip 8192
entry_stack_top:
.global entry_no_execute
entry_no_execute: .skip 8
"#,
    start = sym crate::boot::start,
    options(att_syntax)
);
