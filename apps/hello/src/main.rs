use std::{io::Read, io::Write, net::Ipv4Addr, net::TcpListener, thread::Builder};
const ANSWER: &[u8; 44] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";
fn main() {
    cartridge_agent::start().detach(); // a stop has nothing to wait for
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)).unwrap_or_else(|_| panic!("port 8080 is taken"));
    for mut client in listener.incoming().flatten() {
        _ = Builder::new().spawn(move || {
            let (mut room, mut input, mut open) = ([0; 4096], Vec::new(), true); // until a close, HTTP/1.0 or a body
            while open && let Ok(more @ 1..) = client.read(&mut room[input.len()..]) {
                input.extend_from_slice(&room[input.len()..][..more]);
                while open && let Some(end) = input.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                    let length = if input.starts_with(b"HEAD ") { 38 } else { 44 };
                    let last = |part: &[u8]| matches!(part, b"close\r" | b"P/1.0\r" | b"ength:" | b"hunked");
                    open = client.write_all(&ANSWER[..length]).is_ok() && !input[..=end].windows(6).any(last);
                    input.drain(..end + 4);
                }
            }
        });
    }
}
