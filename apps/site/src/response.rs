//! Writing an answer: one head, then a body in bounded pieces.

use crate::content::Content;
use crate::status::Status;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::SystemTime;

/// Bytes of a file held in memory at a time, for each connection that is being answered.
const PIECE: usize = 16 * 1024;

#[derive(Debug)]
pub struct Response {
    pub status: Status,
    /// Header fields, each with its line end.
    fields: String,
    body: Body,
    /// What keeps the body's file where it is until the answer is sent.
    content: Option<Content>,
}

#[derive(Debug)]
enum Body {
    /// The status never has a body (304), so no length is stated.
    Absent,
    Text(String),
    File {
        path: PathBuf,
        first: u64,
        length: u64,
    },
}

/// What becomes of the connection after this answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    KeepOpen,
    /// Kept open for an HTTP/1.0 client, which has to be told.
    KeepOpenHttp10,
    Close,
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: Status) -> Response {
        Response {
            status,
            fields: String::new(),
            body: Body::Absent,
            content: None,
        }
    }

    /// An answer whose body is the status in plain text.
    pub fn plain(status: Status) -> Response {
        let text = format!("{} {}\n", status.code(), status.reason());
        Response {
            status,
            fields: String::new(),
            body: Body::Text(text),
            content: None,
        }
        .with("Content-Type", "text/plain; charset=utf-8")
    }

    /// An answer with `length` bytes of a file, from its byte `first`.
    pub fn file(status: Status, path: PathBuf, first: u64, length: u64) -> Response {
        Response {
            status,
            fields: String::new(),
            body: Body::File { path, first, length },
            content: None,
        }
    }

    /// The answer is made of this content.
    pub fn holding(mut self, content: Content) -> Response {
        self.content = Some(content);
        self
    }

    pub fn with(mut self, name: &str, value: impl std::fmt::Display) -> Response {
        let _ = write!(self.fields, "{name}: {value}\r\n"); // writing to a String cannot fail
        self
    }

    /// Sends the answer; for HEAD only its head. An error means that the connection is of no more use.
    pub fn send(self, out: &mut impl Write, head_only: bool, after: After) -> io::Result<()> {
        let head = self.head(after);
        match self.body {
            _ if head_only => out.write_all(head.as_bytes()),
            Body::Absent => out.write_all(head.as_bytes()),
            Body::Text(text) => out.write_all((head + &text).as_bytes()),
            Body::File { path, first, length } => send_file(out, head, path, first, length),
        }
    }

    fn head(&self, after: After) -> String {
        let mut head = String::with_capacity(512);
        let date = httpdate::fmt_http_date(SystemTime::now());
        let (code, reason) = (self.status.code(), self.status.reason());
        let _ = write!(head, "HTTP/1.1 {code} {reason}\r\nDate: {date}\r\n{}", self.fields);
        match &self.body {
            Body::Absent => {}
            Body::Text(text) => drop(write!(head, "Content-Length: {}\r\n", text.len())),
            Body::File { length, .. } => drop(write!(head, "Content-Length: {length}\r\n")),
        }
        head.push_str(match after {
            After::KeepOpen => "\r\n",
            After::KeepOpenHttp10 => "Connection: keep-alive\r\n\r\n",
            After::Close => "Connection: close\r\n\r\n",
        });
        head
    }
}

/// Sends head and first bytes together, then piece after piece. The file is opened before anything is sent.
fn send_file(out: &mut impl Write, head: String, path: PathBuf, first: u64, length: u64) -> io::Result<()> {
    let mut file = File::open(path)?;
    if first > 0 {
        file.seek(SeekFrom::Start(first))?;
    }
    let (mut piece, mut filled, mut left) = (head.into_bytes(), 0, length);
    filled += piece.len();
    piece.resize(filled + left.min(PIECE as u64) as usize, 0);
    loop {
        while filled < piece.len() && left > 0 {
            let room = (piece.len() - filled).min(usize::try_from(left).unwrap_or(usize::MAX));
            match file.read(&mut piece[filled..filled + room])? {
                0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter")),
                n => (filled, left) = (filled + n, left - n as u64),
            }
        }
        out.write_all(&piece[..filled])?;
        if left == 0 {
            return Ok(());
        }
        filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn sent(response: Response, head_only: bool, after: After) -> (String, Vec<u8>) {
        let mut out = Vec::new();
        response.send(&mut out, head_only, after).unwrap();
        let end = out.windows(4).position(|w| w == b"\r\n\r\n").expect("a whole head") + 4;
        (String::from_utf8(out[..end].to_vec()).unwrap(), out[end..].to_vec())
    }

    #[test]
    fn states_length_and_connection() {
        let (head, body) = sent(Response::plain(Status::NotFound), false, After::Close);
        assert!(head.starts_with("HTTP/1.1 404 Not Found\r\nDate: "), "{head}");
        assert!(
            head.contains("Content-Length: 14\r\n") && head.contains("Connection: close\r\n"),
            "{head}"
        );
        assert_eq!(body, b"404 Not Found\n");
        let (head, body) = sent(Response::plain(Status::NotFound), true, After::KeepOpenHttp10);
        assert!(
            head.contains("Content-Length: 14\r\n") && head.contains("Connection: keep-alive\r\n"),
            "{head}"
        );
        assert!(body.is_empty());
        let (head, _) = sent(
            Response::empty(Status::NotModified).with("ETag", "\"x\""),
            false,
            After::KeepOpen,
        );
        assert!(head.contains("ETag: \"x\"\r\n") && !head.contains("Content-Length") && !head.contains("Connection"));
    }

    #[test]
    fn sends_any_part_of_a_file() {
        let scratch = Scratch::new("response");
        let content: Vec<u8> = (0..100_000u32).map(|i| (i * 7 % 251) as u8).collect();
        let path = scratch.write("large.bin", &content);
        for (first, length) in [(0, 100_000), (0, 0), (1, 1), (99_999, 1), (5, 16_384), (3, 40_000)] {
            let (_, body) = sent(
                Response::file(Status::Ok, path.clone(), first, length),
                false,
                After::KeepOpen,
            );
            assert!(
                body == content[first as usize..(first + length) as usize],
                "{length} bytes from {first}"
            );
        }
    }

    #[test]
    fn a_file_that_shrank_is_an_error() {
        let scratch = Scratch::new("shrunk");
        let path = scratch.write("a", b"abc");
        let error = Response::file(Status::Ok, path, 0, 4)
            .send(&mut Vec::new(), false, After::KeepOpen)
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
