//! Health statistics for the complex event processor (CEP) of Apache Stratos.
//!
//! Stratos replaces a member that its CEP has not heard of for 60 s, and scales a cluster by what its members tell. Every
//! interval a member publishes two events: how much of its memory is used, and its load. The protocol is WSO2's "databridge"
//! over Thrift: a log-in, the definition of a stream, then events, each of which is answered.
//!
//! - [`settings`] reads where to, as whom, and how often;
//! - [`thrift`] is the encoding: bounded writing, and a reader that takes an answer in pieces of any size;
//! - [`databridge`] is the calls and what their answers mean;
//! - [`publisher`] is the state machine over it: fail-over, pauses, deadlines, new sessions.
//!
//! Only plain connections are made. A receiver that has TLS alone is refused in [`settings`].
//!
//! Nothing here allocates; a [`publisher::Publisher`] takes less than 4 KiB.

pub mod databridge;
pub mod publisher;
pub mod settings;
pub mod thrift;
