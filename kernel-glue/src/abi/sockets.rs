//! Sockets.

use crate::abi::answer::{call, with_socket};
use crate::abi::{address, user};
use crate::errno::{Errno, Result};
use crate::file::table;
use crate::net;
use core::ffi::c_void;
use core::net::SocketAddr;
use hermit_abi::{AF_INET, AF_INET6, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM, sockaddr, socklen_t};

/// Largest socket option, bytes (they all are a few words).
const OPTION_LIMIT: usize = 256;

#[unsafe(no_mangle)]
pub extern "C" fn sys_socket(domain: i32, kind: i32, _protocol: i32) -> i32 {
    call(|| {
        let v6 = match domain {
            AF_INET => false,
            AF_INET6 => true,
            _ => return Err(Errno::EAFNOSUPPORT),
        };
        let stream = match kind & !(SOCK_NONBLOCK | SOCK_CLOEXEC) {
            SOCK_STREAM => true,
            SOCK_DGRAM => false,
            _ => return Err(Errno::EPROTONOSUPPORT),
        };
        let socket = net::socket(v6, stream)?;
        socket.set_nonblocking(kind & SOCK_NONBLOCK != 0)?;
        table::insert(socket)
    }) as i32
}

/// # Safety
/// `name` is readable for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_bind(fd: i32, name: *const sockaddr, size: socklen_t) -> i32 {
    // SAFETY: passed on from this function's own contract.
    with_socket(fd, |socket| socket.bind(unsafe { take_address(name, size) }?)) as i32
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_listen(fd: i32, backlog: i32) -> i32 {
    with_socket(fd, |socket| socket.listen(backlog.max(1) as usize)) as i32
}

/// # Safety
/// `name` and `size` are null, or `*size` says how many bytes at `name` are writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_accept(fd: i32, name: *mut sockaddr, size: *mut socklen_t) -> i32 {
    with_socket(fd, |socket| {
        // First: a connection that was taken out of the backlog cannot go back.
        table::room()?;
        let (accepted, peer) = socket.accept()?;
        // SAFETY: passed on from this function's own contract.
        unsafe { give_address(peer, name, size) }?;
        table::insert(accepted)
    }) as i32
}

/// # Safety
/// `name` is readable for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_connect(fd: i32, name: *const sockaddr, size: socklen_t) -> i32 {
    // SAFETY: passed on from this function's own contract.
    with_socket(fd, |socket| socket.connect(unsafe { take_address(name, size) }?)) as i32
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_shutdown(fd: i32, how: i32) -> i32 {
    with_socket(fd, |socket| {
        if !(0..=2).contains(&how) {
            return Err(Errno::EINVAL);
        }
        socket.shutdown(how)
    }) as i32
}

#[unsafe(no_mangle)]
pub extern "C" fn sys_shutdown_socket(fd: i32, how: i32) -> i32 {
    sys_shutdown(fd, how)
}

/// # Safety
/// `buffer` is writable for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_recv(fd: i32, buffer: *mut u8, size: usize, flags: i32) -> isize {
    with_socket(fd, |socket| {
        // SAFETY: writable and unshared until the call returns (the caller's promise).
        let buffer = unsafe { user::bytes_mut(buffer, size) }?;
        socket.receive_from(buffer, flags).map(|(size, _)| size)
    })
}

/// # Safety
/// `buffer` is writable for `size` bytes; `name` and `name_size` are as for [`sys_accept`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_recvfrom(
    fd: i32,
    buffer: *mut u8,
    size: usize,
    flags: i32,
    name: *mut sockaddr,
    name_size: *mut socklen_t,
) -> isize {
    with_socket(fd, |socket| {
        // SAFETY: writable and unshared until the call returns (the caller's promise).
        let buffer = unsafe { user::bytes_mut(buffer, size) }?;
        let (size, from) = socket.receive_from(buffer, flags)?;
        if let Some(from) = from {
            // SAFETY: passed on from this function's own contract.
            unsafe { give_address(from, name, name_size) }?;
        }
        Ok(size)
    })
}

/// # Safety
/// `bytes` is readable for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_send(fd: i32, bytes: *const c_void, size: usize, flags: i32) -> isize {
    // SAFETY: readable until the call returns (the caller's promise).
    with_socket(fd, |socket| {
        socket.send_to(unsafe { user::bytes(bytes.cast(), size) }?, flags, None)
    })
}

/// # Safety
/// `bytes` is readable for `size` bytes, `name` is null or readable for `name_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_sendto(
    fd: i32,
    bytes: *const c_void,
    size: usize,
    flags: i32,
    name: *const sockaddr,
    name_size: socklen_t,
) -> isize {
    with_socket(fd, |socket| {
        // SAFETY: readable until the call returns (the caller's promise).
        let bytes = unsafe { user::bytes(bytes.cast(), size) }?;
        // SAFETY: passed on from this function's own contract.
        let to = if name.is_null() {
            None
        } else {
            Some(unsafe { take_address(name, name_size) }?)
        };
        socket.send_to(bytes, flags, to)
    })
}

/// # Safety
/// As [`sys_accept`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_getsockname(fd: i32, name: *mut sockaddr, size: *mut socklen_t) -> i32 {
    // SAFETY: passed on from this function's own contract.
    with_socket(fd, |socket| unsafe {
        give_address(socket.local_address()?, name, size)
    }) as i32
}

/// # Safety
/// As [`sys_accept`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_getpeername(fd: i32, name: *mut sockaddr, size: *mut socklen_t) -> i32 {
    // SAFETY: passed on from this function's own contract.
    with_socket(fd, |socket| unsafe { give_address(socket.peer_address()?, name, size) }) as i32
}

/// # Safety
/// `value` is readable for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_setsockopt(fd: i32, level: i32, name: i32, value: *const c_void, size: socklen_t) -> i32 {
    with_socket(fd, |socket| {
        // SAFETY: readable until the call returns (the caller's promise).
        let value = unsafe { user::bytes(value.cast(), (size as usize).min(OPTION_LIMIT)) }?;
        socket.set_option(level, name, value)
    }) as i32
}

/// # Safety
/// `size` is null, or says how many bytes at `value` are writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_getsockopt(
    fd: i32,
    level: i32,
    name: i32,
    value: *mut c_void,
    size: *mut socklen_t,
) -> i32 {
    with_socket(fd, |socket| {
        // SAFETY: null or a length (the caller's promise).
        let room = (unsafe { user::read(size) }? as usize).min(OPTION_LIMIT);
        // SAFETY: writable and unshared until the call returns (the caller's promise).
        let value = unsafe { user::bytes_mut(value.cast(), room) }?;
        let written = socket.option(level, name, value)?;
        // SAFETY: the same length as read above.
        unsafe { user::write(size, written as socklen_t) }
    }) as i32
}

/// # Safety
/// `name` is readable for `size` bytes.
unsafe fn take_address(name: *const sockaddr, size: socklen_t) -> Result<SocketAddr> {
    // SAFETY: passed on from this function's own contract.
    address::decode(unsafe { user::bytes(name.cast(), (size as usize).min(address::V6_SIZE)) }?)
}

/// Writes as much of the address as there is room for, and its full length.
///
/// # Safety
/// `name` and `size` are null, or `*size` says how many bytes at `name` are writable.
unsafe fn give_address(of: SocketAddr, name: *mut sockaddr, size: *mut socklen_t) -> Result<()> {
    if name.is_null() || size.is_null() {
        return Ok(());
    }
    let (bytes, full) = address::encode(of);
    // SAFETY: not null, so a length (the caller's promise).
    let room = (unsafe { user::read(size) }? as usize).min(full);
    // SAFETY: `*size` bytes are writable and unshared until the call returns (the caller's promise), and `room` is not
    // more.
    unsafe { user::bytes_mut(name.cast(), room) }?.copy_from_slice(&bytes[..room]);
    // SAFETY: the same length as read above.
    unsafe { user::write(size, full as socklen_t) }
}
