//! The console (serial port, later Xen's) and the RAM log ring that keeps what it printed.

/// Writes bytes to the console and the ring.
pub fn write(_bytes: &[u8]) {
    unimplemented!()
}

/// Copies what the ring holds from absolute position `from` on; returns (position after the copied bytes, bytes copied).
/// Positions count every byte ever written; one that was overwritten is moved forward to the oldest kept.
pub fn read_log(_from: u64, _buffer: &mut [u8]) -> (u64, usize) {
    unimplemented!()
}

/// Prints one JSON log line of the kernel: `log!(Warn, "no DHCP answer on {mac}; ...")`.
#[macro_export]
macro_rules! log {
    ($level:ident, $($argument:tt)*) => { $crate::console::log_line($crate::console::Level::$level, format_args!($($argument)*)) };
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

pub fn log_line(_level: Level, _message: core::fmt::Arguments) {
    unimplemented!()
}
