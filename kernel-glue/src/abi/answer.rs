//! How every function enters the kernel and answers. What the functions have in common is compiled once, here.

use crate::errno::{Errno, Result};
use crate::file::table;
use crate::object::{Object, Socket};
use crate::{critical, thread};

/// What a call gives when it succeeds.
pub trait Answer {
    fn value(self) -> isize;
}

impl Answer for () {
    fn value(self) -> isize {
        0
    }
}

impl Answer for i32 {
    fn value(self) -> isize {
        self as isize
    }
}

impl Answer for u32 {
    fn value(self) -> isize {
        self as isize
    }
}

impl Answer for usize {
    fn value(self) -> isize {
        self as isize
    }
}

/// Runs the body of an ABI function inside the kernel. Answers its value, or its negative error number, which becomes
/// the thread's errno, too.
pub fn call<T: Answer>(mut body: impl FnMut() -> Result<T>) -> isize {
    enter(&mut || body().map(T::value))
}

/// As [`call`], with the open file behind `fd`.
pub fn with_object<T: Answer>(fd: i32, mut body: impl FnMut(&dyn Object) -> Result<T>) -> isize {
    enter_with_object(fd, &mut |object| body(object).map(T::value))
}

/// As [`call`], with the socket behind `fd`.
pub fn with_socket<T: Answer>(fd: i32, mut body: impl FnMut(&dyn Socket) -> Result<T>) -> isize {
    enter_with_object(fd, &mut |object| {
        let socket = object.as_socket().ok_or(Errno::ENOTSOCK)?;
        body(socket).map(T::value)
    })
}

#[inline(never)]
fn enter_with_object(fd: i32, body: &mut dyn FnMut(&dyn Object) -> Result<isize>) -> isize {
    enter(&mut || body(&*table::get(fd)?))
}

#[inline(never)]
fn enter(body: &mut dyn FnMut() -> Result<isize>) -> isize {
    let _critical = critical::enter();
    body().unwrap_or_else(|Errno(number)| {
        thread::set_errno(number);
        -(number as isize)
    })
}
