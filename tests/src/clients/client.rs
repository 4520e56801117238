//! A plain HTTP client with a deadline on everything it waits for.

use anyhow::{Context, Result, bail, ensure};
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longest wait for a connection: QEMU's host side may make a burst wait 1, then 3, then 7 s.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// Longest wait for a whole answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Longest head accepted from a server, in bytes.
const MAX_HEAD: usize = 64 * 1024;

pub struct Client {
    stream: TcpStream,
    /// Received and not used yet.
    held: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a field, or nothing.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The value of a field that has to be there.
    pub fn need(&self, name: &str) -> Result<&str> {
        self.field(name)
            .with_context(|| format!("no {name} in the answer: {:?}", self.fields))
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Result<Client> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT).context("connecting")?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(ANSWER_LIMIT))?;
        Ok(Client {
            stream,
            held: Vec::new(),
        })
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("sending")
    }

    /// One GET on this connection.
    pub fn get(&mut self, path: &str, fields: &str) -> Result<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n").as_bytes())?;
        self.answer()
    }

    /// The next answer, with its body.
    pub fn answer(&mut self) -> Result<Answer> {
        self.answer_by(Instant::now() + ANSWER_LIMIT)
    }

    /// As [`Client::answer`], or nothing when not a byte came within `limit`.
    pub fn answer_within(&mut self, limit: Duration) -> Result<Option<Answer>> {
        let end = Instant::now() + limit;
        match self.answer_by(end) {
            Err(_) if self.held.is_empty() && Instant::now() >= end => Ok(None),
            answer => answer.map(Some),
        }
    }

    fn answer_by(&mut self, end: Instant) -> Result<Answer> {
        let mut answer = self.head_by(end)?;
        if matches!(answer.status, 204 | 304) {
            return Ok(answer);
        }
        match answer.field("content-length") {
            Some(length) => {
                let length: usize = length.parse().context("a Content-Length that is no number")?;
                while self.held.len() < length {
                    ensure!(
                        self.fill(end)? > 0,
                        "the connection ended after {} of {length} bytes",
                        self.held.len()
                    );
                }
                answer.body = self.held.drain(..length).collect();
            }
            None => {
                while self.fill(end)? > 0 {}
                answer.body = std::mem::take(&mut self.held);
            }
        }
        Ok(answer)
    }

    /// The next answer's head; the body, if any, is still to come.
    pub fn head(&mut self) -> Result<Answer> {
        self.head_by(Instant::now() + ANSWER_LIMIT)
    }

    fn head_by(&mut self, end: Instant) -> Result<Answer> {
        let length = loop {
            if let Some(at) = self.held.windows(4).position(|w| w == b"\r\n\r\n") {
                break at;
            }
            ensure!(self.held.len() <= MAX_HEAD, "a head of more than {MAX_HEAD} bytes");
            let got = self.fill(end).context("waiting for an answer")?;
            ensure!(
                got > 0,
                "the connection ended instead of an answer, after {} bytes of it",
                self.held.len()
            );
        };
        let head = String::from_utf8_lossy(&self.held[..length]).into_owned();
        self.held.drain(..length + 4);
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.get(2..5))
            .and_then(|code| code.parse().ok());
        let fields = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(n, v)| (n.into(), v.trim().into()))
            .collect();
        Ok(Answer {
            status: status.with_context(|| format!("no HTTP answer: {first:?}"))?,
            fields,
            body: Vec::new(),
        })
    }

    /// Takes up to `limit` bytes of what comes, and says how many; 0 at the end.
    pub fn take(&mut self, into: &mut [u8]) -> Result<usize> {
        if self.held.is_empty() && self.fill(Instant::now() + ANSWER_LIMIT)? == 0 {
            return Ok(0);
        }
        let count = into.len().min(self.held.len());
        into[..count].copy_from_slice(&self.held[..count]);
        self.held.drain(..count);
        Ok(count)
    }

    /// The server ends the connection, with nothing more said.
    pub fn ends(&mut self) -> Result<()> {
        let got = self
            .fill(Instant::now() + ANSWER_LIMIT)
            .context("waiting for the server to close")?;
        ensure!(got == 0 && self.held.is_empty(), "more bytes instead of the end");
        Ok(())
    }

    /// Ends our sending side; answers can still come.
    pub fn half_close(&mut self) -> Result<()> {
        self.stream.shutdown(Shutdown::Write).context("half-closing")
    }

    /// Ends the connection with a reset instead of an orderly close.
    pub fn reset(self) -> Result<()> {
        SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .context("SO_LINGER 0")
    }

    /// Keeps the window small against a large answer, so that the answer soon waits for us; not so small that TCP's
    /// delayed acknowledgements set the pace.
    pub fn small_window(&self) -> Result<()> {
        SockRef::from(&self.stream)
            .set_recv_buffer_size(128 * 1024)
            .context("SO_RCVBUF")
    }

    /// Reads once, until `end` at most; 0 at the end of the stream.
    fn fill(&mut self, end: Instant) -> Result<usize> {
        let mut chunk = [0; 16 * 1024];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("no more bytes until the deadline");
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut chunk) {
                Ok(count) => {
                    self.held.extend_from_slice(&chunk[..count]);
                    return Ok(count);
                }
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                Err(error) => return Err(error).context("receiving"),
            }
        }
    }
}
