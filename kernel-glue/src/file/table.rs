//! File descriptors.

use crate::errno::{Errno, Result};
use crate::file::console::Console;
use crate::file::shared::Shared;
use crate::heap::{self, Rc, Vec};
use crate::object::Object;

/// Highest number of descriptors open at once.
const LIMIT: usize = 4096;

static TABLE: Shared<Vec<Option<Rc<dyn Object>>>> = Shared::new(heap::vec());

/// The open file behind `fd`. Counted, so that another thread's `close` cannot free what a call is using.
pub fn get(fd: i32) -> Result<Rc<dyn Object>> {
    let index = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
    let found = TABLE.lock().get(index).and_then(Option::clone);
    if found.is_none() && TABLE.lock().is_empty() {
        open_standard()?;
        return get(fd);
    }
    found.ok_or(Errno::EBADF)
}

/// EMFILE or ENFILE when no further descriptor can be given.
pub fn room() -> Result<()> {
    let mut table = TABLE.lock();
    if table.len() >= LIMIT && table.iter().all(Option::is_some) {
        return Err(Errno::EMFILE);
    }
    table.try_reserve(1).map_err(|_| Errno::ENFILE)
}

/// Gives `object` the lowest free descriptor.
pub fn insert(object: Rc<dyn Object>) -> Result<i32> {
    insert_from(object, 0)
}

/// Gives `object` the lowest free descriptor that is at least `lowest`.
pub fn insert_from(object: Rc<dyn Object>, lowest: usize) -> Result<i32> {
    open_standard()?;
    place(object, lowest)
}

pub fn close(fd: i32) -> Result<()> {
    open_standard()?;
    let index = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
    let closed = TABLE.lock().get_mut(index).and_then(Option::take);
    // The last reference may go here: outside the borrow, because closing a socket runs the network.
    closed.map(drop).ok_or(Errno::EBADF)
}

fn open_standard() -> Result<()> {
    if TABLE.lock().is_empty() {
        let console: Rc<dyn Object> = heap::try_rc(Console).ok_or(Errno::ENOMEM)?;
        for _ in 0..3 {
            place(console.clone(), 0)?;
        }
    }
    Ok(())
}

fn place(object: Rc<dyn Object>, lowest: usize) -> Result<i32> {
    let mut table = TABLE.lock();
    let free = (lowest..table.len()).find(|index| table[*index].is_none());
    let index = free.unwrap_or(lowest.max(table.len()));
    if index >= LIMIT {
        return Err(Errno::EMFILE);
    }
    let missing = (index + 1).saturating_sub(table.len());
    table.try_reserve(missing).map_err(|_| Errno::ENFILE)?;
    for _ in 0..missing {
        table.push(None);
    }
    table[index] = Some(object);
    Ok(index as i32)
}
