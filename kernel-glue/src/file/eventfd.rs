//! `eventfd`: a counter that threads wait on (mio's waker).

use crate::errno::{Errno, Result};
use crate::heap::Vec;
use crate::object::{Events, Object, Stat};
use crate::thread::{self, Channel};
use core::cell::Cell;

pub struct EventCounter {
    value: Cell<u64>,
    /// A read takes one, not all (EFD_SEMAPHORE).
    semaphore: bool,
    nonblocking: Cell<bool>,
}

impl EventCounter {
    pub fn new(value: u64, semaphore: bool, nonblocking: bool) -> EventCounter {
        EventCounter {
            value: Cell::new(value),
            semaphore,
            nonblocking: Cell::new(nonblocking),
        }
    }

    fn readable(&self) -> Channel {
        Channel(&raw const self.value as usize)
    }

    fn writable(&self) -> Channel {
        Channel(&raw const self.value as usize + 1)
    }

    fn wait_or_fail(&self, channel: Channel) -> Result<()> {
        if self.nonblocking.get() {
            return Err(Errno::EAGAIN);
        }
        thread::wait(&[channel], u64::MAX);
        Ok(())
    }
}

impl Object for EventCounter {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        let buffer = buffer.get_mut(..8).ok_or(Errno::EINVAL)?;
        while self.value.get() == 0 {
            self.wait_or_fail(self.readable())?;
        }
        let taken = if self.semaphore { 1 } else { self.value.get() };
        self.value.set(self.value.get() - taken);
        buffer.copy_from_slice(&taken.to_ne_bytes());
        thread::wake(self.writable(), usize::MAX);
        Ok(8)
    }

    /// The counter's largest value is `u64::MAX - 1`; a write that would pass it waits, as on Linux.
    fn write(&self, bytes: &[u8]) -> Result<usize> {
        let added: [u8; 8] = bytes
            .get(..8)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(Errno::EINVAL)?;
        let added = u64::from_ne_bytes(added);
        if added == u64::MAX {
            return Err(Errno::EINVAL);
        }
        while added > u64::MAX - 1 - self.value.get() {
            self.wait_or_fail(self.writable())?;
        }
        self.value.set(self.value.get() + added);
        thread::wake(self.readable(), usize::MAX);
        Ok(8)
    }

    fn stat(&self) -> Result<Stat> {
        Ok(Stat {
            mode: 0o600,
            size: 0,
            modified: 0,
            inode: 2,
        })
    }

    fn nonblocking(&self) -> bool {
        self.nonblocking.get()
    }

    fn set_nonblocking(&self, on: bool) -> Result<()> {
        self.nonblocking.set(on);
        Ok(())
    }

    fn ready(&self, interest: Events) -> Events {
        let readable = if self.value.get() > 0 { Events::IN } else { Events::NONE };
        let writable = if self.value.get() < u64::MAX - 1 {
            Events::OUT
        } else {
            Events::NONE
        };
        interest & (readable | writable)
    }

    fn subscribe(&self, interest: Events, channels: &mut Vec<Channel>) -> Result<()> {
        for (event, channel) in [(Events::IN, self.readable()), (Events::OUT, self.writable())] {
            if interest.intersects(event) {
                channels.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                channels.push(channel);
            }
        }
        Ok(())
    }
}
