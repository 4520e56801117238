//! Writing a request.

use super::{Fault, Url};

/// A request without a body.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// `GET` or `PUT`.
    pub method: &'static str,
    /// Where; the user and the password of the URL are not sent by themselves.
    pub url: Url<'a>,
    /// Header fields besides `Host`, `User-Agent`, `Accept`, `Connection` and `Content-Length`: name and the parts of the value, which
    /// stand one after the other (`Authorization`, `["Basic ", "dTpw"]`). They go to the host of the URL only, also after a redirect.
    pub fields: &'a [(&'static str, [&'a str; 2])],
}

impl Request<'_> {
    /// Gives the parts of the request to `out`, one after the other.
    ///
    /// # Errors
    /// [`Fault::BadRequest`], before anything is given, when a part could end its line: nothing can be smuggled in by a parameter.
    pub fn write(&self, out: &mut dyn FnMut(&str)) -> Result<(), Fault> {
        let Url { host, target, .. } = self.url;
        let is_clean = |part: &str| part.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if host.is_empty()
            || !host.bytes().chain(target.bytes()).all(|byte| byte.is_ascii_graphic())
            || !self
                .fields
                .iter()
                .flat_map(|(_, value)| value)
                .all(|part| is_clean(part))
        {
            return Err(Fault::BadRequest);
        }
        let (before, after) = if host.contains(':') { ("[", "]") } else { ("", "") };
        let slash = if target.starts_with('/') { "" } else { "/" };
        for part in [
            self.method,
            " ",
            slash,
            target,
            " HTTP/1.1\r\nHost: ",
            before,
            host,
            after,
        ] {
            out(part);
        }
        if self.url.port != 80 {
            out(":");
            out(super::super::response::decimal(
                usize::from(self.url.port),
                &mut [0; 20],
            ));
        }
        out("\r\nUser-Agent: cartridge-agent\r\nAccept: */*\r\nConnection: close\r\n");
        // RFC 9110 section 8.6: a method that could have a body says that there is none.
        if self.method != "GET" {
            out("Content-Length: 0\r\n");
        }
        for (name, [start, end]) in self.fields {
            for part in [name, ": ", start, end, "\r\n"] {
                out(part);
            }
        }
        out("\r\n");
        Ok(())
    }
}
