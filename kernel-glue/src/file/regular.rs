//! Open files and directories.

use crate::errno::{Errno, Result};
use crate::file::{clock_seconds, names, tree};
use crate::heap::{Rc, Vec};
use crate::object::{Events, Object, Stat};
use core::cell::Cell;

const READABLE_FILE: u32 = hermit_abi::S_IFREG | 0o444;
const WRITABLE_FILE: u32 = hermit_abi::S_IFREG | 0o644;

/// Where the next read or write goes, bytes from the start.
struct Position(Cell<u64>);

impl Position {
    fn seek(&self, offset: i64, whence: i32, size: u64) -> Result<u64> {
        let base = match whence {
            hermit_abi::SEEK_SET => 0,
            hermit_abi::SEEK_CUR => self.0.get(),
            hermit_abi::SEEK_END => size,
            _ => return Err(Errno::EINVAL),
        };
        let target = base
            .checked_add_signed(offset)
            .filter(|target| *target <= i64::MAX as u64)
            .ok_or(Errno::EINVAL)?;
        self.0.set(target);
        Ok(target)
    }
}

/// Bytes that never change.
pub enum Bytes {
    /// A file of the image, or the payload.
    Static(&'static [u8]),
    /// A text made when the file was opened.
    Made(Vec<u8>),
}

/// An open file of such bytes.
pub struct Fixed {
    bytes: Bytes,
    position: Position,
    inode: u64,
}

impl Fixed {
    pub fn new(bytes: Bytes, inode: u64) -> Fixed {
        Fixed {
            bytes,
            position: Position(Cell::new(0)),
            inode,
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Static(bytes) => bytes,
            Bytes::Made(bytes) => bytes,
        }
    }
}

pub fn fixed_stat(size: usize, inode: u64) -> Stat {
    Stat {
        mode: READABLE_FILE,
        size: size as u64,
        modified: 0,
        inode,
    }
}

impl Object for Fixed {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        let rest = self.bytes().get(self.position.0.get() as usize..).unwrap_or_default();
        let count = copy(rest, buffer);
        self.position.0.set(self.position.0.get() + count as u64);
        Ok(count)
    }

    fn write(&self, _bytes: &[u8]) -> Result<usize> {
        Err(Errno::EBADF)
    }

    fn seek(&self, offset: i64, whence: i32) -> Result<u64> {
        self.position.seek(offset, whence, self.bytes().len() as u64)
    }

    fn stat(&self) -> Result<Stat> {
        Ok(fixed_stat(self.bytes().len(), self.inode))
    }

    fn ready(&self, interest: Events) -> Events {
        interest & (Events::IN | Events::OUT)
    }
}

/// Copies as many bytes as fit; returns how many.
pub fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let count = from.len().min(to.len());
    to[..count].copy_from_slice(&from[..count]);
    count
}

/// How a file of /tmp was opened.
#[derive(Clone, Copy)]
pub struct Access {
    pub read: bool,
    pub write: bool,
    pub append: bool,
}

/// A file of /tmp.
pub struct Memory {
    file: Rc<tree::File>,
    access: Access,
    position: Position,
}

impl Memory {
    pub fn new(file: Rc<tree::File>, access: Access) -> Memory {
        Memory {
            file,
            access,
            position: Position(Cell::new(0)),
        }
    }
}

pub fn memory_stat(file: &tree::File) -> Stat {
    let size = file.content.borrow().len() as u64;
    Stat {
        mode: WRITABLE_FILE,
        size,
        modified: file.modified.get(),
        inode: file.inode,
    }
}

impl Object for Memory {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        if !self.access.read {
            return Err(Errno::EBADF);
        }
        let count = self.file.content.borrow().read(self.position.0.get(), buffer);
        self.position.0.set(self.position.0.get() + count as u64);
        Ok(count)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        if !self.access.write {
            return Err(Errno::EBADF);
        }
        let mut content = self.file.content.borrow_mut();
        if self.access.append {
            self.position.0.set(content.len() as u64);
        }
        let count = content.write(self.position.0.get(), bytes)?;
        self.position.0.set(self.position.0.get() + count as u64);
        self.file.modified.set(clock_seconds());
        Ok(count)
    }

    fn seek(&self, offset: i64, whence: i32) -> Result<u64> {
        self.position
            .seek(offset, whence, self.file.content.borrow().len() as u64)
    }

    fn stat(&self) -> Result<Stat> {
        Ok(memory_stat(&self.file))
    }

    fn ready(&self, interest: Events) -> Events {
        interest & (Events::IN | Events::OUT)
    }
}

pub fn directory_stat(inode: u64, modified: i64, writable: bool) -> Stat {
    let permissions = if writable { 0o755 } else { 0o555 };
    Stat {
        mode: hermit_abi::S_IFDIR | permissions,
        size: 0,
        modified,
        inode,
    }
}

/// An open directory. One `read_directory` gives all of it (std's `read_dir` asks once, with growing buffers while it
/// gets EINVAL).
pub struct Directory {
    path: Vec<u8>,
    listed: Cell<bool>,
    stat: Stat,
}

impl Directory {
    pub fn new(path: Vec<u8>, stat: Stat) -> Directory {
        Directory {
            path,
            listed: Cell::new(false),
            stat,
        }
    }
}

impl Object for Directory {
    fn read(&self, _buffer: &mut [u8]) -> Result<usize> {
        Err(Errno::EISDIR)
    }

    fn write(&self, _bytes: &[u8]) -> Result<usize> {
        Err(Errno::EBADF)
    }

    fn seek(&self, offset: i64, whence: i32) -> Result<u64> {
        if offset != 0 || whence != hermit_abi::SEEK_SET {
            return Err(Errno::EINVAL);
        }
        self.listed.set(false);
        Ok(0)
    }

    fn stat(&self) -> Result<Stat> {
        Ok(self.stat)
    }

    fn read_directory(&self, buffer: &mut [u8]) -> Result<usize> {
        if self.listed.get() {
            return Ok(0);
        }
        let length = names::list(&self.path, buffer)?;
        self.listed.set(true);
        Ok(length)
    }

    fn ready(&self, interest: Events) -> Events {
        interest & (Events::IN | Events::OUT)
    }
}
