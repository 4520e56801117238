//! The network device (virtio 5.1): one queue to receive, one to send, 2 KiB buffers, a frame in each.
//!
//! Not negotiated, with the reason: receive-buffer merging (frames fit one buffer), checksum offload (QEMU's user network
//! offers none; a cartridge's small frames gain little), segmentation offload and the control queue (nothing here uses
//! them). A device that breaks the queue's rules, or asks for it, is reset and started again, a bounded number of times.

use super::events::Events;
use super::queue::{Direction, Queue};
use super::transport::{self, Doorbell, Failure, Transport};
use super::{feature, report, status};
use crate::net::device::{Counters, NetworkDevice};
use core::cell::Cell;
use core::fmt;

/// Queue numbers (virtio 5.1.2).
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;

/// Feature bits (virtio 5.1.3).
const FEATURE_MTU: u64 = 1 << 3;
const FEATURE_MAC: u64 = 1 << 5;
const FEATURE_STATUS: u64 = 1 << 16;

/// Offsets in the configuration (virtio 5.1.4).
const CONFIGURATION_MAC: usize = 0;
const CONFIGURATION_STATUS: usize = 6;
const CONFIGURATION_MTU: usize = 10;
const STATUS_LINK_UP: u8 = 1;

/// Bytes of a buffer: header and frame. Two in a page.
const BUFFER: usize = 2048;
/// Bytes of the header before each frame (virtio 5.1.6): 2 more since 1.0.
const HEADER: usize = 12;
const HEADER_LEGACY: usize = 10;
const ETHERNET_HEADER: usize = 14;
const DEFAULT_MTU: u16 = 1500;
/// Smallest MTU a device may set (virtio 5.1.4.1).
const LEAST_MTU: u16 = 68;
const GREATEST_MTU: u16 = (BUFFER - HEADER - ETHERNET_HEADER) as u16;

/// How often a device is started again before it is given up.
const MOST_RESTARTS: u8 = 8;
/// How often frames are looked for while no interrupt has proved to arrive, nanoseconds: at first, and always once a frame came
/// without one; and, by doubling, on a quiet network where there was nothing to announce.
const UNPROVEN_INTERVAL: u64 = 10_000_000;
const UNPROVEN_INTERVAL_MAX: u64 = 100 * UNPROVEN_INTERVAL;

pub struct Network {
    transport: &'static dyn Transport,
    events: &'static Events,
    receive: Queue,
    transmit: Queue,
    /// Receive and transmit; `None` while the device does not run.
    doorbells: Cell<Option<(Doorbell, Doorbell)>>,
    mac: [u8; 6],
    mtu: u16,
    header: usize,
    has_status: bool,
    link: Cell<bool>,
    /// Something was posted to the queue since the last flush.
    refilled: Cell<bool>,
    sent: Cell<bool>,
    /// Interrupts are asked for.
    armed: Cell<bool>,
    /// See [`UNPROVEN_INTERVAL`], nanoseconds.
    interval: Cell<u64>,
    /// A frame came without an interrupt.
    unannounced: Cell<bool>,
    restart_due: Cell<bool>,
    restarts: Cell<u8>,
    counters: Cell<Counters>,
}

impl Network {
    /// Starts the device with queues of up to `size` buffers. `random` makes an address for a device that has none.
    pub fn open(
        transport: &'static dyn Transport,
        events: &'static Events,
        size: u16,
        random: fn() -> u64,
    ) -> Result<Self, Failure> {
        let opened = Self::negotiate(transport, events, size, random).and_then(|network| {
            network.run()?;
            Ok(network)
        });
        if opened.is_err() {
            transport::fail(transport);
        }
        opened
    }

    fn negotiate(
        transport: &'static dyn Transport,
        events: &'static Events,
        size: u16,
        random: fn() -> u64,
    ) -> Result<Self, Failure> {
        let features = begin(transport)?;
        let queue = |index, direction| {
            let size = transport::queue_size(transport, index, size)?;
            Queue::allocate(size, BUFFER, direction).ok_or(Failure::OutOfMemory)
        };
        let configuration = Configuration::read(transport);
        Ok(Self {
            transport,
            events,
            receive: queue(RECEIVE, Direction::FromDevice)?,
            transmit: queue(TRANSMIT, Direction::ToDevice)?,
            doorbells: Cell::new(None),
            mac: if features & FEATURE_MAC != 0 && is_unicast(configuration.mac) {
                configuration.mac
            } else {
                local_address(random())
            },
            mtu: if features & FEATURE_MTU != 0 {
                configuration.mtu
            } else {
                DEFAULT_MTU
            },
            header: if features & feature::VERSION_1 != 0 {
                HEADER
            } else {
                HEADER_LEGACY
            },
            has_status: features & FEATURE_STATUS != 0,
            link: Cell::new(true),
            refilled: Cell::new(false),
            sent: Cell::new(false),
            armed: Cell::new(false),
            interval: Cell::new(UNPROVEN_INTERVAL),
            unannounced: Cell::new(false),
            restart_due: Cell::new(false),
            restarts: Cell::new(0),
            counters: Cell::default(),
        })
    }

    /// The rest of initialisation, after the features are agreed (virtio 5.1.5).
    fn run(&self) -> Result<(), Failure> {
        let receive = transport::enable_queue(self.transport, RECEIVE, &self.receive)?;
        let transmit = transport::enable_queue(self.transport, TRANSMIT, &self.transmit)?;
        while let Some(slot) = self.receive.free_slot() {
            slot.post(BUFFER);
        }
        transport::finish(self.transport);
        self.doorbells.set(Some((receive, transmit)));
        self.refilled.set(true);
        self.read_link();
        self.flush();
        Ok(())
    }

    /// Looks after what the interrupt handler or the queues reported. Not while a frame is being handed over.
    fn attend(&self) {
        if self.events.take_change() {
            if self.transport.status() & status::NEEDS_RESET != 0 {
                self.demand_restart(format_args!("the device asks for a reset"));
            }
            self.read_link();
        }
        if self.restart_due.get() {
            self.restart();
        }
    }

    fn demand_restart(&self, reason: fmt::Arguments) {
        if !self.restart_due.replace(true) {
            report(format_args!("virtio-net: {reason}; it is reset and started again"));
        }
    }

    /// Resets the device and gives it fresh rings (virtio 2.1.2). Frames under way are lost, as on any network.
    fn restart(&self) {
        self.doorbells.set(None);
        let attempt = self.restarts.get() + 1;
        let restarted = begin(self.transport).and_then(|_| {
            // A buffer still held means a frame is being handed over: the next call does it.
            if !self.receive.reset() || !self.transmit.reset() {
                return Ok(false);
            }
            self.restart_due.set(false);
            self.restarts.set(attempt);
            if attempt > MOST_RESTARTS {
                return Err(Failure::Reset);
            }
            self.run().map(|()| true)
        });
        if let Err(failure) = restarted {
            self.restart_due.set(false);
            self.doorbells.set(None);
            self.link.set(false);
            transport::fail(self.transport);
            report(format_args!(
                "virtio-net: given up at restart {attempt}: {failure}; the network is down, restart the machine"
            ));
        }
    }

    fn read_link(&self) {
        let up = !self.has_status || self.transport.configuration8(CONFIGURATION_STATUS) & STATUS_LINK_UP != 0;
        self.link.set(up);
    }

    /// Takes back the buffers of frames that were sent.
    fn reclaim(&self) {
        loop {
            match self.transmit.completed() {
                Ok(Some((slot, _))) => drop(slot),
                Ok(None) => return,
                Err(violation) => return self.demand_restart(format_args!("send ring: {violation}")),
            }
        }
    }

    fn count(&self, count: impl FnOnce(&mut Counters)) {
        let mut counters = self.counters.get();
        count(&mut counters);
        self.counters.set(counters);
    }
}

impl NetworkDevice for Network {
    fn mac_address(&self) -> [u8; 6] {
        self.mac
    }

    fn mtu(&self) -> usize {
        self.mtu.into()
    }

    fn link_up(&self) -> bool {
        self.link.get()
    }

    fn receive(&self, take: &mut dyn FnMut(&[u8])) -> bool {
        self.attend();
        if self.doorbells.get().is_none() {
            return false;
        }
        match self.receive.completed() {
            Ok(None) => false,
            Ok(Some((slot, length))) => {
                match slot.bytes().get(self.header..length) {
                    Some(frame) if frame.len() >= ETHERNET_HEADER => {
                        take(frame);
                        self.count(|counters| {
                            counters.received_frames += 1;
                            counters.received_bytes += frame.len() as u64;
                        });
                    }
                    _ => self.count(|counters| counters.dropped += 1),
                }
                slot.post(BUFFER);
                self.refilled.set(true);
                // The interrupt did its work: whoever takes frames finds the next ones without.
                if self.armed.get() {
                    if !self.events.proven() {
                        self.unannounced.set(true);
                        self.interval.set(UNPROVEN_INTERVAL);
                    }
                    self.disarm();
                }
                true
            }
            Err(violation) => {
                self.count(|counters| counters.dropped += 1);
                self.demand_restart(format_args!("receive ring: {violation}"));
                self.restart();
                false
            }
        }
    }

    fn can_receive(&self) -> bool {
        self.receive.has_completed() && self.doorbells.get().is_some()
    }

    fn can_transmit(&self) -> bool {
        if !self.transmit.has_free_slot() {
            self.reclaim();
        }
        self.transmit.has_free_slot() && self.doorbells.get().is_some() && !self.restart_due.get()
    }

    fn transmit(&self, length: usize, fill: &mut dyn FnMut(&mut [u8])) {
        let end = self.header.saturating_add(length);
        let slot = if self.can_transmit() && end <= BUFFER {
            self.transmit.free_slot()
        } else {
            None
        };
        let Some(mut slot) = slot else {
            return self.count(|counters| counters.dropped += 1);
        };
        let (header, frame) = slot.bytes_mut()[..end].split_at_mut(self.header);
        // No offloads: every field of the header is 0 (virtio 5.1.6.2).
        header.fill(0);
        fill(frame);
        slot.post(end);
        self.sent.set(true);
        self.count(|counters| {
            counters.sent_frames += 1;
            counters.sent_bytes += length as u64;
        });
    }

    fn flush(&self) {
        let Some((receive, transmit)) = self.doorbells.get() else {
            return;
        };
        if self.sent.replace(false) && self.transmit.notification_wanted() {
            transmit.ring();
        }
        if self.refilled.replace(false) && self.receive.notification_wanted() {
            receive.ring();
        }
    }

    fn arm(&self) -> bool {
        self.attend();
        if self.doorbells.get().is_none() {
            return true;
        }
        if !self.transmit.has_free_slot() {
            self.reclaim();
            let armed = !self.transmit.has_free_slot() && self.transmit.arm();
            self.armed.set(armed);
            return armed;
        }
        if self.armed.replace(true) && !self.unannounced.get() {
            // Asked for before, and nothing came since.
            self.interval.set((2 * self.interval.get()).min(UNPROVEN_INTERVAL_MAX));
        }
        let armed = self.receive.arm();
        if !armed {
            self.disarm();
        }
        armed
    }

    fn disarm(&self) {
        self.armed.set(false);
        self.receive.disarm();
        self.transmit.disarm();
    }

    fn counters(&self) -> Counters {
        self.counters.get()
    }

    fn poll_interval(&self) -> u64 {
        if self.events.proven() {
            u64::MAX
        } else {
            self.interval.get()
        }
    }
}

/// Agrees on features. An MTU that our buffers cannot hold is declined: the driver has to be able to receive a frame of
/// the size it accepts (virtio 5.1.4.1).
fn begin(transport: &dyn Transport) -> Result<u64, Failure> {
    transport::begin(transport, &|| {
        let mtu = Configuration::read(transport).mtu;
        let usable = if (LEAST_MTU..=GREATEST_MTU).contains(&mtu) {
            FEATURE_MTU
        } else {
            0
        };
        FEATURE_MAC | FEATURE_STATUS | usable
    })
}

/// What the device says of itself; a field means something only with its feature.
struct Configuration {
    mac: [u8; 6],
    mtu: u16,
}

impl Configuration {
    /// Fields wider than a byte are read again when the device changed them meanwhile (virtio 2.5.1), a few times at most.
    fn read(transport: &dyn Transport) -> Self {
        let byte = |offset| transport.configuration8(offset);
        let once = || Self {
            mac: core::array::from_fn(|index| byte(CONFIGURATION_MAC + index)),
            mtu: u16::from_le_bytes([byte(CONFIGURATION_MTU), byte(CONFIGURATION_MTU + 1)]),
        };
        let (mut generation, mut configuration) = (transport.generation(), once());
        for _ in 0..4 {
            let now = transport.generation();
            if now == generation {
                break;
            }
            (generation, configuration) = (now, once());
        }
        configuration
    }
}

/// The group bit is clear (IEEE 802, 8.2), and it is not all zeros.
fn is_unicast(mac: [u8; 6]) -> bool {
    mac[0] & 1 == 0 && mac != [0; 6]
}

/// A locally administered unicast address (IEEE 802, 8.2).
fn local_address(random: u64) -> [u8; 6] {
    let [first, second, third, fourth, fifth, sixth, ..] = random.to_le_bytes();
    [first & !1 | 2, second, third, fourth, fifth, sixth]
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
