//! Writing to a client that has to keep up: one that takes next to nothing must not hold its place for ever.

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a client may take nothing at all.
const GRACE: Duration = Duration::from_secs(30);
/// What it has to take on average, in bytes a second: half of what a modem did.
const SLOWEST: u32 = 2048;

/// Takes one answer to a client; fails when the client falls behind.
pub struct Paced<'a> {
    stream: &'a TcpStream,
    grace: Duration,
    /// When the client has fallen behind. What it takes moves this on, but never past the grace: what disappears into
    /// buffers at once is no credit for later.
    end: Instant,
}

impl<'a> Paced<'a> {
    pub fn new(stream: &'a TcpStream) -> Self {
        Paced::with(stream, GRACE)
    }

    fn with(stream: &'a TcpStream, grace: Duration) -> Self {
        Paced {
            stream,
            grace,
            end: Instant::now() + grace,
        }
    }
}

impl Write for Paced<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_write_timeout(Some(left))?;
        let taken = self.stream.write(bytes)?;
        let bought = Duration::from_secs(taken as u64) / SLOWEST;
        self.end = (self.end + bought).min(Instant::now() + self.grace);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    #[test]
    fn a_client_that_takes_next_to_nothing_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let (server, _) = listener.accept().unwrap();
        let (given_up, ended) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            while ended.try_recv().is_err() && client.read(&mut [0; 1]).is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let mut paced = Paced::with(&server, Duration::from_millis(300));
        let began = Instant::now();
        let error = loop {
            if let Err(error) = paced.write_all(&[0; 65536]) {
                break error.kind();
            }
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "50 bytes a second are enough for it"
            );
        };
        assert!(matches!(error, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
        given_up.send(()).unwrap();
        reader.join().unwrap();
    }

    #[test]
    fn a_client_that_keeps_up_may_take_longer_than_the_grace() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let mut paced = Paced::with(&server, Duration::from_millis(200));
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(50));
            paced.write_all(&[0; 512]).unwrap();
        }
    }
}
