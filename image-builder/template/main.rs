//! A cartridge: an ordinary program that starts its agent first.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// A request's head may have this many bytes: what a client can make us keep has a bound.
const HEAD_LIMIT: u64 = 8192;
/// For a client's next bytes, and for it to take ours.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> Result<()> {
    let cartridge = cartridge_agent::start();
    let listener = TcpListener::bind(("0.0.0.0", 8080))?;
    thread::spawn(move || {
        for client in listener.incoming() {
            match client {
                // Where there is no room for another thread, the client is dropped and may come again.
                Ok(client) => drop(thread::Builder::new().spawn(move || serve(&client))),
                // No room for another connection: some will end soon.
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    });
    cartridge.shutdown().wait();
    Ok(())
}

/// Answers one request after another, until the client goes away or is to be told no more.
fn serve(mut client: &TcpStream) -> Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let mut input = BufReader::new(client);
    while let Some(head) = read_head(&mut input)? {
        let (status, body) = match head.split(' ').next() {
            Some("GET" | "HEAD") => ("200 OK", "hello\n"),
            _ => ("405 Method Not Allowed\r\nAllow: GET, HEAD", "only GET and HEAD\n"),
        };
        let last = is_last(&head);
        let connection = if last { "close" } else { "keep-alive" };
        let length = body.len();
        let sent = if head.starts_with("HEAD ") { "" } else { body };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n{sent}"
        );
        client.write_all(answer.as_bytes())?;
        if last {
            break;
        }
    }
    Ok(())
}

/// The lines of the next request, up to its empty line; none when the client sent no whole head.
fn read_head(input: &mut impl BufRead) -> Result<Option<String>> {
    let mut head = String::new();
    let mut input = input.take(HEAD_LIMIT);
    while input.read_line(&mut head)? > 0 {
        if head.ends_with("\r\n\r\n") {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

/// Whether the connection ends after this answer: the client says so, or a body follows, which nobody reads here.
fn is_last(head: &str) -> bool {
    let head = head.to_ascii_lowercase();
    let old = head.lines().next().is_some_and(|line| line.ends_with(" http/1.0"));
    let says = |field: &str| head.contains(&format!("\n{field}"));
    old || says("connection: close") || says("content-length:") || says("transfer-encoding:")
}
