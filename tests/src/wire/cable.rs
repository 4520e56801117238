//! Frames to and from QEMU over a Unix stream socket: each has its length before it, four bytes, the highest first
//! (`-netdev stream`). A stream loses nothing, so what a guest misses it was never sent.

use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer frames than any Ethernet with virtio has.
const LONGEST: usize = 70_000;
/// Frames that wait for us; QEMU waits when there are more.
const WAITING: usize = 1024;
/// For QEMU to take a frame.
const SEND_LIMIT: Duration = Duration::from_secs(10);

/// Where QEMU is to plug in its end.
pub struct Socket {
    folder: TempDir,
    listener: UnixListener,
}

pub struct Cable {
    stream: UnixStream,
    frames: Receiver<Vec<u8>>,
    _folder: TempDir,
}

impl Socket {
    pub fn new() -> Result<Socket> {
        let folder = tempfile::Builder::new().prefix("wire-").tempdir()?;
        let listener = UnixListener::bind(folder.path().join("cable"))?;
        Ok(Socket { folder, listener })
    }

    pub fn path(&self) -> String {
        let path: PathBuf = self.folder.path().join("cable");
        path.to_string_lossy().replace(',', ",,")
    }

    pub fn plugged(self, limit: Duration) -> Result<Cable> {
        self.listener.set_nonblocking(true)?;
        let end = Instant::now() + limit;
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if Instant::now() > end => return Err(error).context("QEMU did not plug in its network"),
                Err(_) => thread::sleep(Duration::from_millis(1)), // std can wait for a connection only without a limit
            }
        };
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(SEND_LIMIT))?;
        let (sender, frames) = mpsc::sync_channel(WAITING);
        let mut from = stream.try_clone()?;
        // Ends when QEMU does, or when the other end of the channel is dropped.
        thread::spawn(move || {
            while let Ok(frame) = frame(&mut from) {
                if sender.send(frame).is_err() {
                    break;
                }
            }
        });
        Ok(Cable {
            stream,
            frames,
            _folder: self.folder,
        })
    }
}

fn frame(from: &mut UnixStream) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    ensure!(length <= LONGEST, "a frame of {length} bytes");
    let mut frame = vec![0; length];
    from.read_exact(&mut frame)?;
    Ok(frame)
}

impl Cable {
    /// The next frame of the guest's, if one comes within `limit`.
    pub fn receive(&self, limit: Duration) -> Result<Option<Vec<u8>>> {
        match self.frames.recv_timeout(limit) {
            Ok(frame) => Ok(Some(frame)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("QEMU is gone"),
        }
    }

    pub fn send(&mut self, frame: &[u8]) -> Result<()> {
        let length = u32::try_from(frame.len())?.to_be_bytes();
        self.stream
            .write_all(&[&length, frame].concat())
            .context("sending a frame to QEMU")
    }
}
