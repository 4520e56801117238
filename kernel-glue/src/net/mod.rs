//! The network: devices below, smoltcp in the middle, sockets as [`Object`](crate::object::Object)s above.

pub mod device;
