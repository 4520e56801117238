use std::io::{Read, Result, Write};
use std::{net::TcpListener, net::TcpStream, thread::spawn};
fn main() -> Result<()> {
    let cartridge = cartridge_agent::start();
    let listener = TcpListener::bind("0.0.0.0:8080")?;
    spawn(move || {
        listener
            .incoming()
            .flatten()
            .for_each(|client| drop(spawn(|| serve(client))))
    });
    cartridge.shutdown().wait(); // until the platform asks for a stop; returning ends the cartridge in order
    Ok(())
}
fn serve(mut client: TcpStream) -> Result<()> {
    let (mut input, mut length, asks_to_close) = ([0; 4096], 0, |line: &[u8]| {
        line.eq_ignore_ascii_case(b"Connection: close\r") || line.ends_with(b" HTTP/1.0\r")
    });
    while let more @ 1.. = client.read(&mut input[length..])? {
        length += more;
        while let Some(end) = input[..length].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            client.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n")?;
            if input[..=end].split(|byte| *byte == b'\n').any(asks_to_close) {
                return Ok(());
            }
            input.copy_within(end + 4..length, 0);
            length -= end + 4;
        }
    }
    Ok(())
}
