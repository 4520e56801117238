//! What a file descriptor can refer to: the interface between the Hermit ABI above and files, devices and sockets
//! below.

use crate::errno::{Errno, Result};
use crate::heap::{Rc, Vec};
use crate::thread_types::Channel;
use core::net::SocketAddr;

/// Readiness, in the bits of `hermit_abi::pollfd` (POLLIN, POLLOUT, POLLRDHUP, POLLERR, POLLHUP, ...).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Events(pub i16);

impl Events {
    pub const NONE: Events = Events(0);
    pub const IN: Events = Events(hermit_abi::POLLIN);
    pub const OUT: Events = Events(hermit_abi::POLLOUT);
    pub const ERROR: Events = Events(hermit_abi::POLLERR);
    pub const HANGUP: Events = Events(hermit_abi::POLLHUP);

    pub const fn intersects(self, other: Events) -> bool {
        self.0 & other.0 != 0
    }
}

impl core::ops::BitOr for Events {
    type Output = Events;
    fn bitor(self, other: Events) -> Events {
        Events(self.0 | other.0)
    }
}

impl core::ops::BitAnd for Events {
    type Output = Events;
    fn bitand(self, other: Events) -> Events {
        Events(self.0 & other.0)
    }
}

/// What `stat` tells of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    /// `S_IFMT` type and permission bits.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// Seconds since the Unix epoch.
    pub modified: i64,
    pub inode: u64,
}

/// An open file description. Every method runs inside the kernel's critical section; those that wait give it up while
/// they do.
pub trait Object {
    fn read(&self, _buffer: &mut [u8]) -> Result<usize> {
        Err(Errno::EINVAL)
    }
    fn write(&self, _bytes: &[u8]) -> Result<usize> {
        Err(Errno::EINVAL)
    }
    /// `whence` as in `lseek`: 0 start, 1 current, 2 end. Returns the new offset.
    fn seek(&self, _offset: i64, _whence: i32) -> Result<u64> {
        Err(Errno::ESPIPE)
    }
    fn stat(&self) -> Result<Stat> {
        Err(Errno::EINVAL)
    }
    /// Fills `buffer` with `dirent64` records; 0 at the end of the directory.
    fn read_directory(&self, _buffer: &mut [u8]) -> Result<usize> {
        Err(Errno::ENOTDIR)
    }
    fn nonblocking(&self) -> bool {
        false
    }
    fn set_nonblocking(&self, _on: bool) -> Result<()> {
        Ok(())
    }
    /// Which of the events hold now (error and hang-up are always told).
    fn ready(&self, interest: Events) -> Events;
    /// Adds the channels that are woken when one of `interest` may have become true, and arms whatever wakes them.
    fn subscribe(&self, _interest: Events, _channels: &mut Vec<Channel>) -> Result<()> {
        Ok(())
    }
    fn as_socket(&self) -> Option<&dyn Socket> {
        None
    }
}

/// The socket calls of an [`Object`] that is one.
pub trait Socket {
    fn bind(&self, address: SocketAddr) -> Result<()>;
    fn listen(&self, backlog: usize) -> Result<()>;
    fn accept(&self) -> Result<(Rc<dyn Object>, SocketAddr)>;
    fn connect(&self, address: SocketAddr) -> Result<()>;
    /// `how` as in `shutdown`: 0 read, 1 write, 2 both.
    fn shutdown(&self, how: i32) -> Result<()>;
    fn local_address(&self) -> Result<SocketAddr>;
    fn peer_address(&self) -> Result<SocketAddr>;
    /// `flags`: MSG_PEEK is honoured.
    fn receive_from(&self, buffer: &mut [u8], flags: i32) -> Result<(usize, Option<SocketAddr>)>;
    fn send_to(&self, bytes: &[u8], flags: i32, to: Option<SocketAddr>) -> Result<usize>;
    fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<()>;
    /// Writes the value, returns its length.
    fn option(&self, level: i32, name: i32, value: &mut [u8]) -> Result<usize>;
}
