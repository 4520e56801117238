//! The report of a fault that cannot be repaired: what, where, in which thread, and the way there. `cartridge run` turns the
//! addresses into functions and lines with the unstripped twin of the image.

use super::{exceptions::Frame, image, paging};
use crate::console::raw;
use crate::{critical, memory, power, thread};
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Exit statuses as a shell gives them for SIGSEGV.
const STATUS: i32 = 139;
const MOST_ADDRESSES: usize = 48;
/// How far above the stack pointer return addresses are looked for, bytes.
const MOST_STACK: u64 = 16 << 10;

const NO_STACK_MEMORY: &str = "out of memory for a stack";

/// Intel SDM volume 3, table 6-1.
fn name(vector: u64) -> &'static str {
    const NAMES: [&str; 22] = [
        "divide error",
        "debug",
        "non-maskable interrupt",
        "breakpoint",
        "overflow",
        "bound range exceeded",
        "invalid opcode",
        "device not available",
        "double fault",
        "coprocessor segment overrun",
        "invalid TSS",
        "segment not present",
        "stack-segment fault",
        "general protection",
        "page fault",
        "reserved",
        "x87 floating-point error",
        "alignment check",
        "machine check",
        "SIMD floating-point error",
        "virtualization exception",
        "control protection",
    ];
    NAMES.get(vector as usize).unwrap_or(&"reserved")
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
    static REPORTING: AtomicBool = AtomicBool::new(false);
    if REPORTING.swap(true, Relaxed) {
        raw!(
            "fault: another one while reporting: {} at {:#x}\n",
            name(frame.vector),
            frame.rip
        );
        power::exit(STATUS);
    }
    let cause = cause(frame, address);
    let status = if cause == NO_STACK_MEMORY {
        power::OUT_OF_MEMORY
    } else {
        STATUS
    };
    if cause == NO_STACK_MEMORY {
        raw!(
            "out of memory: the stack of thread {} asked for 4096 bytes, {}\n",
            thread::current_id(),
            memory::Room
        );
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

/// What a line of the report begins with, and the words of [`Frame`] that it shows.
const REGISTERS: [(&str, usize); 18] = [
    ("\nfault: rip", offset_of!(Frame, rip)),
    (" rsp", offset_of!(Frame, rsp)),
    (" rbp", offset_of!(Frame, rbp)),
    (" rflags", offset_of!(Frame, rflags)),
    ("\nfault: rax", offset_of!(Frame, rax)),
    (" rbx", offset_of!(Frame, rbx)),
    (" rcx", offset_of!(Frame, rcx)),
    (" rdx", offset_of!(Frame, rdx)),
    (" rsi", offset_of!(Frame, rsi)),
    (" rdi", offset_of!(Frame, rdi)),
    ("\nfault: r8", offset_of!(Frame, r8)),
    (" r9", offset_of!(Frame, r9)),
    (" r10", offset_of!(Frame, r10)),
    (" r11", offset_of!(Frame, r11)),
    (" r12", offset_of!(Frame, r12)),
    (" r13", offset_of!(Frame, r13)),
    (" r14", offset_of!(Frame, r14)),
    (" r15", offset_of!(Frame, r15)),
];

fn print_registers(frame: &Frame) {
    for (name, offset) in &REGISTERS {
        // SAFETY: all fields of a frame are u64, and the offset is one's, so this is an aligned u64 inside the frame.
        let value = unsafe { (&raw const *frame).byte_add(*offset).cast::<u64>().read() };
        raw!("{name} {value:#x}");
    }
    raw!("\n");
}

/// Prints `fault:   at ADDRESS sp+OFFSET` for each word above `stack_pointer` that may be a return address: it lies in the text
/// just behind a call instruction. Stale ones are among them: unwind tables would cost the image a quarter of its size, so the
/// host sorts them out with those of the unstripped twin.
pub fn print_return_addresses(stack_pointer: u64) {
    let first = stack_pointer.next_multiple_of(8);
    let mut at = first;
    let end = at.saturating_add(MOST_STACK);
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
    let status = match memory::exhausted() {
        Some(bytes) => {
            raw!(
                "out of memory: thread {} asked for {bytes} bytes, {}\n",
                thread::current_id(),
                memory::Room
            );
            power::OUT_OF_MEMORY
        }
        None => power::ABORTED,
    };
    raw!(
        "fault: abort in thread {}\nfault: rip {rip:#x} rsp {rsp:#x} rbp {rbp:#x}\n",
        thread::current_id()
    );
    print_return_addresses(rsp);
    power::exit(status)
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
