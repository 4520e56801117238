//! One HTTP request with a time limit.

use std::io::{Error, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// An answer, and how long it took from connecting to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Head and body.
    pub text: String,
    pub took: Duration,
}

/// Sends `METHOD PATH` on a connection of its own and reads until the server closes.
pub fn request(address: SocketAddr, line: &str, token: Option<&str>, limit: Duration) -> Result<Answer> {
    let started = Instant::now();
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    stream.write_all(format!("{line} HTTP/1.1\r\nHost: test\r\n{token}Connection: close\r\n\r\n").as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| Error::other(format!("not an HTTP answer: {text:?}")))?;
    Ok(Answer {
        status,
        text,
        took: started.elapsed(),
    })
}
