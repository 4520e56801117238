//! Reading a request head (RFC 9112): httparse finds the parts, this module keeps the few that a file server needs.

use crate::status::Status;

/// Longest request head accepted, in bytes. Browsers stay below 2 KiB; 8 KiB is what most servers allow.
pub const MAX_HEAD: usize = 8 * 1024;
/// Most header fields accepted in one head.
const MAX_FIELDS: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    /// Anything else; answered with 405.
    Other,
}

/// How the body that follows the head is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Exactly this many bytes; 0 when there is no body.
    Length(u64),
    /// A transfer coding. We have no use for such a body, so the connection ends after the answer.
    Chunked,
}

/// One request head, with its conditional fields as they were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    /// Path of the target, still percent-encoded, beginning with `/`; `*` for an asterisk-form target.
    pub path: String,
    /// Query with its `?`, or empty.
    pub query: String,
    pub keep_alive: bool,
    /// HTTP/1.0 clients have to be told that the connection stays open.
    pub http10: bool,
    pub framing: Framing,
    /// The client waits for a go-ahead before it sends its body.
    pub expects_continue: bool,
    pub if_match: Option<String>,
    pub if_unmodified_since: Option<String>,
    pub if_none_match: Option<String>,
    pub if_modified_since: Option<String>,
    pub if_range: Option<String>,
    pub range: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed.
    Incomplete,
    /// A head, and how many bytes it took.
    Complete(Box<Request>, usize),
    /// No valid head; the answer to give before closing.
    Refused(Status),
}

/// Reads the head at the start of `bytes`.
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    match head.parse(bytes) {
        Ok(httparse::Status::Partial) if bytes.len() >= MAX_HEAD => Parsed::Refused(too_large(bytes)),
        Ok(httparse::Status::Partial) => Parsed::Incomplete,
        Ok(httparse::Status::Complete(used)) => match keep(&head) {
            Ok(request) => Parsed::Complete(Box::new(request), used),
            Err(status) => Parsed::Refused(status),
        },
        Err(httparse::Error::TooManyHeaders) => Parsed::Refused(Status::HeadTooLarge),
        Err(httparse::Error::Version) => Parsed::Refused(Status::VersionNotSupported),
        Err(_) => Parsed::Refused(Status::BadRequest),
    }
}

/// Says which part of an oversized head was too long.
fn too_large(bytes: &[u8]) -> Status {
    if bytes.contains(&b'\n') {
        Status::HeadTooLarge
    } else {
        Status::UriTooLong
    }
}

fn keep(head: &httparse::Request) -> Result<Request, Status> {
    let http10 = head.version == Some(0);
    let hosts = values(head, "host").count();
    if hosts > 1 || (hosts == 0 && !http10) {
        return Err(Status::BadRequest); // RFC 9112 section 3.2
    }
    let method = match head.method.unwrap_or_default() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => Method::Other,
    };
    let (path, query) = split_target(head.path.unwrap_or_default())?;
    let keep_alive = match (has_token(head, "connection", "close"), http10) {
        (true, _) => false,
        (false, true) => has_token(head, "connection", "keep-alive"),
        (false, false) => true,
    };
    Ok(Request {
        method,
        path,
        query,
        keep_alive,
        http10,
        framing: framing(head)?,
        expects_continue: has_token(head, "expect", "100-continue"),
        if_match: joined(head, "if-match"),
        if_unmodified_since: single(head, "if-unmodified-since"),
        if_none_match: joined(head, "if-none-match"),
        if_modified_since: single(head, "if-modified-since"),
        if_range: single(head, "if-range"),
        range: single(head, "range"),
    })
}

/// Splits an origin-form or absolute-form target (RFC 9112 section 3.2) into path and query.
fn split_target(target: &str) -> Result<(String, String), Status> {
    if target == "*" {
        return Ok((target.into(), String::new()));
    }
    let local = match target.split_once("://") {
        Some((scheme, rest)) if !target.starts_with('/') => {
            if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
                return Err(Status::BadRequest);
            }
            rest.find(['/', '?']).map_or("/", |at| &rest[at..])
        }
        _ => target,
    };
    let (path, query) = local.split_at(local.find('?').unwrap_or(local.len()));
    match path {
        "" => Ok(("/".into(), query.into())),
        path if path.starts_with('/') => Ok((path.into(), query.into())),
        _ => Err(Status::BadRequest),
    }
}

/// RFC 9112 section 6.3. Anything two readers could understand differently is refused.
fn framing(head: &httparse::Request) -> Result<Framing, Status> {
    let coded = values(head, "transfer-encoding").next().is_some();
    let mut lengths = values(head, "content-length");
    let Some(first) = lengths.next() else {
        return Ok(if coded { Framing::Chunked } else { Framing::Length(0) });
    };
    if coded || first.is_empty() || !first.bytes().all(|b| b.is_ascii_digit()) || lengths.any(|other| other != first) {
        return Err(Status::BadRequest);
    }
    first.parse().map(Framing::Length).map_err(|_| Status::BadRequest)
}

/// Values of every field of this name, without the blanks that may stand around them (RFC 9110 section 5.6.3: no others). One that
/// is not UTF-8 counts as empty: no value we know is written so.
fn values<'a>(head: &'a httparse::Request, name: &'a str) -> impl Iterator<Item = &'a str> {
    let named = head
        .headers
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name));
    named.map(|field| std::str::from_utf8(field.value.trim_ascii()).unwrap_or_default())
}

fn has_token(head: &httparse::Request, name: &str, token: &str) -> bool {
    values(head, name)
        .flat_map(|value| value.split(','))
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

/// The value of a field that may be sent once; none when it is absent or repeated.
fn single(head: &httparse::Request, name: &str) -> Option<String> {
    let mut all = values(head, name);
    let first = all.next()?;
    all.next().is_none().then(|| first.into())
}

/// The values of a list field, joined as RFC 9110 section 5.3 allows.
fn joined(head: &httparse::Request, name: &str) -> Option<String> {
    let all: Vec<&str> = values(head, name).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> Request {
        match parse(text.as_bytes()) {
            Parsed::Complete(request, used) => {
                assert_eq!(used, text.len());
                *request
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_a_plain_get() {
        let request = complete("GET /a%20b?x=1 HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(
            (request.method, &*request.path, &*request.query),
            (Method::Get, "/a%20b", "?x=1")
        );
        assert!(request.keep_alive && !request.http10);
        assert_eq!(request.framing, Framing::Length(0));
    }

    #[test]
    fn every_prefix_of_a_head_is_incomplete() {
        let head = b"GET / HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1\r\n\r\n";
        for end in 0..head.len() {
            assert_eq!(parse(&head[..end]), Parsed::Incomplete, "after {end} bytes");
        }
    }

    #[test]
    fn connection_rules_follow_the_version() {
        assert!(!complete("GET / HTTP/1.0\r\n\r\n").keep_alive);
        assert!(complete("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
        assert!(!complete("GET / HTTP/1.1\r\nHost: h\r\nConnection: foo, close\r\n\r\n").keep_alive);
    }

    #[test]
    fn absolute_targets_lose_their_authority() {
        assert_eq!(complete("GET http://h/x?y HTTP/1.1\r\nHost: h\r\n\r\n").path, "/x");
        assert_eq!(complete("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n").path, "/");
        assert_eq!(complete("GET /?u=http://h HTTP/1.1\r\nHost: h\r\n\r\n").path, "/");
    }

    #[test]
    fn refuses_what_is_malformed_or_ambiguous() {
        let refused = |text: &str| match parse(text.as_bytes()) {
            Parsed::Refused(status) => status,
            other => panic!("{text:?}: {other:?}"),
        };
        assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), Status::BadRequest);
        assert_eq!(
            refused("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            Status::BadRequest
        );
        assert_eq!(refused("GET x HTTP/1.1\r\nHost: h\r\n\r\n"), Status::BadRequest);
        assert_eq!(
            refused("GET / HTTP/2.0\r\nHost: h\r\n\r\n"),
            Status::VersionNotSupported
        );
        assert_eq!(refused("\x16\x03\x01\x02"), Status::BadRequest);
        let two = "Content-Length: 1\r\nContent-Length: 2\r\n";
        assert_eq!(
            refused(&format!("GET / HTTP/1.1\r\nHost: h\r\n{two}\r\n")),
            Status::BadRequest
        );
        let odd = "Content-Length: \u{a0}3\r\n";
        assert_eq!(
            refused(&format!("GET / HTTP/1.1\r\nHost: h\r\n{odd}\r\n")),
            Status::BadRequest
        );
        let both = "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(
            refused(&format!("GET / HTTP/1.1\r\nHost: h\r\n{both}\r\n")),
            Status::BadRequest
        );
        let many = "x: y\r\n".repeat(MAX_FIELDS + 1);
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\n{many}\r\n")), Status::HeadTooLarge);
        assert_eq!(refused(&format!("GET /{}", "a".repeat(MAX_HEAD))), Status::UriTooLong);
        assert_eq!(
            refused(&format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(MAX_HEAD))),
            Status::HeadTooLarge
        );
    }
}
