//! The status events on their way: one at a time, once each, taken up after an outage where they stood.

use super::{ANSWER, HURRIED_ANSWER, Phase, Purpose, Stratos, TOPOLOGY_REQUEST};
use crate::stratos::notes::Note;
use crate::stratos::packet::{self, Delivery, kind};
use crate::stratos::status::{InFlight, Status};
use core::time::Duration;

impl Stratos<'_> {
    /// Sends the next status event if nothing is in its way, and leaves when there is none any more. `has_topology` says that one has
    /// just come.
    pub(super) fn deliver(&mut self, has_topology: bool) {
        let has_left = self.is_ending() && self.outbox.is_empty();
        match self.phase {
            Phase::Up if has_left => return self.disconnect(Purpose::Leave),
            Phase::Up if self.gate.is_none() => {}
            Phase::Idle(_) | Phase::Reaching(_) if has_left => {
                self.purpose = Purpose::Leave;
                return;
            }
            _ => return,
        }
        match self.outbox.in_flight {
            Some(event) if event.is_out => {}
            Some(event) => self.resume(event, has_topology),
            None => {
                if let Some(status) = self.outbox.pop() {
                    self.publish(status);
                }
            }
        }
    }

    /// Takes up an event that was on its way when the last connection ended. What the platform shows counts first: a broker that was
    /// killed may remember an older session than it had.
    fn resume(&mut self, mut event: InFlight, has_topology: bool) {
        let is_heard = has_topology && self.is_shown(event.status);
        if is_heard || event.is_complete && !event.is_denied {
            self.notes.push(Note::Resumed(event.status, true));
            self.outbox.in_flight = None;
            return self.deliver(has_topology);
        }
        self.notes.push(Note::Resumed(event.status, false));
        if event.is_doubtful || event.is_complete {
            return self.publish(event.status);
        }
        if event.is_received {
            packet::acknowledge(&mut self.out, kind::PUBREL, event.packet);
        } else {
            self.send(event.status, event.packet, true);
        }
        (event.is_out, event.is_resumed) = (true, true);
        self.outbox.in_flight = Some(event);
        self.answer_until = Some(self.answer_time());
    }

    /// True if the last topology shows that this event arrived.
    fn is_shown(&self, status: Status) -> bool {
        let is_shown = match self.inbox.own_state {
            Some(state) => state >= status.state(),
            None => status == Status::ReadyToShutdown,
        };
        // A member that was known as Active before tells nothing by it.
        is_shown && status.state() > self.known_as
    }

    /// A topology came: true if more are to be waited for. One without an event that the broker has just delivered may be older: they
    /// are sent to all members, whoever asked.
    pub(super) fn waits_for_another_topology(&mut self) -> bool {
        let Some(mut event) = self.outbox.in_flight.filter(|event| event.is_complete) else {
            return false;
        };
        event.is_denied = event.status.state() > self.known_as && !self.is_shown(event.status);
        self.outbox.in_flight = Some(event);
        event.is_denied
    }

    fn publish(&mut self, status: Status) {
        let packet = self.next_packet();
        self.send(status, packet, false);
        self.outbox.in_flight = Some(InFlight {
            status,
            packet,
            broker: self.broker,
            is_received: false,
            is_complete: false,
            is_denied: false,
            is_out: true,
            is_resumed: false,
            is_doubtful: false,
        });
        self.answer_until = Some(self.answer_time());
    }

    fn send(&mut self, status: Status, packet: u16, again: bool) {
        let document = status.document(&self.settings);
        packet::publish(
            &mut self.out,
            status.topic(),
            &document,
            Delivery::ExactlyOnce(packet, again),
        );
    }

    /// The broker has the event with this packet identifier.
    pub(super) fn received(&mut self, packet: u16) {
        // It is told to deliver in any case: what we know nothing of is then forgotten.
        self.acknowledge(kind::PUBREL, packet);
        if self.phase == Phase::Up
            && let Some(event) = &mut self.outbox.in_flight
            && event.packet == packet
        {
            event.is_received = true;
            self.answer_until = Some(self.answer_time());
        }
    }

    /// The broker says that the event with this packet identifier is delivered.
    pub(super) fn complete(&mut self, packet: u16) {
        let Some(event) = &mut self.outbox.in_flight else {
            return;
        };
        if event.packet != packet || !event.is_out || !event.is_received {
            return;
        }
        self.answer_until = None;
        if event.is_resumed {
            // A broker says so of what it has forgotten, too (MQTT 3.1.1 section 4.3.3): the platform is asked.
            (event.is_complete, event.is_out) = (true, false);
            self.close_gate(ANSWER);
            return;
        }
        self.notes.push(Note::Reported(event.status));
        self.outbox.in_flight = None;
        self.deliver(false);
    }

    /// Has status events wait for a topology, for no longer than `patience`.
    pub(super) fn close_gate(&mut self, patience: Duration) {
        let patience = if self.is_ending() { HURRIED_ANSWER } else { patience };
        self.gate = Some(self.now + patience);
        self.request(TOPOLOGY_REQUEST);
        self.asked = 0;
        self.ask_at = self.now + self.backoff.pause(1);
    }
}
