//! How the machine gets its addresses: DHCP, static lines, router advertisements; and the DNS servers it learns of.
//!
//! Nothing happens until the program asks for the network, by a line written to `/run/cartridge/network` or by the first
//! socket call that needs it.

mod dhcp;
mod lease;
mod routers;
mod routes;

use self::dhcp::Dhcp;
use self::lease::Lease;
use self::routers::Advertised;
pub use self::routes::{has_route, is_broadcast};
use super::address::is_loopback;
use super::device::NetworkDevice;
use super::dhcp_options::{CLASSLESS_ROUTES, ClasslessRoutes, INTERFACE_MTU};
use super::frame::{ETHERNET_HEADER, Flow};
use super::hops::Hops;
use super::link::{Link, MAX_MTU};
use super::stack::Links;
use super::system;
use super::text::{self, LEAST_MTU, MOST_SERVERS, Static};
use crate::errno::{Errno, Result};
use crate::thread_types::Channel;
use core::fmt::{Display, Write};
use core::net::IpAddr;
use smoltcp::iface::{Interface, Route};
use smoltcp::wire::{
    EthernetAddress, HardwareAddress, IpAddress, IpCidr, Ipv4Address, Ipv4Cidr, Ipv6Address, Ipv6Cidr,
};

const SECOND: u64 = 1_000_000_000;
/// After this long without an answer the user is told, and nobody waits for an address any more (ns).
pub const PATIENCE: u64 = 5 * SECOND;
/// When to look again whether a device that has no room has some, ns after `now`: soon, or, where its link is down (also of one that
/// was given up), so that the machine can sleep.
fn room_at(device: &dyn NetworkDevice, now: u64) -> u64 {
    now + if device.link_up() { SECOND / 1000 } else { SECOND }
}

/// A path's MTU is tried to be larger again after this long (RFC 1191 6.3), ns.
const PATH_LIFE: u64 = 600 * SECOND;

pub struct Setup {
    asked: bool,
    /// When the network, or DHCP, was asked for, ns.
    since: u64,
    /// [`PATIENCE`] is not over yet.
    patient: bool,
    /// For IPv4 and IPv6. Beside DHCP its address is unspecified.
    stated: [Option<Static>; 2],
    dhcp: Option<Dhcp>,
    lease: Option<Lease>,
    advertised: Advertised,
    /// A path's MTU that is smaller than the link's, and until when it is believed, ns.
    path: Option<(usize, u64)>,
    /// The earliest deadline, ns.
    due: u64,
    /// Told the user that there is no device, or no DHCP answer.
    warned: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nobody asked yet.
    Down,
    Configuring,
    Up,
    /// No DHCP answer; still asking.
    Failed,
    /// No device.
    Absent,
}

impl Setup {
    pub fn new() -> Setup {
        Setup {
            asked: false,
            since: 0,
            patient: false,
            stated: [None, None],
            dhcp: None,
            lease: None,
            advertised: Advertised::new(),
            path: None,
            due: u64::MAX,
            warned: false,
        }
    }

    /// Woken when the configuration changes.
    pub fn channel(&self) -> Channel {
        Channel(self as *const Setup as usize)
    }

    /// The program needs the network: starts DHCP unless something was configured before.
    pub fn need(&mut self, links: &mut Links, now: u64) {
        if !self.asked {
            // Failure leaves the state at absent, which every later call reports.
            let _ = self.start(links, now).map(|()| self.start_dhcp(now));
            self.step(links, now);
        }
    }

    /// Obeys lines as [`text`] describes them. ENETDOWN without a device, EINVAL for a line that cannot be understood.
    pub fn configure(&mut self, lines: &str, links: &mut Links, now: u64) -> Result<()> {
        for line in lines.as_bytes().split(|byte| *byte == b'\n') {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let mut given = Static::NONE;
            let is_static = text::parse(line, &mut given).map_err(|wrong| {
                let line = core::str::from_utf8(line).unwrap_or_default();
                system::warn(format_args!("network line `{line}` refused: {wrong}"));
                Errno::EINVAL
            })?;
            self.start(links, now)?;
            if is_static {
                let v6 = given.address.is_ipv6();
                self.stated[v6 as usize] = Some(given);
                if !v6 {
                    self.lease = None;
                    self.dhcp = None;
                }
            } else {
                self.start_dhcp(now);
                self.stated[0] = Some(given);
            }
            self.apply(links);
            self.step(links, now);
        }
        Ok(())
    }

    fn start(&mut self, links: &mut Links, now: u64) -> Result<()> {
        if !self.asked {
            self.asked = true;
            self.open(links, MAX_MTU)?;
            self.be_patient(now);
            self.advertised.solicit(now);
        }
        links.outside.as_ref().map(|_| ()).ok_or(Errno::ENETDOWN)
    }

    fn be_patient(&mut self, now: u64) {
        (self.since, self.patient) = (now, true);
    }

    /// Puts a fresh interface on the device.
    fn open(&mut self, links: &mut Links, mtu: usize) -> Result<()> {
        let usable = |nic: &&'static dyn NetworkDevice| EthernetAddress(nic.mac_address()).is_unicast();
        let Some(nic) = links.nic.filter(usable) else {
            if !core::mem::replace(&mut self.warned, true) {
                system::warn(format_args!(
                    "no network device: only loopback works; add one (QEMU: -netdev user,id=n -device \
                     virtio-net-pci,netdev=n; on microvm virtio-net-device)"
                ));
            }
            return Err(Errno::ENETDOWN);
        };
        let mtu = mtu.min(nic.mtu()).min(MAX_MTU);
        let address = HardwareAddress::Ethernet(EthernetAddress(nic.mac_address()));
        links.outside = Some(Link::new(nic, address, mtu).ok_or(Errno::ENOBUFS)?);
        self.apply_addresses(links);
        Ok(())
    }

    fn start_dhcp(&mut self, now: u64) {
        self.stated[0] = None;
        if self.dhcp.is_none() {
            self.be_patient(now);
            self.dhcp = Some(Dhcp::new(now));
        }
    }

    /// Moves DHCP and the solicitation of routers along.
    pub fn step(&mut self, links: &mut Links, now: u64) {
        let Some(link) = links.outside.as_deref() else {
            return;
        };
        let device = link.device;
        let mut changed = self.advertised.step(device, now);
        changed |= self.path.take_if(|(_, until)| *until <= now).is_some();
        if let Some(dhcp) = &mut self.dhcp
            && dhcp.step(device, now)
        {
            self.lease = None;
            self.lease_changed(now);
            changed = true;
        }
        if changed {
            self.apply(links);
        }
        self.end_patience(links, now);
        self.schedule();
    }

    pub fn deadline(&self) -> u64 {
        self.due
    }

    // Kept, because it is asked for with each packet.
    fn schedule(&mut self) {
        let patience = if self.patient { self.since + PATIENCE } else { u64::MAX };
        let dhcp = self.dhcp.as_ref().map_or(u64::MAX, Dhcp::deadline);
        let path = self.path.map_or(u64::MAX, |(_, until)| until);
        self.due = dhcp.min(patience).min(path).min(self.advertised.deadline());
    }

    /// A router cannot pass on packets larger than `mtu` (0: it does not say what it can). smoltcp knows one MTU only, so all
    /// packets get smaller.
    pub fn path_ingress(&mut self, links: &mut Links, mtu: usize, v6: bool, now: u64) {
        let mtu = mtu.max(LEAST_MTU[v6 as usize]);
        if links.outside.as_ref().is_some_and(|link| mtu < link.mtu) {
            self.path = Some((mtu, now + PATH_LIFE));
            self.apply(links);
            self.schedule();
        }
    }

    /// A router speaks up.
    pub fn router_ingress(&mut self, links: &mut Links, frame: &[u8], now: u64) {
        if let Some(link) = &links.outside
            && let Some(packet) = frame.get(ETHERNET_HEADER..)
            && let Some(()) = self.advertised.take(packet, link.device.mac_address(), now)
        {
            self.apply(links);
            self.schedule();
        }
    }

    /// DHCP answers; false for what is not theirs.
    pub fn udp_ingress(&mut self, links: &mut Links, frame: &[u8], flow: &Flow, now: u64) -> bool {
        let ports = (flow.local.port, flow.remote.port) == (dhcp::CLIENT_PORT, dhcp::SERVER_PORT);
        let (Some(dhcp), Some(link), true) = (&mut self.dhcp, &links.outside, ports) else {
            return false;
        };
        if dhcp.take(frame, link.device.mac_address(), &mut self.lease, now) {
            self.lease_changed(now);
            self.apply(links);
        }
        self.step(links, now);
        true
    }

    /// Tells the user what DHCP's news mean.
    fn lease_changed(&mut self, now: u64) {
        match &self.lease {
            Some(lease) if self.warned => {
                self.warned = false;
                system::info(format_args!("DHCP answered: the address is {}", lease.address()));
            }
            Some(_) => {}
            None => {
                system::warn(format_args!(
                    "the DHCP lease ended and was not renewed: asking for a new address"
                ));
                self.warned = false;
                self.be_patient(now);
            }
        }
    }

    /// Once the patience is over, whoever waits for an address is told that it may not come.
    fn end_patience(&mut self, links: &Links, now: u64) {
        if !self.patient || now < self.since + PATIENCE {
            return;
        }
        self.patient = false;
        if self.dhcp.is_some() && self.lease.is_none() {
            self.warned = true;
            let link_down = links.nic.is_some_and(|nic| !nic.link_up());
            let hint = if link_down { "; the device's link is down" } else { "" };
            system::warn(format_args!(
                "no DHCP answer after 5 s{hint}: there is no IPv4 address yet, asking on with longer pauses; check the \
                 network's DHCP server or give ADDRESS and GATEWAY in the payload"
            ));
        }
        system::wake(self.channel());
    }

    /// Puts the configuration into effect and wakes who waits for it.
    fn apply(&mut self, links: &mut Links) {
        let mut mtu = links.nic.map_or(MAX_MTU, |nic| nic.mtu()).min(MAX_MTU);
        for given in self.stated.iter().flatten() {
            mtu = mtu.min(given.mtu.unwrap_or(MAX_MTU));
        }
        let leased = self.lease.as_ref().and_then(|lease| lease.mtu);
        let path = self.path.map(|(mtu, _)| mtu);
        for given in [leased, self.advertised.mtu, path].iter().flatten() {
            mtu = mtu.min(*given);
        }
        match &links.outside {
            // The MTU of an interface is fixed when it is made.
            Some(link) if link.mtu != mtu => drop(self.open(links, mtu)),
            _ => self.apply_addresses(links),
        }
        system::wake(self.channel());
    }

    fn apply_addresses(&self, links: &mut Links) {
        let Some(link) = links.outside.as_deref_mut() else {
            return;
        };
        let own = Ipv6Cidr::new(link_local(link.device.mac_address()), 64);
        let stated = |v6: bool| {
            self.stated[v6 as usize]
                .as_ref()
                .filter(|given| given.prefix > 0)
                .map(cidr)
        };
        let four = stated(false).or(self.lease.as_ref().map(Lease::address));
        let mut hops = match four {
            Some(IpCidr::Ipv4(four)) => Hops::new(four.address()),
            _ => Hops::new(Ipv4Address::UNSPECIFIED),
        };
        link.interface.routes_mut().update(|routes| {
            routes.clear();
            let mut full = false;
            let mut add = |cidr, mut via_router: IpAddress| {
                if let IpAddress::Ipv4(hop) = &mut via_router
                    && four.is_none_or(|four| !four.contains_addr(&IpAddress::Ipv4(*hop)))
                {
                    *hop = hops.stand_in(*hop);
                }
                let route = Route {
                    cidr,
                    via_router,
                    preferred_until: None,
                    expires_at: None,
                };
                full |= routes.push(route).is_err();
            };
            let [four, six] = &self.stated;
            let gateway = |given: &Option<Static>| given.as_ref().and_then(|given| given.gateway);
            if let Some(gateway) = gateway(four) {
                add(EVERYWHERE4, gateway.into());
            }
            let router = self.advertised.router.map(|router| IpAddr::V6(router.address));
            if let Some(gateway) = gateway(six).or(router) {
                add(EVERYWHERE6, gateway.into());
            }
            if let Some(lease) = &self.lease {
                lease.routes(&mut add);
            }
            if full {
                system::warn(format_args!(
                    "DHCP gave more routes than fit: the last ones are left out"
                ));
            }
        });
        let advertised = |index: usize| self.advertised.prefixes[index].map(|prefix| IpCidr::Ipv6(prefix.address));
        let wanted = [
            four,
            Some(own.into()),
            stated(true),
            advertised(0),
            advertised(1),
            hops.address(),
        ];
        // Each change makes the interface forget its neighbours.
        if hops != link.hops || !wanted.iter().flatten().eq(link.interface.ip_addrs()) {
            link.hops = hops;
            link.interface.update_ip_addrs(|addresses| {
                addresses.clear();
                for cidr in wanted.iter().flatten() {
                    let _ = addresses.push(*cidr);
                }
            });
        }
    }

    /// The servers in effect, in the order they are asked.
    pub fn servers(&self) -> [Option<IpAddr>; MOST_SERVERS] {
        let lists = [
            self.stated[0].as_ref().map(|given| &given.servers),
            self.stated[1].as_ref().map(|given| &given.servers),
            self.lease.as_ref().map(|lease| &lease.servers),
        ];
        let mut servers = [None; MOST_SERVERS];
        let mut slots = servers.iter_mut();
        for list in lists.iter().flatten() {
            for server in list.iter().flatten() {
                if let Some(slot) = slots.next() {
                    *slot = Some(*server);
                }
            }
        }
        servers
    }

    pub fn state(&self, links: &Links) -> State {
        let usable = |cidr: &IpCidr| !matches!(cidr, IpCidr::Ipv6(cidr) if is_link_local(cidr.address()));
        match &links.outside {
            None if links.nic.is_none() || self.asked => State::Absent,
            None => State::Down,
            Some(link) if link.interface.ip_addrs().iter().any(usable) => State::Up,
            Some(_) if self.warned => State::Failed,
            Some(_) => State::Configuring,
        }
    }

    /// Whether waiting may still bring an address of the family.
    pub fn may_come(&self, v6: bool) -> bool {
        let asked_for = if v6 {
            self.advertised.is_soliciting()
        } else {
            self.dhcp.is_some() && self.lease.is_none()
        };
        self.patient && asked_for
    }

    /// What `/run/cartridge/network` reads as.
    pub fn describe(&self, links: &Links, out: &mut dyn Write) -> core::fmt::Result {
        let state = match self.state(links) {
            State::Down => "down",
            State::Configuring => "configuring",
            State::Up => "up",
            State::Failed => "failed",
            State::Absent => "absent",
        };
        line(out, "state", &state)?;
        if let Some(link) = &links.outside {
            for cidr in link.interface.ip_addrs() {
                if !is_loopback(&cidr.address()) {
                    line(out, "address", cidr)?;
                }
            }
            let routes = link.interface.routes();
            #[expect(clippy::manual_flatten, reason = "the iterator's adapter is larger")]
            for route in [routes.get_default_ipv4_route(), routes.get_default_ipv6_route()] {
                if let Some(route) = route {
                    let router = match route.via_router {
                        IpAddress::Ipv4(router) => Ipv4Address::from_octets(link.hops.real(router.octets())).into(),
                        router => router,
                    };
                    line(out, "gateway", &router)?;
                }
            }
            for server in self.servers().iter().flatten() {
                line(out, "dns", server)?;
            }
            line(out, "mtu", &link.mtu)?;
        }
        match links.nic {
            Some(nic) => line(out, "mac", &EthernetAddress(nic.mac_address())),
            None => Ok(()),
        }
    }
}

fn line(out: &mut dyn Write, name: &str, value: &dyn Display) -> core::fmt::Result {
    writeln!(out, "{name} {value}")
}

const LOOPBACK: &[IpCidr] = &[
    IpCidr::Ipv4(Ipv4Cidr::new(Ipv4Address::LOCALHOST, 8)),
    IpCidr::Ipv6(Ipv6Cidr::new(Ipv6Address::LOCALHOST, 128)),
];

/// Loopback owns all of 127.0.0.0/8, ::1, and packets to the machine's other addresses.
pub fn configure_loopback(interface: &mut Interface) {
    interface.set_any_ip(true);
    interface.update_ip_addrs(|addresses| {
        for cidr in LOOPBACK {
            let _ = addresses.push(*cidr);
        }
    });
}

fn cidr(given: &Static) -> IpCidr {
    IpCidr::new(given.address.into(), given.prefix)
}

const EVERYWHERE4: IpCidr = IpCidr::Ipv4(Ipv4Cidr::new(Ipv4Address::UNSPECIFIED, 0));
const EVERYWHERE6: IpCidr = IpCidr::Ipv6(Ipv6Cidr::new(Ipv6Address::UNSPECIFIED, 0));

/// fe80::/64 with the device's EUI-64 (RFC 4291 2.5.6 and appendix A).
fn link_local(mac: [u8; 6]) -> Ipv6Address {
    let [a, b, c, d, e, f] = mac;
    let octets = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f];
    Ipv6Address::from_octets(octets)
}

fn is_link_local(address: Ipv6Address) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}
