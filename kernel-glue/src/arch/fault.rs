//! The report of a fault that cannot be repaired: what, where, in which thread, and the way there. `cartridge run` turns the
//! addresses into functions and lines with the unstripped twin of the image.

use super::{exceptions::Frame, image, paging};
use crate::console::raw;
use crate::{memory, power, thread};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Exit statuses as a shell gives them for SIGSEGV.
const STATUS: i32 = 139;
const MOST_ADDRESSES: usize = 32;
/// How far above the stack pointer return addresses are looked for, bytes.
const MOST_STACK: u64 = 64 << 10;

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
        14 if memory::is_stack(address) && !present => "out of memory for a stack",
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
    if cause == "out of memory for a stack" {
        raw!(
            "out of memory: the stack of thread {} asked for 4096 bytes, {}\n",
            thread::current_id(),
            memory::Room
        );
        print_return_addresses(frame.rsp);
        power::exit(power::OUT_OF_MEMORY);
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
        frame.r15
    );
    if image::text().contains(&frame.rip) {
        raw!("fault:   at {:#x}\n", frame.rip);
    }
    print_return_addresses(frame.rsp);
    power::exit(STATUS)
}

/// Prints `fault:   at ADDRESS` for the words above `stack_pointer` that look like return addresses: they lie in the text just
/// behind a call instruction. (Without unwind tables, which would cost the image a quarter of its size, a stale one may be among them.)
pub fn print_return_addresses(stack_pointer: u64) {
    let mut at = stack_pointer.next_multiple_of(8);
    let end = at.saturating_add(MOST_STACK);
    let (mut found, mut last) = (0, 0);
    while at < end && found < MOST_ADDRESSES {
        if (at % 4096 == 0 || at == stack_pointer.next_multiple_of(8)) && !paging::is_present(at) {
            at = (at + 4096) & !4095;
            continue;
        }
        // SAFETY: the page is mapped, as just checked, and aligned reads do not leave it.
        let word = unsafe { (at as *const u64).read_volatile() };
        if word != last && follows_call(word) {
            raw!("fault:   at {word:#x}\n");
            (found, last) = (found + 1, word);
        }
        at += 8;
    }
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
