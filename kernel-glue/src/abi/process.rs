//! The end of the program, which is the end of the machine. (`sys_abort` is with the fault report, arch/fault.rs.)

use crate::{critical, net, power};

/// How long the end waits for peers that do not acknowledge what the program sent them, nanoseconds.
const DRAIN_PATIENCE: u64 = 100_000_000;
/// How long it waits for all of them, however slowly they take it, nanoseconds.
const DRAIN_LIMIT: u64 = 2_000_000_000;

/// What the program has written to its connections is delivered first.
#[unsafe(no_mangle)]
pub extern "C" fn sys_exit(status: i32) -> ! {
    let _critical = critical::enter();
    net::drain(DRAIN_PATIENCE, DRAIN_LIMIT);
    power::exit(status)
}
