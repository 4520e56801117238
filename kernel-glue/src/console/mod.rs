//! The console (serial port, later Xen's) and the RAM log ring that keeps what it printed.

pub mod line;
pub mod ring;
#[cfg(target_os = "hermit")]
mod serial;

#[cfg(target_os = "hermit")]
pub use machine::{begin_last_words, begin_line, log_line, raw_format, read_log, write};
#[cfg(target_os = "hermit")]
pub use serial::{FIFO_SIZE as PIECE, is_ready};

/// Prints one JSON log line of the kernel: `log!(Warn, "no DHCP answer on {mac}; ...")`.
#[macro_export]
macro_rules! log {
    ($level:ident, $($argument:tt)*) => { $crate::console::log_line($crate::console::Level::$level, format_args!($($argument)*)) };
}

/// Prints text as it is: fault reports and the exit status.
#[cfg(target_os = "hermit")]
macro_rules! raw {
    ($($argument:tt)*) => { $crate::console::raw_format(format_args!($($argument)*)) };
}
#[cfg(target_os = "hermit")]
pub(crate) use raw;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    Error,
    Warn,
    Info,
}

/// On the host there is no console: code that logs can be tested all the same.
#[cfg(not(target_os = "hermit"))]
pub fn log_line(_level: Level, _message: core::fmt::Arguments) {}

#[cfg(target_os = "hermit")]
mod machine {
    use super::{Level, line::Line, ring::Ring, serial};
    use crate::critical::{self, Guarded};
    use core::fmt::Write;

    /// A screenful of screens: what an operator wants to see of a boot and of the last minutes. Bytes.
    const LOG_SIZE: usize = 16 << 10;
    static LOG: Guarded<Ring<LOG_SIZE>> = Guarded::new(Ring::new());

    /// Writes bytes to the console and the ring.
    pub fn write(bytes: &[u8]) {
        let _critical = critical::enter();
        // SAFETY: inside the critical section; nothing below waits or comes back here.
        unsafe { LOG.get().push(bytes) };
        serial::write(bytes);
    }

    /// Ends a line that somebody has begun: what follows is looked for at the beginning of a line.
    pub fn begin_line() {
        let _critical = critical::enter();
        // SAFETY: as in write.
        if !unsafe { LOG.get() }.at_line_start() {
            write(b"\n");
        }
    }

    /// Begins what the machine says at its end, which is worth waiting for where the console is stuck.
    pub fn begin_last_words() {
        serial::be_patient();
        begin_line();
    }

    /// Copies what the ring holds from absolute position `from` on; returns (position after the copied bytes, bytes copied).
    /// Positions count every byte ever written; one that was overwritten is moved forward to the oldest kept.
    pub fn read_log(from: u64, buffer: &mut [u8]) -> (u64, usize) {
        let _critical = critical::enter();
        // SAFETY: as in write.
        unsafe { LOG.get().read(from, buffer) }
    }

    pub fn log_line(level: Level, message: core::fmt::Arguments) {
        let mut line = Line::new(crate::clock::wall().unwrap_or(crate::clock::now()), level);
        // A message that does not fit is cut, not lost.
        let _ = line.write_fmt(message);
        let _critical = critical::enter();
        begin_line();
        write(line.finish());
    }

    pub fn raw_format(message: core::fmt::Arguments) {
        struct Console;
        impl Write for Console {
            fn write_str(&mut self, text: &str) -> core::fmt::Result {
                write(text.as_bytes());
                Ok(())
            }
        }
        let _ = Console.write_fmt(message);
    }
}
