//! A small HTTP/1.1 server side (RFC 9110, RFC 9112), sans-IO: [`Session`] turns the bytes of one connection and the time
//! into requests, refusals and deadlines; [`Response`] writes answers. ([`client`] is the other side.)
//!
//! It is for a management endpoint, so its limits are tight: see [`HEAD_LIMIT`], [`BODY_LIMIT`], [`HEAD_TIMEOUT`].

pub mod client;
mod request;
mod response;
mod session;

pub use request::{Method, Request};
pub use response::{Content, Response, Status};
pub use session::{BODY_LIMIT, HEAD_LIMIT, HEAD_TIMEOUT, IDLE_TIMEOUT, Session, Step};
