//! Descriptors 0, 1 and 2: output goes to the console, input is always at its end.

use crate::console;
use crate::errno::Result;
use crate::object::{Events, Object, Stat};
use crate::thread;

/// Bytes written between two looks at what else is due: a serial port takes 87 us a byte, and neither packets nor the agent may
/// wait for a page of text.
const PIECE: usize = 256;
/// Bytes of a line for which other threads of the writer's priority wait.
const LINE: usize = 4096;

/// Prints `bytes`. Threads of the same priority do not come between the beginning of a line and its end (unless it is very
/// long). More urgent ones, the agent's, and the kernel itself do: they begin a line of their own then.
pub fn print(mut bytes: &[u8]) {
    let mut begun = 0;
    while !bytes.is_empty() {
        let most = &bytes[..bytes.len().min(PIECE)];
        let lines = most.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        let piece;
        (piece, bytes) = bytes.split_at(lines.unwrap_or(most.len()));
        console::write(piece);
        begun = if lines.is_some() { 0 } else { begun + piece.len() };
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
