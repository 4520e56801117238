//! Readers that take their time over an answer far larger than the server's memory for it.

use super::client::Client;
use super::closing::on_threads;
use super::{Case, Service};
use anyhow::{Context, Result, ensure};
use std::thread;
use std::time::{Duration, Instant};

/// The file that such a server must have, and its size in bytes.
pub const PATH: &str = "/large.bin";
pub const SIZE: usize = 10 << 20;

pub const CASES: &[Case] = &[
    Case {
        name: "a 10 MiB answer to a fast reader",
        run: fast,
    },
    Case {
        name: "a 10 MiB answer to a slow reader",
        run: slow,
    },
    Case {
        name: "10 MiB answers to 8 slow readers at once",
        run: eight,
    },
    Case {
        name: "16 readers that stop reading",
        run: stalled,
    },
];

/// The byte at a position of the file: no piece of it is like another.
pub fn byte_at(position: usize) -> u8 {
    ((position as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

fn fast(service: &Service) -> Result<String> {
    let begun = Instant::now();
    read_all(service, Duration::ZERO)?;
    Ok(format!("{:.1} MB/s", SIZE as f64 / 1e6 / begun.elapsed().as_secs_f64()))
}

fn slow(service: &Service) -> Result<String> {
    let begun = Instant::now();
    read_all(service, Duration::from_millis(50))?;
    Ok(format!("every byte right, in {:.1?}", begun.elapsed()))
}

fn eight(service: &Service) -> Result<String> {
    let begun = Instant::now();
    on_threads(8, |reader| {
        read_all(service, Duration::from_millis(50)).with_context(|| format!("reader {reader}"))
    })?;
    Ok(format!("every byte right, in {:.1?}", begun.elapsed()))
}

/// They ask, read a little, and then only hold the connection; others are served, and so are new ones afterwards.
/// Also what makes the heap as large as it has to be.
pub fn stalled(service: &Service) -> Result<String> {
    let readers = (0..16).map(|_| Reader::start(service)).collect::<Result<Vec<_>>>()?;
    for i in 0..100 {
        service
            .serves()
            .with_context(|| format!("client {i} beside the stalled readers"))?;
    }
    drop(readers);
    read_all(service, Duration::ZERO)?;
    Ok("100 others served meanwhile, and a whole answer afterwards".into())
}

/// Reads the whole file, then asks for something else on the same connection.
fn read_all(service: &Service, pause: Duration) -> Result<()> {
    let mut reader = Reader::start(service)?;
    reader.read_all(pause)?;
    service
        .exchange(&mut reader.client)
        .context("a request after the large answer")
}

/// One reader of the large file.
pub struct Reader {
    client: Client,
    at: usize,
}

impl Reader {
    /// Asks for the file and reads its first bytes.
    pub fn start(service: &Service) -> Result<Reader> {
        let mut client = service.connect()?;
        client.small_window()?;
        client.send(format!("GET {PATH} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())?;
        let head = client.head()?;
        ensure!(head.status == 200, "status {} for {PATH}", head.status);
        ensure!(
            head.need("content-length")? == SIZE.to_string(),
            "a length that is not {SIZE}"
        );
        let mut reader = Reader { client, at: 0 };
        reader.read(&mut [0; 100])?;
        Ok(reader)
    }

    /// Reads the rest with a pause after each 64 KiB.
    pub fn read_all(&mut self, pause: Duration) -> Result<()> {
        let mut chunk = vec![0; 64 * 1024];
        while self.at < SIZE {
            let room = chunk.len().min(SIZE - self.at);
            self.read(&mut chunk[..room])?;
            thread::sleep(pause);
        }
        Ok(())
    }

    /// Fills `chunk` and checks each byte of it.
    fn read(&mut self, chunk: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < chunk.len() {
            let count = self.client.take(&mut chunk[filled..])?;
            ensure!(
                count > 0,
                "the connection ended after {} of {SIZE} bytes",
                self.at + filled
            );
            filled += count;
        }
        let wrong = chunk
            .iter()
            .enumerate()
            .find(|(i, byte)| **byte != byte_at(self.at + i));
        ensure!(
            wrong.is_none(),
            "a wrong byte at {}",
            self.at + wrong.map_or(0, |(i, _)| i)
        );
        self.at += filled;
        Ok(())
    }
}
