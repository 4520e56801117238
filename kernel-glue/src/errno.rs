//! Error numbers of the Hermit ABI: those that the kernel gives.

/// An error number of the Hermit ABI: positive, as in `hermit_abi::errno` (the ABI returns it negated).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

macro_rules! errno {
    ($($name:ident)*) => { impl Errno { $(pub const $name: Errno = Errno(hermit_abi::errno::$name);)* } };
}
errno! {
    EPERM ENOENT EIO EBADF EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST ENOTDIR EISDIR EINVAL EMFILE ENFILE ENOTTY EFBIG
    ENOSPC ESPIPE EROFS EPIPE ENAMETOOLONG ENOTEMPTY EMSGSIZE ENOPROTOOPT EPROTONOSUPPORT EOPNOTSUPP EAFNOSUPPORT
    EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ECONNRESET ENOBUFS EISCONN ENOTCONN EDESTADDRREQ ETIMEDOUT
    ECONNREFUSED EHOSTUNREACH EALREADY EINPROGRESS ENOTSOCK
}

pub type Result<T> = core::result::Result<T, Errno>;
