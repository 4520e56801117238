//! smoltcp's view of a network device, and the loopback device.

use super::device::{Counters, NetworkDevice};
use super::frame::ETHERNET_HEADER;
use super::hops::Hops;
use super::system;
use crate::heap::{self, Box, Vec};
use core::cell::{Cell, RefCell};
use core::net::Ipv4Addr;
use smoltcp::iface::{Config, Interface};
use smoltcp::phy::{self, ChecksumCapabilities, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress};

/// Largest Ethernet payload this stack sends or accepts, bytes (jumbo frames are not used).
pub const MAX_MTU: usize = 1500;
/// Largest packet on loopback, bytes.
pub const LOOPBACK_MTU: usize = 9000;
/// Packets that may wait on loopback before senders have to.
const LOOPBACK_QUEUE: usize = 64;

/// A device with the smoltcp interface on it.
pub struct Link {
    pub device: &'static dyn NetworkDevice,
    pub interface: Interface,
    /// Bytes of the largest IP packet.
    pub mtu: usize,
    pub ethernet: bool,
    pub hops: Hops,
    /// The neighbour that was asked for last, and when, ns.
    pub asked: IpAddress,
    pub asked_at: u64,
}

impl Link {
    pub fn new(device: &'static dyn NetworkDevice, address: HardwareAddress, mtu: usize) -> Option<Box<Link>> {
        let ethernet = matches!(address, HardwareAddress::Ethernet(_));
        let mut config = Config::new(address);
        config.random_seed = system::random();
        let hops = Hops::new(Ipv4Addr::UNSPECIFIED);
        let mut port = Port {
            device,
            frame: None,
            mtu,
            ethernet,
            hops,
            unsent: Cell::new(false),
        };
        heap::try_box(Link {
            interface: Interface::new(config, &mut port, instant(system::now())),
            device,
            mtu,
            ethernet,
            hops,
            asked: IpAddress::Ipv4(Ipv4Addr::UNSPECIFIED),
            asked_at: 0,
        })
    }

    /// What smoltcp sends and receives through; `frame` is the one received packet it will find.
    pub fn port<'a>(&self, frame: Option<&'a [u8]>) -> Port<'a> {
        Port {
            device: self.device,
            frame,
            mtu: self.mtu,
            ethernet: self.ethernet,
            hops: self.hops,
            unsent: Cell::new(false),
        }
    }
}

pub fn instant(nanoseconds: u64) -> Instant {
    Instant::from_micros((nanoseconds / 1000) as i64)
}

/// Nanoseconds, of a time that [`instant`] may have given.
pub fn nanoseconds(instant: Instant) -> u64 {
    (instant.total_micros() as u64).saturating_mul(1000)
}

pub struct Port<'a> {
    device: &'static dyn NetworkDevice,
    frame: Option<&'a [u8]>,
    mtu: usize,
    ethernet: bool,
    hops: Hops,
    /// smoltcp had something to send and did not: it does not know the neighbour.
    pub unsent: Cell<bool>,
}

impl<'a> phy::Device for Port<'a> {
    type RxToken<'t>
        = Received<'a>
    where
        Self: 't;
    type TxToken<'t>
        = Sender<'t, 'a>
    where
        Self: 't;

    fn receive(&mut self, _now: Instant) -> Option<(Received<'a>, Sender<'_, 'a>)> {
        self.device.can_transmit().then_some(())?;
        Some((Received(self.frame.take()?), Sender(self)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Sender<'_, 'a>> {
        self.device.can_transmit().then(|| {
            self.unsent.set(true);
            Sender(self)
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        if self.ethernet {
            capabilities.medium = Medium::Ethernet;
            capabilities.max_transmission_unit = self.mtu + ETHERNET_HEADER;
        } else {
            // What never leaves memory needs no checksum.
            capabilities.medium = Medium::Ip;
            capabilities.max_transmission_unit = self.mtu;
            capabilities.checksum = ChecksumCapabilities::ignored();
        }
        capabilities
    }
}

pub struct Received<'a>(&'a [u8]);

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

pub struct Sender<'t, 'a>(&'t Port<'a>);

impl phy::TxToken for Sender<'_, '_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let (mut fill, mut result) = (Some(fill), None);
        self.0.unsent.set(false);
        send(self.0, length, &mut |frame| {
            if let Some(fill) = fill.take() {
                result = Some(fill(frame));
            }
            fill.is_none()
        });
        result.unwrap_or_else(|| unreachable!("`send` runs it"))
    }
}

#[inline(never)]
fn send(port: &Port, length: usize, fill: &mut dyn FnMut(&mut [u8]) -> bool) {
    let mut filled = false;
    port.device.transmit(length, &mut |frame| {
        filled = fill(frame);
        if port.ethernet {
            port.hops.unmask(frame);
        }
    });
    if !filled {
        lose(length, fill);
    }
}

/// The device went back on `can_transmit`: the packet is lost, as on a wire.
#[cold]
#[inline(never)]
fn lose(length: usize, fill: &mut dyn FnMut(&mut [u8]) -> bool) {
    fill(&mut [0; LOOPBACK_MTU][..length]);
}

/// 127.0.0.0/8, ::1 and the machine's own addresses: packets come straight back.
pub struct Loopback {
    queue: RefCell<Vec<Vec<u8>>>,
}

impl Loopback {
    pub fn new() -> Loopback {
        Loopback {
            queue: RefCell::new(heap::vec()),
        }
    }
}

impl NetworkDevice for Loopback {
    fn mac_address(&self) -> [u8; 6] {
        [0; 6]
    }
    fn mtu(&self) -> usize {
        LOOPBACK_MTU
    }
    fn link_up(&self) -> bool {
        true
    }
    fn receive(&self, take: &mut dyn FnMut(&[u8])) -> bool {
        let mut queue = self.queue.borrow_mut();
        if queue.is_empty() {
            return false;
        }
        let packet = queue.remove(0);
        // What takes it may send.
        drop(queue);
        take(&packet);
        true
    }
    fn can_receive(&self) -> bool {
        !self.queue.borrow().is_empty()
    }
    fn can_transmit(&self) -> bool {
        self.queue.borrow().len() < LOOPBACK_QUEUE
    }
    fn transmit(&self, length: usize, fill: &mut dyn FnMut(&mut [u8])) {
        let mut queue = self.queue.borrow_mut();
        if queue.try_reserve(1).is_ok()
            && let Some(mut packet) = super::lone::bytes(length)
        {
            fill(&mut packet);
            queue.push(packet);
        }
    }
    fn flush(&self) {}
    fn arm(&self) -> bool {
        !self.can_receive()
    }
    fn disarm(&self) {}
    fn counters(&self) -> Counters {
        Counters::default()
    }
}
