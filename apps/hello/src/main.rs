use std::{io::Read, io::Write, net::Ipv4Addr, net::TcpListener, thread::spawn};
fn main() {
    let cartridge = cartridge_agent::start();
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)).expect("port 8080 is free");
    spawn(Box::new(move || _ = cartridge.shutdown().wait()) as Box<dyn FnOnce() + Send>); // a stop ends it in order
    for mut client in listener.incoming().flatten() {
        spawn(Box::new(move || {
            let (mut room, mut input, mut last) = ([0; 4096], Vec::new(), false);
            while !last && let Ok(more @ 1..) = client.read(&mut room[input.len()..]) {
                input.extend_from_slice(&room[input.len()..][..more]);
                while !last && let Some(end) = input.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                    let mut lines = input[..=end].split(|byte| *byte == b'\n');
                    last = lines.any(|line| line.ends_with(b"close\r") || line.ends_with(b"P/1.0\r"));
                    let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n");
                    input.drain(..end + 4);
                }
            }
        }) as Box<dyn FnOnce() + Send>); // one type for both threads: one copy of what std does for it
    }
}
