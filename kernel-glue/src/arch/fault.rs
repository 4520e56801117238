//! The report of a fault that cannot be repaired: what, where, in which thread, and the way there. `cartridge run` turns the
//! addresses into functions and lines with the unstripped twin of the image.

use super::{exceptions::Frame, image, paging};
use crate::console::{self, raw};
use crate::{critical, memory, power, thread};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Exit statuses as a shell gives them for SIGSEGV.
const STATUS: i32 = 139;
const MOST_ADDRESSES: usize = 48;
/// How far above the stack pointer return addresses are looked for, bytes.
const MOST_STACK: u64 = 16 << 10;

/// First address past the lower half of the address space, from where on they need not be canonical.
const LOWER_HALF: u64 = 1 << 47;

const NO_STACK_MEMORY: &str = "out of memory for a stack";

/// Intel SDM volume 3, table 6-1, in its order. One text, because a table of texts takes more room than the texts.
const NAMES: &str = "divide error,debug,non-maskable interrupt,breakpoint,overflow,bound range exceeded,invalid opcode,\
    device not available,double fault,coprocessor segment overrun,invalid TSS,segment not present,stack-segment fault,\
    general protection,page fault,reserved,x87 floating-point error,alignment check,machine check,\
    SIMD floating-point error,virtualization exception,control protection";

fn name(vector: u64) -> &'static str {
    NAMES.split(',').nth(vector as usize).unwrap_or("reserved")
}

/// What a page fault's error code (Intel SDM volume 3, section 4.7) and address say in words.
fn cause(frame: &Frame, address: u64) -> &'static str {
    let (present, write, fetch) = (frame.error & 1 != 0, frame.error & 2 != 0, frame.error & 16 != 0);
    match frame.vector {
        14 if memory::is_guard(address) => "stack overflow",
        14 if address < 4096 => "null pointer",
        14 if memory::is_stack(address) && !present => NO_STACK_MEMORY,
        14 if fetch => "execution of data",
        14 if write && present => "write to read-only memory",
        14 => "no memory there",
        _ => "",
    }
}

pub fn report(frame: &Frame, address: u64) -> ! {
    // Nothing that is printed below may end in a switch to another thread: this is the exceptions' stack.
    core::mem::forget(critical::enter());
    console::begin_last_words();
    static REPORTING: AtomicBool = AtomicBool::new(false);
    if REPORTING.swap(true, Relaxed) {
        raw!("fault: vector {} at {:#x} while reporting\n", frame.vector, frame.rip);
        power::exit(STATUS);
    }
    let cause = cause(frame, address);
    let mut status = STATUS;
    if cause == NO_STACK_MEMORY {
        status = power::OUT_OF_MEMORY;
        out_of_memory(paging::PAGE as usize, " for its stack");
    }
    raw!(
        "fault: {} (vector {}) error {:#x}",
        name(frame.vector),
        frame.vector,
        frame.error
    );
    if frame.vector == 14 {
        raw!(" address {address:#x}");
    }
    raw!(" in thread {}", thread::current_id());
    if !cause.is_empty() {
        raw!(": {cause}");
    }
    print_registers(frame);
    print_return_addresses(frame.rsp);
    power::exit(status)
}

fn print_registers(frame: &Frame) {
    raw!(
        "\nfault: rip {:#x} rsp {:#x} rbp {:#x} rflags {:#x}\n\
         fault: rax {:#x} rbx {:#x} rcx {:#x} rdx {:#x} rsi {:#x} rdi {:#x}\n\
         fault: r8 {:#x} r9 {:#x} r10 {:#x} r11 {:#x} r12 {:#x} r13 {:#x} r14 {:#x} r15 {:#x}\n",
        frame.rip,
        frame.rsp,
        frame.rbp,
        frame.rflags,
        frame.rax,
        frame.rbx,
        frame.rcx,
        frame.rdx,
        frame.rsi,
        frame.rdi,
        frame.r8,
        frame.r9,
        frame.r10,
        frame.r11,
        frame.r12,
        frame.r13,
        frame.r14,
        frame.r15,
    );
}

/// Prints `fault:   at ADDRESS sp+OFFSET` for each word above `stack_pointer` that may be a return address: it lies in the text
/// just behind a call instruction. Stale ones are among them: unwind tables would cost the image a quarter of its size, so the
/// host sorts them out with those of the unstripped twin.
pub fn print_return_addresses(stack_pointer: u64) {
    let first = stack_pointer.next_multiple_of(8);
    let mut at = first;
    // A stack pointer gone wild may be no address at all; the program's are all in the lower half.
    let end = at.saturating_add(MOST_STACK).min(LOWER_HALF);
    let mut found = 0;
    while at < end && found < MOST_ADDRESSES {
        if (at % paging::PAGE == 0 || at == first) && !paging::is_present(at) {
            at = (at + paging::PAGE) & !(paging::PAGE - 1);
            continue;
        }
        // SAFETY: the page is mapped, as just checked, and aligned reads do not leave it.
        let word = unsafe { (at as *const u64).read_volatile() };
        if follows_call(word) {
            raw!("fault:   at {word:#x} sp+{:#x}\n", at - stack_pointer);
            found += 1;
        }
        at += 8;
    }
}

core::arch::global_asm!(
    r#"
.section .text
// std's abort. Its caller's registers are what the report begins with.
.global sys_abort
sys_abort:
  movq (%rsp), %rdi
  leaq 8(%rsp), %rsi
  movq %rbp, %rdx
  subq $8, %rsp
  call {abort}
  ud2
"#,
    abort = sym abort,
    options(att_syntax)
);

/// The program gave up (a panic, a failed assertion, exhausted memory): says where, and ends the machine.
extern "C" fn abort(rip: u64, rsp: u64, rbp: u64) -> ! {
    core::mem::forget(critical::enter());
    console::begin_last_words();
    let mut status = power::ABORTED;
    if thread::denied() > 0 {
        status = power::OUT_OF_MEMORY;
        out_of_memory(thread::denied(), "");
    }
    raw!(
        "fault: abort in thread {}\nfault: rip {rip:#x} rsp {rsp:#x} rbp {rbp:#x}\n",
        thread::current_id()
    );
    print_return_addresses(rsp);
    power::exit(status)
}

fn out_of_memory(bytes: usize, purpose: &str) {
    raw!(
        "out of memory: thread {} asked for {bytes} bytes{purpose}, {}\n",
        thread::current_id(),
        memory::Room
    );
}

/// True when the instruction before `address` is a call: E8 rel32, or FF /2 with a register or memory operand (2 to 7 bytes, one
/// more with a REX prefix, which need not be looked at).
fn follows_call(address: u64) -> bool {
    let text = image::text();
    if address < text.start + 8 || address >= text.end {
        return false;
    }
    // SAFETY: eight bytes before an address in the text, at least eight bytes past its start; text is always readable.
    let before = unsafe { ((address - 8) as *const [u8; 8]).read_unaligned() };
    if before[3] == 0xe8 {
        return true;
    }
    [2, 3, 4, 6, 7]
        .iter()
        .any(|length| before[8 - length] == 0xff && call_length(before[9 - length]) == Some(*length))
}

/// Length of `FF modrm ...` when `modrm` says it is a near call (/2), SIB byte and displacement included.
fn call_length(modrm: u8) -> Option<usize> {
    if modrm >> 3 & 7 != 2 {
        return None;
    }
    let sib = (modrm & 7 == 4) as usize;
    match modrm >> 6 {
        0 if modrm & 7 == 5 => Some(6),
        0 => Some(2 + sib),
        1 => Some(3 + sib),
        2 => Some(6 + sib),
        _ => Some(2),
    }
}
