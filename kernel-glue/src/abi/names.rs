//! `getaddrinfo`: host and service names to addresses.

use crate::abi::answer::call;
use crate::abi::{address, cstr, service, user};
use crate::errno::{Errno, Result};
use crate::heap::{self, Box, Vec};
use crate::memory::KernelHeap;
use crate::net;
use core::ffi::c_char;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ptr;
use hermit_abi::{
    AF_INET, AF_INET6, AF_UNSPEC, EAI_AGAIN, EAI_FAIL, EAI_FAMILY, EAI_MEMORY, EAI_NONAME, EAI_SERVICE, EAI_SOCKTYPE,
    IPPROTO_TCP, IPPROTO_UDP, SOCK_DGRAM, SOCK_STREAM, addrinfo,
};

/// Longest host name, bytes (RFC 1035, section 2.3.4), and longest service name accepted; with the terminating zero.
const NAME_LIMIT: usize = 256;

/// One result: what the program sees, and the address that points into it. Allocated as one, freed as one.
#[repr(C)]
struct Entry {
    /// First, so that a pointer to it is a pointer to the entry.
    info: addrinfo,
    address: Storage,
}

#[repr(C, align(8))]
struct Storage([u8; address::V6_SIZE]);

/// What the program asked for.
struct Question<'a> {
    host: Option<&'a [u8]>,
    port: u16,
    v4: bool,
    v6: bool,
    stream: bool,
    datagram: bool,
}

/// Answers 0, or a positive `EAI_` number. A host is a literal address, `localhost` or a name for the DNS; none means
/// loopback. Of the hints family and socket type count. IPv4's results come first, each family's in the order of its answer.
///
/// # Safety
/// `host` and `service` are null or zero-terminated strings, `hints` is null or readable, `result` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_getaddrinfo(
    host: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    result: *mut *mut addrinfo,
) -> i32 {
    let mut answer = EAI_FAIL;
    let _ = call(|| {
        // SAFETY: passed on from this function's own contract.
        answer = match unsafe { question(host, service, hints) }.and_then(|question| list(&question)) {
            // SAFETY: writable (the caller's promise).
            Ok(first) => unsafe { user::write(result, first) }.map_or(EAI_FAIL, |()| 0),
            Err(error) => error,
        };
        Ok(())
    });
    answer
}

/// # Safety
/// `first` is null or came from [`sys_getaddrinfo`], and is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_freeaddrinfo(first: *mut addrinfo) {
    let _ = call(|| {
        let mut next = first;
        while !next.is_null() {
            // SAFETY: every element of the list is the first field of an `Entry` that `list` made in the kernel heap
            // and gave away; it is freed once, here.
            let entry = unsafe { Box::from_raw_in(next.cast::<Entry>(), KernelHeap) };
            next = entry.info.ai_next;
        }
        Ok(())
    });
}

/// # Safety
/// As [`sys_getaddrinfo`].
unsafe fn question<'a>(
    host: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
) -> core::result::Result<Question<'a>, i32> {
    let text = |text| {
        if text == ptr::null() {
            return Ok(None);
        }
        // SAFETY: not null, so zero-terminated (the caller's promise).
        unsafe { cstr::bytes(text, NAME_LIMIT) }.map(Some)
    };
    let host = text(host).map_err(|_| EAI_NONAME)?;
    let service = text(service).map_err(|_| EAI_SERVICE)?;
    if host.is_none() && service.is_none() {
        return Err(EAI_NONAME);
    }
    // SAFETY: null or readable (the caller's promise).
    let (family, kind) =
        unsafe { user::read(hints) }.map_or((AF_UNSPEC, 0), |hints| (hints.ai_family, hints.ai_socktype));
    if !matches!(family, AF_UNSPEC | AF_INET | AF_INET6) {
        return Err(EAI_FAMILY);
    }
    if !matches!(kind, 0 | SOCK_STREAM | SOCK_DGRAM) {
        return Err(EAI_SOCKTYPE);
    }
    Ok(Question {
        host,
        port: service.map_or(Some(0), service::port).ok_or(EAI_SERVICE)?,
        v4: family != AF_INET6,
        v6: family != AF_INET,
        stream: kind != SOCK_DGRAM,
        datagram: kind != SOCK_STREAM,
    })
}

/// The answers as a linked list.
fn list(question: &Question) -> core::result::Result<*mut addrinfo, i32> {
    let addresses = addresses(question).map_err(|errno| match errno {
        Errno::ENOENT | Errno::EINVAL => EAI_NONAME,
        Errno::ENOMEM => EAI_MEMORY,
        Errno::EAGAIN | Errno::ETIMEDOUT => EAI_AGAIN,
        _ => EAI_FAIL,
    })?;
    let mut first: *mut addrinfo = ptr::null_mut();
    // From the end: IPv4 comes first, whichever answer did.
    let of = |v6| addresses.iter().rev().filter(move |ip: &&IpAddr| ip.is_ipv6() == v6);
    for ip in of(true).chain(of(false)) {
        for (wanted, kind, protocol) in [
            (question.datagram, SOCK_DGRAM, IPPROTO_UDP),
            (question.stream, SOCK_STREAM, IPPROTO_TCP),
        ] {
            if wanted {
                match entry(SocketAddr::new(*ip, question.port), kind, protocol, first) {
                    Some(entry) => first = entry,
                    None => {
                        // SAFETY: the list made so far, which nobody else has.
                        unsafe { sys_freeaddrinfo(first) };
                        return Err(EAI_MEMORY);
                    }
                }
            }
        }
    }
    if first.is_null() { Err(EAI_NONAME) } else { Ok(first) }
}

fn entry(of: SocketAddr, kind: i32, protocol: i32, next: *mut addrinfo) -> Option<*mut addrinfo> {
    let (bytes, size) = address::encode(of);
    let info = addrinfo {
        ai_flags: 0,
        ai_family: i32::from(bytes[1]),
        ai_socktype: kind,
        ai_protocol: protocol,
        ai_addrlen: size as u32,
        ai_canonname: ptr::null_mut(),
        ai_addr: ptr::null_mut(),
        ai_next: next,
    };
    let entry = Box::leak(heap::try_box(Entry {
        info,
        address: Storage(bytes),
    })?);
    entry.info.ai_addr = (&raw mut entry.address).cast();
    Some((&raw mut *entry).cast())
}

fn addresses(question: &Question) -> Result<Vec<IpAddr>> {
    let mut found = heap::vec();
    found.try_reserve(2).map_err(|_| Errno::ENOMEM)?;
    let host = core::str::from_utf8(question.host.unwrap_or(b"localhost")).map_err(|_| Errno::EINVAL)?;
    let name = host.strip_suffix('.').unwrap_or(host);
    if let Ok(literal) = host.parse::<IpAddr>() {
        found.push(literal);
    } else if name.eq_ignore_ascii_case("localhost") {
        found.push(Ipv4Addr::LOCALHOST.into());
        found.push(Ipv6Addr::LOCALHOST.into());
    } else {
        found = net::resolve(name, question.v4, question.v6)?;
    }
    found.retain(|ip| if ip.is_ipv4() { question.v4 } else { question.v6 });
    Ok(found)
}
