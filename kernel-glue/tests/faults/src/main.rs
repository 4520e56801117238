//! Provokes the fault that its first argument names. It lies with kernel-glue because it needs `unsafe`, and so do the checks
//! of what the kernel owes a thread's registers.

mod registers;

use std::alloc::{Layout, alloc};
use std::hint::black_box;
use std::io::{Write, stdout};
use std::process::ExitCode;
use std::ptr;
use std::sync::atomic::AtomicU8;
use std::thread;
use std::time::Duration;

fn main() -> ExitCode {
    let fault = std::env::args().nth(1).unwrap_or_default();
    println!("faults: {fault}");
    match fault.as_str() {
        "null-read" => null_read(),
        "text-write" => text_write(),
        "data-execute" => data_execute(),
        "stack-overflow" => drop(stack_overflow(0)),
        "panic" => panic_on_purpose(),
        "heap-exhausted" => exhaust_heap(),
        "denied-beside-another" => denied_beside_another(),
        "null-read-in-a-line" => {
            print!("half a line");
            stdout().flush().expect("standard output takes it");
            null_read()
        }
        "registers" => return registers::check(),
        "thread-null-read" => thread::spawn(null_read).join().expect("does not return"),
        other => println!("faults: there is no fault named {other:?}"),
    }
    println!("faults: still here");
    ExitCode::from(3)
}

#[inline(never)]
fn null_read() {
    // SAFETY: none. Page 0 is unmapped, so this read faults; that it does is what is tested.
    black_box(unsafe { ptr::read_volatile(black_box(ptr::null::<u8>())) });
}

#[inline(never)]
fn text_write() {
    let code = black_box(null_read as fn()) as *mut u8;
    // SAFETY: none. Code is mapped read-only, so this write faults.
    unsafe { ptr::write_volatile(code, 0xc3) };
}

#[inline(never)]
fn data_execute() {
    /// `ret`, in memory that may be written and not executed.
    static RETURN: AtomicU8 = AtomicU8::new(0xc3);
    // SAFETY: none. Data is not executable, so the call faults.
    let code = unsafe { std::mem::transmute::<*mut u8, extern "C" fn()>(black_box(RETURN.as_ptr())) };
    code();
}

#[inline(never)]
#[expect(unconditional_recursion, reason = "that is the fault")]
fn stack_overflow(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    stack_overflow(depth + 1) + frame[63]
}

#[inline(never)]
fn panic_on_purpose() {
    panic!("on purpose");
}

#[inline(never)]
fn exhaust_heap() {
    loop {
        black_box(vec![1u8; 1 << 20].leak());
    }
}

/// Gives up after an allocation in vain, as std does; meanwhile another thread's succeed.
#[inline(never)]
fn denied_beside_another() {
    thread::spawn(|| {
        loop {
            black_box(vec![1u8; 100]);
            thread::sleep(Duration::from_millis(1));
        }
    });
    let much = Layout::from_size_align(1 << 40, 1).expect("a layout");
    // SAFETY: the layout's size is not zero.
    assert!(black_box(unsafe { alloc(much) }).is_null());
    thread::sleep(Duration::from_millis(50));
    std::process::abort();
}
