//! An HTTP server for tests.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// How long a client may take to come, and to say something.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that gives each connection one of `answers`, in order; its thread ends with them, or when no client came in time, and gives
/// the requests.
pub fn serve(host: &str, answers: Vec<Vec<u8>>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind((host, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for answer in answers {
            let Some(mut stream) = accept(&listener) else { break };
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut request = Vec::new();
            let mut room = [0; 1000];
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut room) {
                    Ok(count @ 1..) => request.extend_from_slice(&room[..count]),
                    _ => break,
                }
            }
            requests.push(String::from_utf8(request).unwrap());
            // The client may have had enough.
            let _ = stream.write_all(&answer);
        }
        requests
    });
    (place, thread)
}

/// The next client; std's listeners have no time-out of their own.
fn accept(listener: &TcpListener) -> Option<TcpStream> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                return Some(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(Duration::from_millis(1)),
            Err(_) => break,
        }
    }
    None
}
