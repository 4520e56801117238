//! The client side of HTTP/1.1 (RFC 9110, RFC 9112), sans-IO: [`Request`] writes a request, [`Exchange`] takes the bytes of the
//! answer as they come and hands on its body in pieces, [`Url`] and [`redirected`] say where to ask.
//!
//! It asks servers that may be broken or hostile: lines, head, body and redirects are bounded, what is doubtful is refused, and the
//! body of an answer other than 2xx is not read at all. One connection carries one exchange (`Connection: close`).

mod exchange;
mod fault;
mod request;
mod url;

pub use exchange::{Exchange, FIELDS_LIMIT, LINE_LIMIT};
pub use fault::Fault;
pub use request::Request;
pub use url::{Url, is_redirect, redirected};

/// At most this many redirects are followed.
pub const REDIRECT_LIMIT: usize = 3;

#[cfg(test)]
mod tests;
