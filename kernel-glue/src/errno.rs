//! Error numbers of the Hermit ABI.

/// An error number of the Hermit ABI: positive, as in `hermit_abi::errno` (the ABI returns it negated).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

macro_rules! errno {
    ($($name:ident)*) => { impl Errno { $(pub const $name: Errno = Errno(hermit_abi::errno::$name);)* } };
}
errno! {
    EPERM ENOENT EINTR EIO ENXIO EBADF EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL EMFILE
    ENFILE ENOTTY EFBIG ENOSPC ESPIPE EROFS EPIPE ERANGE ENAMETOOLONG ENOSYS ENOTEMPTY EOVERFLOW EMSGSIZE EPROTOTYPE
    ENOPROTOOPT EPROTONOSUPPORT EOPNOTSUPP EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ECONNABORTED
    ECONNRESET ENOBUFS EISCONN ENOTCONN EDESTADDRREQ ETIMEDOUT ECONNREFUSED EHOSTUNREACH EALREADY EINPROGRESS ENOTSOCK
}

pub type Result<T> = core::result::Result<T, Errno>;
