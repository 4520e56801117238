//! Reading one request head, strictly: what is doubtful is refused. (A general parser reads more than this server serves, and was a
//! third of the endpoint's code.)

use super::{BODY_LIMIT, Status};

/// Header fields in one request; more are refused.
const FIELD_LIMIT: usize = 32;

/// A request method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD: as GET, without the body of the answer.
    Head,
    /// POST
    Post,
    /// Any other.
    Other,
}

/// One request.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its method.
    pub method: Method,
    /// The path of its target, without the query.
    pub path: &'a str,
    /// The token of `Authorization: Bearer`.
    pub token: Option<&'a [u8]>,
    /// The client would like to send another request.
    pub keep_alive: bool,
    /// Its body.
    pub body: &'a [u8],
}

/// A head that was read, and how long head and body are.
pub(super) struct Head<'a> {
    pub request: Request<'a>,
    pub head_length: usize,
    pub body_length: usize,
    pub expects_continue: bool,
}

/// Reads the head at the start of `bytes`, which has the empty line that ends it.
#[inline(never)]
pub(super) fn parse(bytes: &[u8]) -> Result<Head<'_>, Status> {
    let mut rest = bytes;
    let (method, path, http_1_1) = request_line(line(&mut rest)?)?;
    let fields = Fields::collect(&mut rest)?;
    if http_1_1 && fields.hosts != 1 {
        return Err(Status::BadRequest);
    }
    if fields.chunked {
        // RFC 9112 section 6.3: both is an attempt to smuggle; one alone is refused for want of a length.
        return Err(if fields.length.is_some() {
            Status::BadRequest
        } else {
            Status::LengthRequired
        });
    }
    let body_length = fields.length.unwrap_or(0);
    if body_length > BODY_LIMIT {
        return Err(Status::ContentTooLarge);
    }
    let request = Request {
        method,
        path,
        token: fields.token,
        keep_alive: (http_1_1 || fields.keep_alive) && !fields.close,
        body: &[],
    };
    Ok(Head {
        request,
        head_length: bytes.len() - rest.len(),
        body_length,
        expects_continue: fields.expects_continue && http_1_1,
    })
}

/// What comes before and after the first `at`.
#[inline(never)]
fn split_at_byte(bytes: &[u8], at: u8) -> Result<(&[u8], &[u8]), Status> {
    let mut parts = bytes.splitn(2, |byte| *byte == at);
    parts.next().zip(parts.next()).ok_or(Status::BadRequest)
}

/// Takes the next line off `rest`, without its end. No control byte belongs in it, a carriage return by itself neither
/// (RFC 9112 section 2.2, RFC 9110 section 5.5).
#[inline(never)]
fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Status> {
    let (line, after) = split_at_byte(rest, b'\n')?;
    *rest = after;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(Status::BadRequest);
    }
    Ok(line)
}

/// Method, path, and whether the version is HTTP/1.1 (RFC 9112 section 3).
#[inline(never)]
fn request_line(line: &[u8]) -> Result<(Method, &str, bool), Status> {
    let words = core::str::from_utf8(line).ok();
    let (method, rest) = words
        .and_then(|words| words.split_once(' '))
        .ok_or(Status::BadRequest)?;
    let (target, version) = rest.split_once(' ').ok_or(Status::BadRequest)?;
    if !is_token(method.as_bytes()) || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Status::BadRequest);
    }
    let path = path(target)?;
    let http_1_1 = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        _ => return Err(Status::VersionNotSupported),
    };
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        _ => Method::Other,
    };
    Ok((method, path, http_1_1))
}

/// True for a token (RFC 9110 section 5.6.2).
#[inline(never)]
fn is_token(text: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_part)
}

/// What counts in the header fields.
#[derive(Default)]
struct Fields<'a> {
    hosts: usize,
    length: Option<usize>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    token: Option<&'a [u8]>,
}

/// The fields that count, in the order of [`Fields::take`].
const NAMES: [&[u8]; 6] = [
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"expect",
    b"authorization",
];

impl<'a> Fields<'a> {
    /// Takes the fields off `rest`, with the empty line after them.
    #[inline(never)]
    fn collect(rest: &mut &'a [u8]) -> Result<Self, Status> {
        let mut fields = Self::default();
        for _ in 0..=FIELD_LIMIT {
            let line = line(rest)?;
            if line.is_empty() {
                return Ok(fields);
            }
            let (name, value) = split_at_byte(line, b':')?;
            if !is_token(name) {
                return Err(Status::BadRequest);
            }
            fields.take(name, value.trim_ascii())?;
        }
        Err(Status::HeadTooLarge)
    }

    #[inline(never)]
    fn take(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Status> {
        match NAMES.iter().position(|known| name.eq_ignore_ascii_case(known)) {
            Some(0) => self.hosts += 1,
            Some(1) => {
                let length = content_length(value)?;
                if self.length.is_some_and(|earlier| earlier != length) {
                    return Err(Status::BadRequest);
                }
                self.length = Some(length);
            }
            Some(2) => self.chunked = true,
            Some(3) => {
                for option in value.split(|byte| *byte == b',') {
                    let option = option.trim_ascii();
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            Some(4) => self.expects_continue = value.eq_ignore_ascii_case(b"100-continue"),
            Some(_) if self.token.is_some() => return Err(Status::BadRequest),
            Some(_) => self.token = bearer(value),
            None => {}
        }
        Ok(())
    }
}

/// A length in decimal digits only: no sign, no list (RFC 9110 section 8.6). One too large for a number is larger than any body
/// taken.
#[inline(never)]
fn content_length(value: &[u8]) -> Result<usize, Status> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Status::BadRequest);
    }
    Ok(value.iter().fold(0usize, |length, digit| {
        length.saturating_mul(10).saturating_add(usize::from(digit - b'0'))
    }))
}

/// The token in `Bearer TOKEN`; the scheme's name is case-insensitive (RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// The path of an origin-form target, or of an absolute-form one (RFC 9112 section 3.2).
#[inline(never)]
fn path(target: &str) -> Result<&str, Status> {
    // Before anything else: a query may have slashes in it, and an authority may be followed by a query at once.
    let target = target.split('?').next().unwrap_or(target);
    let path = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/"),
        None => target,
    };
    if !path.starts_with('/') && path != "*" {
        return Err(Status::BadRequest);
    }
    Ok(path)
}
