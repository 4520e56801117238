//! How connections end that the program has let go of.

use super::*;
use crate::net::limits;

impl Inner {
    /// Ends the connections that only wait for their peer's last word or, if there are none, the one that has been delivering its
    /// last bytes for longest; whether there was one.
    pub(super) fn forget_finished(&mut self, now: u64) -> bool {
        let (mut from, mut any, mut oldest) = (0, false, None);
        while let Some(index) = self.connections.next_index(from) {
            from = index + 1;
            let connection = self.connections.get(index);
            if !matches!(connection.owner, Owner::Nobody { .. }) {
                continue;
            }
            if matches!(connection.state(), State::TimeWait | State::FinWait2 | State::Closing) {
                self.abandon(index, now);
                any = true;
            } else if oldest.is_none_or(|(_, released)| connection.released < released) {
                oldest = Some((index, connection.released));
            }
        }
        match oldest {
            Some((index, _)) if !any => self.abandon(index, now),
            _ => return any,
        }
        true
    }

    /// Ends a connection with a reset.
    pub(super) fn abandon(&mut self, index: u32, now: u64) {
        self.connections.get(index).socket_mut().abort();
        self.pump(index, now);
        self.remove(index);
    }

    /// A connection nobody reads ends when everything is delivered, when data comes in, or when its time is up.
    pub(super) fn settle_orphan(&mut self, index: u32, was: State, now: u64) {
        let connection = self.connections.get(index);
        if connection.socket().can_recv() {
            return self.abandon(index, now);
        }
        let patience = match connection.state() {
            State::Closed => return self.remove(index),
            State::TimeWait if was != State::TimeWait => {
                if self.resting >= limits::MOST_RESTING {
                    return self.remove(index);
                }
                self.resting += 1;
                connection.resting = true;
                limits::TIME_WAIT
            }
            State::FinWait2 if was != State::FinWait2 => limits::FIN_WAIT_2,
            State::Closing if was != State::Closing => limits::CLOSING,
            State::FinWait1 | State::LastAck => limits::DELIVERY,
            _ => return,
        };
        // A peer that only answers probes of its closed window is heard from, but not for ever.
        let until = (connection.quiet_since + patience).min(connection.released + limits::ORPHAN);
        connection.owner = Owner::Nobody { until };
        self.next = self.next.min(until);
    }

    /// The program let go of the connection; `reset` discards what was not sent.
    pub fn release(&mut self, index: u32, reset: bool, now: u64) {
        let connection = self.connections.get(index);
        let until = now + limits::DELIVERY;
        connection.owner = Owner::Nobody { until };
        (connection.quiet_since, connection.released) = (now, now);
        self.next = self.next.min(until);
        let socket = connection.socket_mut();
        if reset || socket.can_recv() || socket.state() == State::SynSent {
            socket.abort();
        } else {
            socket.close();
        }
        // Whatever state it is in, it is new to a connection without an owner.
        self.settle(index, State::Listen, now);
    }

    #[cfg_attr(not(target_os = "hermit"), allow(dead_code))]
    /// Closes the sending half of every connection to the outside that the program still has.
    pub fn close_all(&mut self, now: u64) {
        let mut from = 0;
        while let Some(index) = self.connections.next_index(from) {
            from = index + 1;
            let connection = self.connections.get(index);
            if connection.link == LinkId::Outside && connection.owner == Owner::Program {
                let was = connection.state();
                connection.socket_mut().close();
                self.settle(index, was, now);
            }
        }
    }

    #[cfg_attr(not(target_os = "hermit"), allow(dead_code))]
    /// Bytes, FINs included, that peers outside have not acknowledged; and one for each that has, but has not ended its side. Such a
    /// peer may be a proxy on the same host, QEMU's user network say, which holds the bytes and ends with this machine: what it
    /// has passed on, it has passed on when the far client's end comes back.
    pub fn owed(&mut self) -> usize {
        let (mut from, mut owed) = (0, 0);
        while let Some(index) = self.connections.next_index(from) {
            from = index + 1;
            let connection = self.connections.get(index);
            let is_open = match connection.state() {
                State::FinWait1 => 2,
                State::FinWait2 | State::Closing | State::LastAck => 1,
                _ => 0,
            };
            if connection.link == LinkId::Outside {
                owed += connection.socket().send_queue() + is_open;
            }
        }
        owed
    }
}
