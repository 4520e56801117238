//! Descriptors 0, 1 and 2: output goes to the console, input is always at its end.

use crate::errno::Result;
use crate::object::{Events, Object, Stat};
use crate::{clock, console, thread};

/// Bytes written between two chances for threads of the writer's priority.
const LINES: usize = 256;
/// Bytes of a line for which they wait longer.
const LINE: usize = 4096;
/// How long a console that is behind (a full pipe, say) is waited for before output is lost, nanoseconds.
const PATIENCE: u64 = 200_000_000;

/// Prints `bytes`. Threads of the same priority do not come between the beginning of a line and its end (unless it is very
/// long). More urgent ones, the agent's, and the kernel itself do: they begin a line of their own then. Neither they nor
/// packets may wait for a page of text (a serial port takes 87 us a byte), so they are seen to after every few bytes.
pub fn print(mut bytes: &[u8]) {
    let mut begun = 0;
    while !bytes.is_empty() {
        // Up to the end of the last line that fits, or a part of a longer one.
        let most = &bytes[..bytes.len().min(LINES)];
        let newline = most.iter().rposition(|byte| *byte == b'\n');
        let lines;
        (lines, bytes) = bytes.split_at(newline.map_or(most.len(), |at| at + 1));
        for piece in lines.chunks(console::PIECE) {
            let patient_until = clock::now() + PATIENCE;
            loop {
                thread::breathe(false);
                if console::is_ready() || clock::now() >= patient_until {
                    break;
                }
            }
            console::write(piece);
        }
        begun = if newline.is_some() { 0 } else { begun + lines.len() };
        thread::breathe(begun == 0 || begun >= LINE);
    }
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
