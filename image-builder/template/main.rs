//! A cartridge: an ordinary program that starts its agent first.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> std::io::Result<()> {
    let cartridge = cartridge_agent::start();
    let listener = TcpListener::bind(("0.0.0.0", 8080))?;
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || answer(client));
        }
    });
    cartridge.shutdown().wait();
    Ok(())
}

/// Answers each request on a connection; a client that goes away ends it.
fn answer(mut client: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(client.try_clone()?).lines();
    while let Some(request) = lines.next().transpose()? {
        // The head ends with an empty line.
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        println!("{request}");
        client.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n")?;
    }
    Ok(())
}
