//! Threads that are preempted keep their registers to themselves: the halves that AVX adds, and the x87 stack.

use std::arch::asm;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for each thread to be interrupted many times.
const WHILE: Duration = Duration::from_millis(300);
/// The x87 tag word of a unit with nothing on its stack.
const ALL_EMPTY: u16 = 0xffff;

/// Prints what was checked; status 0 when all is well.
pub fn check() -> ExitCode {
    let avx = if is_x86_feature_detected!("avx") {
        let threads = [3, 5, 9].map(|own| thread::spawn(move || keeps_vectors(own)));
        let kept = threads.map(|thread| thread.join().expect("it does not panic"));
        if kept == [true; 3] { "kept" } else { "LOST" }
    } else {
        "not there"
    };
    let x87 = if finds_an_empty_stack() { "empty" } else { "FULL" };
    println!("registers: AVX {avx}, x87 {x87}");
    ExitCode::from(u8::from(avx == "LOST" || x87 == "FULL"))
}

/// Holds a value of its own in vector registers for a while, with nothing but the loop around it.
fn keeps_vectors(own: u64) -> bool {
    let until = Instant::now() + WHILE;
    let mut kept = true;
    while Instant::now() < until {
        let mut found = [[0u64; 4]; 2];
        // SAFETY: the CPU has AVX (the caller asked), `found` has room for both registers, and the registers are declared.
        unsafe {
            asm!(
                "vmovq xmm14, {own}",
                "vmovddup xmm14, xmm14",
                "vinsertf128 ymm14, ymm14, xmm14, 1",
                "vmovaps ymm15, ymm14",
                "2: dec {turns}",
                "jnz 2b",
                "vmovups [{found}], ymm14",
                "vmovups [{found} + 32], ymm15",
                "vzeroupper",
                own = in(reg) own,
                turns = inout(reg) 200_000u64 => _,
                found = in(reg) found.as_mut_ptr(),
                out("ymm14") _,
                out("ymm15") _,
                options(nostack),
            );
        }
        kept &= found == [[own; 4]; 2];
    }
    kept
}

/// While one thread computes with a full x87 stack, others begin and go on with an empty one, as the ABI has it for a function.
fn finds_an_empty_stack() -> bool {
    static DONE: AtomicBool = AtomicBool::new(false);
    let computing = thread::spawn(|| {
        while !DONE.load(Relaxed) {
            // SAFETY: the registers are declared, and empty again at the end.
            unsafe {
                asm!(
                    "fld1", "fld1", "fld1", "fld1",
                    "2: dec {turns}",
                    "jnz 2b",
                    "fstp st(0)", "fstp st(0)", "fstp st(0)", "fstp st(0)",
                    turns = inout(reg) 5_000_000u64 => _,
                    out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                    out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
                    options(nostack),
                );
            }
        }
    });
    let mut empty = true;
    for _ in 0..10 {
        empty &= thread::spawn(|| tags() == ALL_EMPTY).join().expect("it does not panic");
        thread::sleep(Duration::from_millis(2));
        empty &= tags() == ALL_EMPTY;
    }
    DONE.store(true, Relaxed);
    computing.join().expect("it does not panic");
    empty
}

/// The x87 tag word: two bits for each register, 3 for an empty one.
fn tags() -> u16 {
    let mut environment = [0u16; 14];
    // SAFETY: the environment is 28 bytes; FNSTENV masks exceptions, which they are anyway, and changes nothing else.
    unsafe { asm!("fnstenv [{}]", "fldenv [{0}]", in(reg) environment.as_mut_ptr(), options(nostack)) };
    environment[4]
}
