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
    enter(&mut Body(|| body().map(T::value)))
}

/// As [`call`], with the open file behind `fd`.
pub fn with_object<T: Answer>(fd: i32, mut body: impl FnMut(&dyn Object) -> Result<T>) -> isize {
    enter_with_object(fd, &mut Body(|object: &dyn Object| body(object).map(T::value)))
}

/// As [`call`], with the socket behind `fd`.
pub fn with_socket<T: Answer>(fd: i32, mut body: impl FnMut(&dyn Socket) -> Result<T>) -> isize {
    with_object(fd, |object| body(object.as_socket().ok_or(Errno::ENOTSOCK)?))
}

/// A closure behind a trait of our own: the table of a `dyn FnMut` holds a second copy of the body, for `FnOnce`.
struct Body<F>(F);

trait Run {
    fn run(&mut self) -> Result<isize>;
}

impl<F: FnMut() -> Result<isize>> Run for Body<F> {
    fn run(&mut self) -> Result<isize> {
        self.0()
    }
}

trait RunWithObject {
    fn run(&mut self, object: &dyn Object) -> Result<isize>;
}

impl<F: FnMut(&dyn Object) -> Result<isize>> RunWithObject for Body<F> {
    fn run(&mut self, object: &dyn Object) -> Result<isize> {
        self.0(object)
    }
}

#[inline(never)] // one copy for all functions
fn enter_with_object(fd: i32, body: &mut dyn RunWithObject) -> isize {
    enter(&mut Body(|| body.run(&*table::get(fd)?)))
}

#[inline(never)] // as above
fn enter(body: &mut dyn Run) -> isize {
    let _critical = critical::enter();
    body.run().unwrap_or_else(|Errno(number)| {
        thread::set_errno(number);
        -(number as isize)
    })
}
