//! How every function enters the kernel and answers.

use crate::errno::{Errno, Result};
use crate::{critical, thread};

/// Runs the body of an ABI function inside the kernel.
pub fn call<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    let _critical = critical::enter();
    let result = body();
    if let Err(Errno(number)) = result {
        thread::set_errno(number);
    }
    result
}

/// The answer of a function that has nothing but success to tell.
pub fn status(result: Result<()>) -> i32 {
    result.map_or_else(|Errno(number)| -number, |()| 0)
}

/// The answer of a function that gives a descriptor or a small count.
pub fn number(result: Result<i32>) -> i32 {
    result.unwrap_or_else(|Errno(number)| -number)
}

/// The answer of a function that gives a length.
pub fn length(result: Result<usize>) -> isize {
    result.map_or_else(|Errno(number)| -(number as isize), |length| length as isize)
}
