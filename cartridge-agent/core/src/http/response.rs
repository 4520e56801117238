//! Answers.

use embedded_io::Write;

/// The statuses this server uses (RFC 9110 section 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the reason phrases")]
pub enum Status {
    Ok,
    Accepted,
    BadRequest,
    Unauthorized,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    LengthRequired,
    ContentTooLarge,
    HeadTooLarge,
    ServiceUnavailable,
    VersionNotSupported,
}

impl Status {
    /// The status code and its reason phrase.
    pub const fn line(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::Accepted => "202 Accepted",
            Status::BadRequest => "400 Bad Request",
            Status::Unauthorized => "401 Unauthorized",
            Status::NotFound => "404 Not Found",
            Status::MethodNotAllowed => "405 Method Not Allowed",
            Status::RequestTimeout => "408 Request Timeout",
            Status::LengthRequired => "411 Length Required",
            Status::ContentTooLarge => "413 Content Too Large",
            Status::HeadTooLarge => "431 Request Header Fields Too Large",
            Status::ServiceUnavailable => "503 Service Unavailable",
            Status::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }
}

/// The kind of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Plain text.
    Text,
    /// JSON.
    Json,
    /// Prometheus text exposition format 0.0.4.
    Metrics,
}

impl Content {
    const fn media_type(self) -> &'static str {
        match self {
            Content::Text => "text/plain; charset=utf-8",
            Content::Json => "application/json",
            Content::Metrics => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// An answer.
pub struct Response<'a> {
    /// Its status.
    pub status: Status,
    /// The kind of its body.
    pub content: Content,
    /// Its body.
    pub body: &'a [u8],
    /// A header field of the status, as `Allow: GET\r\n`, or nothing.
    pub field: &'static str,
}

impl Response<'_> {
    /// Writes the answer: head and body, or for HEAD the same head without the body.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write<W: Write>(&self, out: &mut W, with_body: bool, keep_alive: bool) -> Result<(), W::Error> {
        let mut digits = [0; 20];
        let connection = if keep_alive { "" } else { "Connection: close\r\n" };
        for part in [
            "HTTP/1.1 ",
            self.status.line(),
            "\r\nContent-Type: ",
            self.content.media_type(),
            "\r\nContent-Length: ",
            decimal(self.body.len(), &mut digits),
            "\r\nCache-Control: no-store\r\n",
            self.field,
            connection,
            "\r\n",
        ] {
            out.write_all(part.as_bytes())?;
        }
        if with_body {
            out.write_all(self.body)?;
        }
        Ok(())
    }
}

/// `number` in decimal digits.
pub(super) fn decimal(mut number: usize, digits: &mut [u8; 20]) -> &str {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return core::str::from_utf8(&digits[at..]).unwrap_or_default();
        }
    }
}
