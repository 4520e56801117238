//! How connections end that the program has let go of.

use super::*;
use crate::net::limits;

impl Inner {
    pub(super) fn forget_finished(&mut self, now: u64) -> bool {
        let (mut from, mut any) = (0, false);
        while let Some(index) = self.connections.next_index(from) {
            from = index + 1;
            let connection = self.connections.get(index);
            let done = matches!(connection.state(), State::TimeWait | State::FinWait2 | State::Closing);
            if done && matches!(connection.owner, Owner::Nobody { .. }) {
                connection.socket_mut().abort();
                self.pump(index, now);
                self.remove(index);
                any = true;
            }
        }
        any
    }

    /// A connection nobody reads ends when everything is delivered, when data comes in, or when its time is up.
    pub(super) fn settle_orphan(&mut self, index: u32, was: State, now: u64) {
        let connection = self.connections.get(index);
        if connection.socket().can_recv() {
            connection.socket_mut().abort();
            self.pump(index, now);
            return self.remove(index);
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
        let until = connection.quiet_since + patience;
        connection.owner = Owner::Nobody { until };
        self.next = self.next.min(until);
    }

    /// The program let go of the connection; `reset` discards what was not sent.
    pub fn release(&mut self, index: u32, reset: bool, now: u64) {
        let connection = self.connections.get(index);
        let until = now + limits::DELIVERY;
        connection.owner = Owner::Nobody { until };
        connection.quiet_since = now;
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
    /// Bytes, FINs included, that peers outside have not acknowledged.
    pub fn owed(&mut self) -> usize {
        let (mut from, mut owed) = (0, 0);
        while let Some(index) = self.connections.next_index(from) {
            from = index + 1;
            let connection = self.connections.get(index);
            let unsent = matches!(connection.state(), State::FinWait1 | State::Closing | State::LastAck);
            if connection.link == LinkId::Outside {
                owed += connection.socket().send_queue() + unsent as usize;
            }
        }
        owed
    }
}
