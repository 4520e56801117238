//! Descriptors 0, 1 and 2: output goes to the console, input is always at its end.

use crate::console;
use crate::errno::Result;
use crate::object::{Events, Object, Stat};
use crate::thread::{self, Channel};
use core::sync::atomic::{AtomicBool, Ordering};

/// Bytes written between two chances for other threads to run: a serial port takes 87 us a byte, and no thread may be
/// kept off the processor for as long as a page of text takes. A log line fits.
const PIECE: usize = 256;

/// A thread is writing. Taken and given back inside the critical section, held across the pauses.
static BUSY: AtomicBool = AtomicBool::new(false);

/// Prints `bytes` without any other thread's output in between.
pub fn print(bytes: &[u8]) {
    let channel = Channel(&raw const BUSY as usize);
    while BUSY.swap(true, Ordering::Relaxed) {
        thread::wait(&[channel], u64::MAX);
    }
    for (index, piece) in bytes.chunks(PIECE).enumerate() {
        if index > 0 {
            thread::yield_now();
        }
        console::write(piece);
    }
    BUSY.store(false, Ordering::Relaxed);
    thread::wake(channel, 1);
}

pub struct Console;

impl Object for Console {
    fn read(&self, _buffer: &mut [u8]) -> Result<usize> {
        Ok(0)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        print(bytes);
        Ok(bytes.len())
    }

    fn stat(&self) -> Result<Stat> {
        Ok(Stat {
            mode: hermit_abi::S_IFCHR | 0o620,
            size: 0,
            modified: 0,
            inode: 1,
        })
    }

    fn ready(&self, interest: Events) -> Events {
        interest & (Events::IN | Events::OUT)
    }
}
