//! Connects to `PEER`, turns keep-alive on, and then only waits for the end of the connection. It lies with kernel-glue
//! because std has no name for SO_KEEPALIVE, so that asking for it needs `unsafe`.

use std::io::{self, Read};
use std::net::TcpStream;

fn main() -> io::Result<()> {
    let peer = std::env::var("PEER").map_err(io::Error::other)?;
    let mut stream = TcpStream::connect(peer)?;
    keep_alive(&stream)?;
    println!("keep-alive: connected");
    match stream.read(&mut [0; 1])? {
        0 => println!("keep-alive: the peer closed"),
        _ => println!("keep-alive: the peer said something"),
    }
    Ok(())
}

#[cfg(target_os = "hermit")]
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    use std::ffi::{c_int, c_void};
    use std::os::fd::AsRawFd;

    // The Hermit ABI's numbers (crate hermit-abi, 0.5).
    const SOL_SOCKET: c_int = 4095;
    const SO_KEEPALIVE: c_int = 8;
    unsafe extern "C" {
        #[link_name = "sys_setsockopt"]
        fn setsockopt(socket: c_int, level: c_int, name: c_int, value: *const c_void, length: u32) -> c_int;
    }
    let on: c_int = 1;
    // SAFETY: the value is an int of the length given, which is all that the call reads, and it lives through the call.
    let result = unsafe {
        let value = (&raw const on).cast();
        setsockopt(
            stream.as_raw_fd(),
            SOL_SOCKET,
            SO_KEEPALIVE,
            value,
            size_of::<c_int>() as u32,
        )
    };
    if result < 0 {
        Err(io::Error::from_raw_os_error(-result))
    } else {
        Ok(())
    }
}

/// Only so that the workspace compiles: elsewhere, keep-alive is the system's business.
#[cfg(not(target_os = "hermit"))]
fn keep_alive(_stream: &TcpStream) -> io::Result<()> {
    Ok(())
}
