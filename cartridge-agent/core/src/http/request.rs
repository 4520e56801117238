//! Reading one request head with httparse, strictly: what is doubtful is refused.

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

/// Reads the head at the start of `bytes`; `None` when it is not complete.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Head<'_>>, Status> {
    let mut fields = [httparse::EMPTY_HEADER; FIELD_LIMIT];
    let mut parsed = httparse::Request::new(&mut fields);
    let head_length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Status::HeadTooLarge),
        Err(httparse::Error::Version) => return Err(Status::VersionNotSupported),
        Err(_) => return Err(Status::BadRequest),
    };
    let http_1_1 = parsed.version == Some(1);
    let fields = Fields::collect(parsed.headers)?;
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
        method: method(parsed.method.unwrap_or_default()),
        path: path(parsed.path.unwrap_or_default())?,
        token: fields.token,
        keep_alive: if http_1_1 {
            !fields.close
        } else {
            fields.keep_alive && !fields.close
        },
        body: &[],
    };
    Ok(Some(Head {
        request,
        head_length,
        body_length,
        expects_continue: fields.expects_continue && http_1_1,
    }))
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

impl<'a> Fields<'a> {
    fn collect(headers: &[httparse::Header<'a>]) -> Result<Self, Status> {
        let mut fields = Self::default();
        for header in headers {
            let (name, value) = (header.name, header.value);
            if name.eq_ignore_ascii_case("host") {
                fields.hosts += 1;
            } else if name.eq_ignore_ascii_case("content-length") {
                let length = content_length(value)?;
                if fields.length.is_some_and(|earlier| earlier != length) {
                    return Err(Status::BadRequest);
                }
                fields.length = Some(length);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                fields.chunked = true;
            } else if name.eq_ignore_ascii_case("connection") {
                for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    fields.close |= option.eq_ignore_ascii_case(b"close");
                    fields.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            } else if name.eq_ignore_ascii_case("expect") {
                fields.expects_continue = value.eq_ignore_ascii_case(b"100-continue");
            } else if name.eq_ignore_ascii_case("authorization") {
                if fields.token.is_some() {
                    return Err(Status::BadRequest);
                }
                fields.token = bearer(value);
            }
        }
        Ok(fields)
    }
}

/// A length in decimal digits only: no sign, no list (RFC 9110 section 8.6).
fn content_length(value: &[u8]) -> Result<usize, Status> {
    let text = core::str::from_utf8(value).map_err(|_| Status::BadRequest)?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Status::BadRequest);
    }
    // A length of more digits than this is larger than any body taken.
    Ok(crate::parameters::decimal(text)
        .and_then(|length| usize::try_from(length).ok())
        .unwrap_or(usize::MAX))
}

/// The token in `Bearer TOKEN`; the scheme's name is case-insensitive (RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        _ => Method::Other,
    }
}

/// The path of an origin-form target, or of an absolute-form one (RFC 9112 section 3.2).
fn path(target: &str) -> Result<&str, Status> {
    let origin = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => target,
    };
    if !origin.starts_with('/') && origin != "*" {
        return Err(Status::BadRequest);
    }
    Ok(origin.split('?').next().unwrap_or(origin))
}
