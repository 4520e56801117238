//! Takes a line on each connection to its port 8080, does what it says, and answers with what came of it:
//!
//! | line | answer |
//! |---|---|
//! | `network` | what the kernel says of the network |
//! | `lookup NAME` | the addresses, in order, or the error |
//! | `connect ADDRESS` | `echoed` once 4 bytes came back from there, or the error |
//! | `bytes N` | N bytes |
//! | `sleep N` | `slept`, after N ms |

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::Duration;

/// For a connection and for its echo.
const LIMIT: Duration = Duration::from_secs(10);

fn main() -> io::Result<()> {
    let _cartridge = cartridge_agent::start();
    // Takes IPv4 connections, too.
    let listener = TcpListener::bind("[::]:8080")?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || serve(stream));
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new((&stream).take(1000)).read_line(&mut line)?;
    let answer = match line.trim_end().split_once(' ') {
        None if line.trim_end() == "network" => std::fs::read_to_string("/run/cartridge/network"),
        Some(("lookup", name)) => lookup(name),
        Some(("connect", address)) => connect(address),
        Some(("sleep", milliseconds)) => {
            thread::sleep(Duration::from_millis(milliseconds.parse().unwrap_or(0)));
            Ok("slept".into())
        }
        Some(("bytes", count)) => Ok("x".repeat(count.parse().unwrap_or(0))),
        _ => Ok(format!("what is {line:?}?")),
    };
    stream.write_all(answer.unwrap_or_else(|error| format!("error: {error}")).as_bytes())
}

fn lookup(name: &str) -> io::Result<String> {
    let addresses: Vec<String> = (name, 0)
        .to_socket_addrs()?
        .map(|address| address.ip().to_string())
        .collect();
    Ok(addresses.join(" "))
}

fn connect(address: &str) -> io::Result<String> {
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(b"ping")?;
    let mut echo = [0; 4];
    stream.read_exact(&mut echo)?;
    Ok(if echo == *b"ping" {
        "echoed".into()
    } else {
        format!("{echo:?} came back")
    })
}
