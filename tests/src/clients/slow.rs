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
fn stalled(service: &Service) -> Result<String> {
    let mut readers = Vec::new();
    for _ in 0..16 {
        let mut reader = ask(service)?;
        reader.take(&mut [0; 100])?;
        readers.push(reader);
    }
    for i in 0..100 {
        service
            .serves()
            .with_context(|| format!("client {i} beside the stalled readers"))?;
    }
    drop(readers);
    read_all(service, Duration::ZERO)?;
    Ok("100 others served meanwhile, and a whole answer afterwards".into())
}

fn ask(service: &Service) -> Result<Client> {
    let mut client = service.connect()?;
    client.small_window()?;
    client.send(format!("GET {PATH} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())?;
    let head = client.head()?;
    ensure!(head.status == 200, "status {} for {PATH}", head.status);
    ensure!(
        head.need("content-length")? == SIZE.to_string(),
        "a length that is not {SIZE}"
    );
    Ok(client)
}

/// Reads the file with a pause after each 64 KiB, and checks each byte of it.
fn read_all(service: &Service, pause: Duration) -> Result<()> {
    let (mut client, mut at, mut chunk) = (ask(service)?, 0, vec![0; 64 * 1024]);
    while at < SIZE {
        let room = chunk.len().min(SIZE - at);
        let mut filled = 0;
        while filled < room {
            let count = client.take(&mut chunk[filled..room])?;
            ensure!(count > 0, "the connection ended after {} of {SIZE} bytes", at + filled);
            filled += count;
        }
        let wrong = chunk[..filled]
            .iter()
            .enumerate()
            .find(|(i, byte)| **byte != byte_at(at + i));
        ensure!(wrong.is_none(), "a wrong byte at {}", at + wrong.map_or(0, |(i, _)| i));
        at += filled;
        thread::sleep(pause);
    }
    service
        .exchange(&mut client)
        .context("a request after the large answer")
}
