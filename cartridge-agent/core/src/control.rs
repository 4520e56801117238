//! The seam for control planes.
//!
//! A control plane launches members and tells them what to do: Apache Stratos over MQTT, a BOSH director over NATS,
//! OpenPitrix through its metadata service, or nobody at all ([`Standalone`]). An adapter is one type that implements
//! [`ControlPlane`]; it is sans-IO like the rest of this crate: the driver opens the connection the adapter asks for and
//! moves bytes and time, the adapter keeps the protocol. Adding one touches neither [`crate::machine`] nor the others. (The
//! driver of this version has no connections to move bytes on: its only control plane is [`Standalone`].)

use crate::lifecycle::State;
use core::time::Duration;
use embedded_io::{ErrorKind, Write};

/// What a control plane tells its member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The member is known; the app may start. Stratos: MemberInitializedEvent, or the state found in the topology.
    Initialize,
    /// Stop in order. Stratos: InstanceCleanupMemberEvent; BOSH: `drain`, `stop`.
    Stop,
}

/// Where an adapter wants a connection to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer<'a> {
    /// Host name or address.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
    /// By TLS, with the peer's certificate checked.
    pub secure: bool,
}

/// An adapter for one kind of control plane. `now` is the time since the agent started; it never goes back.
///
/// An adapter has [`ControlPlane::LINKS`] connections, numbered from 0: Stratos one to its message broker and one to its
/// event processor. No method may block, and nothing received may make it panic or grow without bound. The defaults suit an
/// adapter without connections.
pub trait ControlPlane {
    /// How many connections it has at once.
    const LINKS: usize = 0;

    /// The name in logs.
    fn name(&self) -> &'static str;

    /// The member has entered `state`; to be reported.
    fn entered(&mut self, state: State, now: Duration);

    /// The next command, in order; `None` when there is none now.
    fn command(&mut self, now: Duration) -> Option<Command>;

    /// When to ask again although nothing was received: keep-alives, retries, health reports.
    fn wake(&self) -> Option<Duration> {
        None
    }

    /// The peer that connection `link` is to have now; a changed answer means: close, and connect anew if there is a peer.
    fn peer(&self, link: usize) -> Option<Peer<'_>> {
        let _ = link;
        None
    }

    /// Connection `link` was made, or it failed or ended; the adapter decides when to ask for it again.
    fn connected(&mut self, link: usize, up: bool, now: Duration) {
        let _ = (link, up, now);
    }

    /// Bytes that came on connection `link`.
    fn receive(&mut self, link: usize, bytes: &[u8], now: Duration) {
        let _ = (link, bytes, now);
    }

    /// Writes what there is to send on connection `link`.
    ///
    /// # Errors
    /// Those of `transport`; the driver then closes the connection.
    fn transmit(
        &mut self,
        link: usize,
        transport: &mut dyn Write<Error = ErrorKind>,
        now: Duration,
    ) -> Result<(), ErrorKind> {
        let _ = (link, transport, now);
        Ok(())
    }
}

/// No control plane: the member goes on at once, and stops when the platform or the app says so.
#[derive(Debug, Default)]
pub struct Standalone {
    initialized: bool,
}

impl ControlPlane for Standalone {
    fn name(&self) -> &'static str {
        "standalone"
    }

    fn entered(&mut self, _state: State, _now: Duration) {}

    fn command(&mut self, _now: Duration) -> Option<Command> {
        let first = !self.initialized;
        self.initialized = true;
        first.then_some(Command::Initialize)
    }
}
