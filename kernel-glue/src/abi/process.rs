//! The end of the program, which is the end of the machine. (`sys_abort` is with the fault report, arch/fault.rs.)

use crate::{critical, power};

#[unsafe(no_mangle)]
pub extern "C" fn sys_exit(status: i32) -> ! {
    let _critical = critical::enter();
    power::exit(status)
}
