//! Which answer a request gets: the rules of RFC 9110 for a folder of files.

use crate::content::{Content, Contents, Place};
use crate::folder::{self, Entry, Found};
use crate::media;
use crate::range::{self, Selection};
use crate::request::{Method, Request};
use crate::response::Response;
use crate::status::Status;
use crate::validator::{Tags, Validators};
use std::io;

/// What is served.
pub struct Site {
    contents: Contents,
    tags: Tags,
}

impl Site {
    pub fn new(contents: Contents) -> Site {
        Site {
            contents,
            tags: Tags::default(),
        }
    }

    pub fn answer(&self, request: &Request) -> Response {
        if request.method == Method::Other {
            return Response::plain(Status::MethodNotAllowed).with("Allow", "GET, HEAD");
        }
        match self.contents.place(&request.path) {
            Place::In(content, path) => self.answer_from(&content, path, request).holding(content),
            Place::NeedsSlash => with_slash(request),
            Place::Missing => Response::plain(Status::NotFound),
        }
    }

    fn answer_from(&self, content: &Content, path: &str, request: &Request) -> Response {
        match folder::find(content.root(), path) {
            Found::File(entry) => self
                .file(request, entry)
                .unwrap_or_else(|_| Response::plain(Status::InternalError)),
            Found::NeedsSlash => with_slash(request),
            Found::Missing => not_found(content),
            Found::Malformed => Response::plain(Status::BadRequest),
        }
    }

    fn file(&self, request: &Request, entry: Entry) -> io::Result<Response> {
        let validators = self.tags.of(&entry.path, entry.size, entry.modified)?;
        if !validators.as_expected(request.if_match.as_deref(), request.if_unmodified_since.as_deref()) {
            return Ok(Response::plain(Status::PreconditionFailed));
        }
        if validators.unchanged_since(request.if_none_match.as_deref(), request.if_modified_since.as_deref()) {
            return Ok(described(Response::empty(Status::NotModified), &validators));
        }
        let media = media::of(&entry.path);
        let response = match selection(request, &validators, entry.size) {
            Selection::Whole => Response::file(Status::Ok, entry.path, 0, entry.size),
            Selection::Part { first, length } => {
                let range = format!("bytes {first}-{}/{}", first + length - 1, entry.size);
                Response::file(Status::PartialContent, entry.path, first, length).with("Content-Range", range)
            }
            Selection::Unsatisfiable => {
                let range = format!("bytes */{}", entry.size);
                return Ok(Response::plain(Status::RangeNotSatisfiable).with("Content-Range", range));
            }
        };
        let response = response.with("Content-Type", media).with("Accept-Ranges", "bytes");
        Ok(described(
            response.with("X-Content-Type-Options", "nosniff"),
            &validators,
        ))
    }
}

/// The address of the folder that was asked for without its final slash.
fn with_slash(request: &Request) -> Response {
    let location = format!("{}/{}", request.path, request.query);
    Response::plain(Status::MovedPermanently).with("Location", location)
}

/// The folder's own 404.html, or a line of text.
fn not_found(content: &Content) -> Response {
    match folder::find(content.root(), "/404.html") {
        Found::File(page) => Response::file(Status::NotFound, page.path, 0, page.size)
            .with("Content-Type", "text/html; charset=utf-8")
            .with("Cache-Control", "no-cache"),
        _ => Response::plain(Status::NotFound),
    }
}

/// Ranges exist for GET only (RFC 9110 section 14.2), and If-Range may void them.
fn selection(request: &Request, validators: &Validators, size: u64) -> Selection {
    match &request.range {
        Some(value) if request.method == Method::Get && validators.allows_range(request.if_range.as_deref()) => {
            range::select(value, size)
        }
        _ => Selection::Whole,
    }
}

/// What lets a client keep its copy and ask whether it is still good.
fn described(response: Response, validators: &Validators) -> Response {
    let response = response
        .with("ETag", &validators.etag)
        .with("Cache-Control", "no-cache");
    match &validators.last_modified {
        Some(date) => response.with("Last-Modified", date),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Parsed, parse};
    use crate::response::After;
    use crate::scratch::Scratch;

    /// Head and body of the answer to a request with these further fields.
    fn answer(site: &Site, line: &str, fields: &str) -> (String, String) {
        let text = format!("{line} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let Parsed::Complete(request, _) = parse(text.as_bytes()) else {
            panic!("{text}")
        };
        let mut out = Vec::new();
        site.answer(&request)
            .send(&mut out, request.method == Method::Head, After::KeepOpen)
            .unwrap();
        let (head, body) = std::str::from_utf8(&out).unwrap().split_once("\r\n\r\n").unwrap();
        (format!("{head}\r\n"), body.into())
    }

    fn field<'a>(head: &'a str, name: &str) -> &'a str {
        let line = head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no {name} in {head}"))
    }

    fn site(scratch: &Scratch) -> Site {
        scratch.write("index.html", b"<h1>home</h1>");
        scratch.write("guide/index.html", b"guide");
        scratch.write("digits.txt", b"0123456789");
        Site::new(Contents::new(scratch.path(), Default::default()))
    }

    #[test]
    fn serves_files_with_type_and_validators() {
        let scratch = Scratch::new("answer-get");
        let site = site(&scratch);
        let (head, body) = answer(&site, "GET /", "");
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        assert_eq!(
            (field(&head, "Content-Type"), &*body),
            ("text/html; charset=utf-8", "<h1>home</h1>")
        );
        let (etag, date) = (field(&head, "ETag"), field(&head, "Last-Modified"));
        for condition in [
            format!("If-None-Match: {etag}\r\n"),
            format!("If-Modified-Since: {date}\r\n"),
        ] {
            let (head, body) = answer(&site, "GET /", &condition);
            assert!(
                head.starts_with("HTTP/1.1 304 Not Modified") && body.is_empty(),
                "{condition}{head}"
            );
            assert_eq!(field(&head, "ETag"), etag);
        }
        let (bare, body) = answer(&site, "HEAD /", "");
        assert_eq!((field(&bare, "Content-Length"), body.is_empty()), ("13", true));
    }

    #[test]
    fn a_client_that_expects_another_version_is_told_so() {
        let scratch = Scratch::new("answer-match");
        let site = site(&scratch);
        let (head, _) = answer(&site, "GET /", "");
        let (etag, date) = (
            field(&head, "ETag").to_string(),
            field(&head, "Last-Modified").to_string(),
        );
        for (condition, code) in [
            (format!("If-Match: {etag}"), "200"),
            ("If-Match: *".into(), "200"),
            (format!("If-Match: \"old\", {etag}"), "200"),
            ("If-Match: \"old\"".into(), "412"),
            (format!("If-Match: W/{etag}"), "412"),
            (format!("If-Match: \"old\"\r\nIf-None-Match: {etag}"), "412"),
            (format!("If-Unmodified-Since: {date}"), "200"),
            ("If-Unmodified-Since: Sun, 09 Sep 2001 01:46:40 GMT".into(), "412"),
            ("If-Unmodified-Since: yesterday".into(), "200"),
            (
                format!("If-Match: {etag}\r\nIf-Unmodified-Since: Sun, 09 Sep 2001 01:46:40 GMT"),
                "200",
            ),
        ] {
            let (head, _) = answer(&site, "GET /", &format!("{condition}\r\n"));
            assert!(head.starts_with(&format!("HTTP/1.1 {code} ")), "{condition}: {head}");
        }
    }

    #[test]
    fn serves_ranges() {
        let scratch = Scratch::new("answer-range");
        let site = site(&scratch);
        let (head, body) = answer(&site, "GET /digits.txt", "Range: bytes=2-4\r\n");
        assert!(head.starts_with("HTTP/1.1 206 Partial Content"), "{head}");
        assert_eq!((field(&head, "Content-Range"), &*body), ("bytes 2-4/10", "234"));
        let tag = field(&head, "ETag");
        let (_, body) = answer(
            &site,
            "GET /digits.txt",
            &format!("Range: bytes=-1\r\nIf-Range: {tag}\r\n"),
        );
        assert_eq!(body, "9");
        let (head, _) = answer(&site, "GET /digits.txt", "Range: bytes=-1\r\nIf-Range: \"old\"\r\n");
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        let (head, _) = answer(&site, "GET /digits.txt", "Range: bytes=10-\r\n");
        assert!(
            head.starts_with("HTTP/1.1 416 ") && field(&head, "Content-Range") == "bytes */10",
            "{head}"
        );
    }

    #[test]
    fn redirects_refuses_and_misses() {
        let scratch = Scratch::new("answer-else");
        let site = site(&scratch);
        let (head, _) = answer(&site, "GET /guide?a=b", "");
        assert!(
            head.starts_with("HTTP/1.1 301 ") && field(&head, "Location") == "/guide/?a=b",
            "{head}"
        );
        let (head, _) = answer(&site, "POST /", "");
        assert!(
            head.starts_with("HTTP/1.1 405 ") && field(&head, "Allow") == "GET, HEAD",
            "{head}"
        );
        assert!(answer(&site, "GET /%zz", "").0.starts_with("HTTP/1.1 400 "));
        assert_eq!(answer(&site, "GET /none", "").1, "404 Not Found\n");
        scratch.write("404.html", b"lost?");
        let (head, body) = answer(&site, "GET /none", "");
        assert!(head.starts_with("HTTP/1.1 404 ") && body == "lost?", "{head}");
    }
}
