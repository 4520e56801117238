//! Random bytes for the program.

use crate::abi::answer::call;
use crate::abi::{transfer, user};
use crate::console::{self, Level};
use crate::entropy;
use crate::errno::{Errno, Result};
use core::sync::atomic::{AtomicBool, Ordering};

/// Bytes of the seed that std asks for when it makes a thread's first hash map.
const HASH_SEED: usize = 16;

static ASKED_BEFORE: AtomicBool = AtomicBool::new(false);
static REFUSED_BEFORE: AtomicBool = AtomicBool::new(false);

/// Fills the beginning of `buffer` with bytes fit for keys, and answers how many; EPERM when the machine has no source of them.
///
/// The ABI's flags cannot tell a hash seed from a key (std and getrandom both pass 0), so a machine without entropy
/// refuses both, with one exception: the very first request of a boot is std's own seed for the map of environment
/// variables, made before `main` and shared by all maps of the main thread. That one is served from [`entropy::weak`],
/// with a warning, so that a program which needs no secrets runs. The error is EPERM because std tests for -1 exactly
/// ("failed to generate random data").
///
/// # Safety
/// `buffer` is writable for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_read_entropy(buffer: *mut u8, size: usize, flags: u32) -> isize {
    call(|| {
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        // SAFETY: writable and not shared until the call returns (the caller's promise).
        fill(unsafe { user::bytes_mut(buffer, size.min(transfer::AT_ONCE)) }?)
    })
}

fn fill(buffer: &mut [u8]) -> Result<usize> {
    let first = !ASKED_BEFORE.swap(true, Ordering::Relaxed);
    if entropy::fill(buffer).is_ok() {
        return Ok(buffer.len());
    }
    if first && buffer.len() == HASH_SEED {
        complain(Level::Warn);
        for part in buffer.chunks_mut(8) {
            part.copy_from_slice(&entropy::weak().to_ne_bytes()[..part.len()]);
        }
        return Ok(buffer.len());
    }
    if !REFUSED_BEFORE.swap(true, Ordering::Relaxed) {
        complain(Level::Error);
    }
    Err(Errno::EPERM)
}

/// Says what is missing and what to do about it: a warning where the program may never need it, an error where it did.
fn complain(level: Level) {
    let message = format_args!(
        "this machine has no source of random bytes, requests for them are refused; give it a processor with RDRAND \
         (-cpu host or max) or virtio-rng (-device virtio-rng-pci, microvm: virtio-rng-device)"
    );
    console::log_line(level, message);
}
