//! `poll`.

use crate::abi::answer::call;
use crate::abi::user;
use crate::errno::{Errno, Result};
use crate::file::table;
use crate::heap::{self, Rc, Vec};
use crate::object::{Events, Object};
use crate::thread::Wake;
use crate::{clock, thread};
use hermit_abi::{POLLNVAL, pollfd};

/// More descriptors than can be open are not worth looking at.
const LIMIT: usize = 8192;

/// Level-triggered. Errors are -1 with the number in errno: std looks for that. Each wake-up looks at every descriptor once; waiting itself is on all their channels together.
///
/// # Safety
/// `records` points to `count` records, unshared until the call returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_poll(records: *mut pollfd, count: usize, timeout_ms: i32) -> i32 {
    call(|| {
        if count > LIMIT {
            return Err(Errno::EINVAL);
        }
        // SAFETY: valid and unshared until the call returns (the caller's promise).
        poll(unsafe { user::slice_mut(records, count) }?, timeout_ms)
    })
    .max(-1) as i32
}

fn poll(records: &mut [pollfd], timeout_ms: i32) -> Result<i32> {
    let deadline = match u64::try_from(timeout_ms) {
        Ok(milliseconds) => clock::now().saturating_add(milliseconds.saturating_mul(1_000_000)),
        Err(_) => u64::MAX,
    };
    let objects = open(records)?;
    let mut channels = heap::vec();
    loop {
        let ready = look(records, &objects);
        if ready > 0 || timeout_ms == 0 {
            return Ok(ready);
        }
        channels.clear();
        for (record, object) in records.iter().zip(&objects) {
            if let Some(object) = object {
                object.subscribe(Events(record.events), &mut channels)?;
            }
        }
        if thread::wait(&channels, deadline) == Wake::TimedOut && clock::now() >= deadline {
            return Ok(look(records, &objects));
        }
    }
}

/// The open files of the records, held until the call returns; `None` where there is none.
fn open(records: &[pollfd]) -> Result<Vec<Option<Rc<dyn Object>>>> {
    let mut objects = heap::vec();
    objects.try_reserve_exact(records.len()).map_err(|_| Errno::ENOMEM)?;
    objects.extend(records.iter().map(|record| table::get(record.fd).ok()));
    Ok(objects)
}

/// Fills in what holds now; how many records have something to tell. A negative descriptor is one to ignore.
fn look(records: &mut [pollfd], objects: &[Option<Rc<dyn Object>>]) -> i32 {
    let mut ready = 0;
    for (record, object) in records.iter_mut().zip(objects) {
        let asked = Events(record.events);
        record.revents = match object {
            Some(object) => (object.ready(asked) & (asked | Events::ERROR | Events::HANGUP)).0,
            None if record.fd < 0 => 0,
            None => POLLNVAL,
        };
        ready += i32::from(record.revents != 0);
    }
    ready
}
