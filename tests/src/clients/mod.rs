//! HTTP clients of every kind, good and bad. They know only an address, so the same cases run against a cartridge in a
//! virtual machine and against the same program as a Linux process, which is the control: QEMU's user networking listens
//! with a backlog of 1 on the host's side, so a burst of connects waits a second in the host's own connect(), whatever the
//! guest does.

pub mod bystander;
pub mod client;
pub mod closing;
pub mod crowds;
pub mod load;
pub mod pieces;
pub mod site;
pub mod slow;

use anyhow::{Context, Result, ensure};
use client::{Answer, Client};
use std::net::SocketAddr;

/// A server under test.
#[derive(Debug, Clone)]
pub struct Service {
    pub address: SocketAddr,
    /// What `GET /` must give.
    pub expected: Vec<u8>,
    /// How long each load generator runs, in seconds.
    pub load_seconds: u64,
    /// Reached through QEMU's user networking, with its short queue on the host's side.
    pub behind_qemu: bool,
}

impl Service {
    pub fn connect(&self) -> Result<Client> {
        Client::connect(self.address)
    }

    /// Sends a request for `/` on an open connection and checks the answer.
    pub fn exchange(&self, client: &mut Client) -> Result<()> {
        client.send(REQUEST)?;
        self.check(&client.answer()?)
    }

    /// Checks an answer to a request for `/`.
    pub fn check(&self, answer: &Answer) -> Result<()> {
        ensure!(answer.status == 200, "status {} instead of 200", answer.status);
        ensure!(
            answer.body == self.expected,
            "{} bytes of body that are not the expected ones",
            answer.body.len()
        );
        Ok(())
    }

    /// One request on a connection of its own: the server still works.
    pub fn serves(&self) -> Result<()> {
        self.connect()
            .and_then(|mut client| self.exchange(&mut client))
            .context("a plain request afterwards")
    }
}

/// A request for `/` that keeps the connection.
pub const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";
/// A request for `/` after which the server is to close.
pub const LAST_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

/// One kind of client. It says in a line what it did and measured, or what went wrong.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub run: fn(&Service) -> Result<String>,
}

/// Every case that any HTTP server must stand.
pub const CASES: &[Case] = &[
    Case {
        name: "1,000 connections closed by the client after the answer",
        run: closing::after_the_answer,
    },
    Case {
        name: "1,000 connections closed by the client before the answer",
        run: closing::before_the_answer,
    },
    Case {
        name: "300 connections closed by the server",
        run: closing::by_the_server,
    },
    Case {
        name: "600 resets",
        run: closing::resets,
    },
    Case {
        name: "half-closed connections",
        run: closing::half_closed,
    },
    Case {
        name: "one byte at a time",
        run: pieces::byte_by_byte,
    },
    Case {
        name: "a request split at every position",
        run: pieces::split_everywhere,
    },
    Case {
        name: "50 pipelined requests",
        run: pieces::pipelined,
    },
    Case {
        name: "64 idle connections",
        run: crowds::idle,
    },
    Case {
        name: "200 connections held at once",
        run: crowds::held,
    },
    Case {
        name: "200 connections in one burst",
        run: crowds::burst,
    },
    Case {
        name: "wrk with 1 connection",
        run: load::wrk_1,
    },
    Case {
        name: "wrk with 64 connections",
        run: load::wrk_64,
    },
    Case {
        name: "ab with 8 clients, a connection for each request",
        run: load::ab,
    },
];
