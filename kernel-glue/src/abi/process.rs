//! The end of the program, which is the end of the machine.

use crate::{critical, power};

/// Status of a program that aborted: 128 and SIGABRT's number, as a shell reports it.
const ABORTED: i32 = 134;

#[unsafe(no_mangle)]
pub extern "C" fn sys_exit(status: i32) -> ! {
    let _critical = critical::enter();
    power::exit(status)
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_abort() -> ! {
    sys_exit(ABORTED)
}
