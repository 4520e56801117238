//! Our machine's own stack: it answers ARP and neighbour solicitations, connects to the guest, pings it, and lets itself be
//! connected to.

use super::bridge::Bridge;
use super::web::Web;
use super::{ADDRESS, ADDRESS6, BEHIND, ECHO_PORT, FAR, FAR6, LINK_LOCAL, MAC, METADATA, METADATA6, OTHER_ROUTER};
use crate::cloud::Cloud;
use anyhow::{Context, Result, anyhow};
use smoltcp::iface::{Config, Interface, Route, SocketHandle, SocketSet};
use smoltcp::phy::{self, ChecksumCapabilities, Device, DeviceCapabilities, Medium};
use smoltcp::socket::{Socket, icmp, tcp, udp};
use smoltcp::time::Instant as Moment;
use smoltcp::wire::{
    EthernetAddress, HardwareAddress, Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, IpCidr, IpEndpoint,
};
use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Without a frame, the stack looks at its timers this often at least.
const LOOK: Duration = Duration::from_millis(20);
const BUFFER: usize = 64 * 1024;
const FIRST_PORT: u16 = 49152;
/// Connections from the guest at once.
const SERVED: usize = 8;
/// Of our echo requests.
const IDENT: u16 = 0x7769;
const MTU: usize = 1500;

pub struct Host {
    device: Queues,
    interface: Interface,
    sockets: SocketSet<'static>,
    names: SocketHandle,
    echo: Vec<SocketHandle>,
    bridges: Vec<Bridge>,
    web: Vec<Web>,
    next_port: u16,
    started: Instant,
}

/// Where there should be a server, there is none (yet).
#[derive(Debug)]
pub struct Refused(SocketAddr);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refuses the connection", self.0)
    }
}

impl std::error::Error for Refused {}

impl Host {
    pub fn new() -> Host {
        let started = Instant::now();
        let mut device = Queues::default();
        let config = Config::new(HardwareAddress::Ethernet(EthernetAddress(MAC)));
        let mut interface = Interface::new(config, &mut device, Moment::ZERO);
        interface.update_ip_addrs(|addresses| {
            let own: [(IpAddr, u8); 5] = [
                (ADDRESS.into(), 24),
                (OTHER_ROUTER.into(), 24),
                (LINK_LOCAL.into(), 64),
                (ADDRESS6.into(), 64),
                (METADATA6[0].into(), 64),
            ];
            for (address, prefix) in own {
                addresses
                    .push(IpCidr::new(address.into(), prefix))
                    .expect("room for our addresses");
            }
        });
        // We stand for every machine of the networks behind our routers.
        interface.set_any_ip(true);
        interface.routes_mut().update(|routes| {
            let behind: [(IpAddr, u8, IpAddr); 5] = [
                (METADATA.into(), 32, ADDRESS.into()),
                (METADATA6[1].into(), 128, ADDRESS6.into()),
                (BEHIND.into(), 24, OTHER_ROUTER.into()),
                (FAR.into(), 24, ADDRESS.into()),
                (FAR6.into(), 64, ADDRESS6.into()),
            ];
            for (network, prefix, router) in behind {
                let route = Route {
                    cidr: IpCidr::new(network.into(), prefix),
                    via_router: router.into(),
                    preferred_until: None,
                    expires_at: None,
                };
                routes.push(route).expect("room for our routes");
            }
        });
        let mut sockets = SocketSet::new(Vec::new());
        let packets = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 16], vec![0; 16 * 1024]);
        let mut names = udp::Socket::new(packets(), packets());
        names.bind(53).expect("a fresh socket");
        let names = sockets.add(names);
        let echo = (0..SERVED).map(|_| sockets.add(tcp_socket())).collect();
        Host {
            device,
            interface,
            sockets,
            names,
            echo,
            bridges: Vec::new(),
            web: Vec::new(),
            next_port: FIRST_PORT,
            started,
        }
    }

    /// Lets the guest reach a port of this host's loopback at a port of ours.
    pub fn bridge(&mut self, port: u16, server: u16) {
        let bridge = Bridge::new(port, server, &mut self.sockets, tcp_socket);
        self.bridges.push(bridge);
    }

    fn now(&self) -> Moment {
        Moment::from_micros(self.started.elapsed().as_micros() as i64)
    }

    /// When the stack has something to do, from now.
    pub fn due(&mut self) -> Duration {
        let delay = self.interface.poll_delay(self.now(), &self.sockets);
        delay.map_or(LOOK, |delay| Duration::from_micros(delay.total_micros()).min(LOOK))
    }

    pub fn receive(&mut self, frame: &[u8]) {
        self.device.received.push_back(frame.to_vec());
    }

    /// Lets the stack take what came and send what it will.
    pub fn poll(&mut self) {
        let now = self.now();
        self.serve();
        self.interface.poll(now, &mut self.device, &mut self.sockets);
        self.serve();
        self.interface.poll(now, &mut self.device, &mut self.sockets);
    }

    pub fn sent(&mut self) -> Vec<Vec<u8>> {
        self.device.sent.drain(..).collect()
    }

    /// Echoes on the echo port, and passes on what there is for others.
    fn serve(&mut self) {
        for bridge in &mut self.bridges {
            bridge.poll(&mut self.sockets);
        }
        for handle in &self.echo {
            let socket = self.sockets.get_mut::<tcp::Socket>(*handle);
            if !socket.is_open() {
                socket.listen(ECHO_PORT).expect("a closed socket can listen");
            }
            let room = socket.send_capacity() - socket.send_queue();
            if socket.can_recv() && room > 0 {
                let bytes = socket.recv(|bytes| (bytes.len().min(room), bytes[..bytes.len().min(room)].to_vec()));
                let _ = bytes.map(|bytes| socket.send_slice(&bytes));
            } else if socket.state() == tcp::State::CloseWait && socket.recv_queue() == 0 {
                socket.close();
            }
        }
    }

    /// Answers HTTP requests to any address of ours as `cloud` does; gives the addresses that were asked.
    pub fn answer_requests(&mut self, cloud: &mut Cloud) -> Vec<IpAddr> {
        if self.web.is_empty() {
            self.web
                .extend((0..SERVED).map(|_| Web::new(self.sockets.add(tcp_socket()))));
        }
        let sockets = &mut self.sockets;
        let asked = |web: &mut Web| web.serve(sockets.get_mut(web.socket), cloud);
        self.web.iter_mut().filter_map(asked).collect()
    }

    /// How many connections from the guest are open.
    pub fn served(&self) -> usize {
        let open =
            |handle: &&SocketHandle| self.sockets.get::<tcp::Socket>(**handle).state() == tcp::State::Established;
        self.echo.iter().filter(open).count()
    }

    /// Ends our side of every connection from the guest.
    pub fn hang_up(&mut self) {
        for handle in &self.echo {
            self.sockets.get_mut::<tcp::Socket>(*handle).close();
        }
    }

    /// Gives each datagram to the name server to `answer`.
    pub fn answer_datagrams(
        &mut self,
        mut answer: impl FnMut(SocketAddr, &[u8]) -> Result<Option<Vec<u8>>>,
    ) -> Result<()> {
        let socket = self.sockets.get_mut::<udp::Socket>(self.names);
        while let Ok((question, meta)) = socket.recv() {
            if meta.local_address != Some(ADDRESS.into()) {
                continue;
            }
            let from = SocketAddr::new(meta.endpoint.addr.into(), meta.endpoint.port);
            if let Some(reply) = answer(from, question)? {
                let meta = udp::UdpMetadata {
                    endpoint: meta.endpoint,
                    local_address: meta.local_address,
                    meta: Default::default(),
                };
                socket.send_slice(&reply, meta).map_err(|error| anyhow!("{error}"))?;
            }
        }
        Ok(())
    }

    pub fn connect(&mut self, to: SocketAddr) -> Result<SocketHandle> {
        let mut socket = tcp_socket();
        self.next_port += 1;
        socket
            .connect(self.interface.context(), IpEndpoint::from(to), self.next_port)
            .map_err(|error| anyhow!("connecting to {to}: {error}"))?;
        Ok(self.sockets.add(socket))
    }

    /// Sends what is left of `unsent` and takes what came; something once the guest has closed, or refused.
    pub fn converse(&mut self, handle: SocketHandle, unsent: &mut Vec<u8>, answer: &mut Vec<u8>) -> Option<Result<()>> {
        let socket = self.sockets.get_mut::<tcp::Socket>(handle);
        if !unsent.is_empty() && socket.can_send() {
            let sent = socket.send_slice(unsent).unwrap_or(0);
            unsent.drain(..sent);
        }
        while socket.can_recv() {
            let taken = socket.recv(|bytes| (bytes.len(), answer.extend_from_slice(bytes)));
            taken.ok()?;
        }
        match socket.state() {
            tcp::State::CloseWait if unsent.is_empty() => Some(Ok(())),
            tcp::State::Closed => {
                let to = socket
                    .remote_endpoint()
                    .map(|to| SocketAddr::new(to.addr.into(), to.port));
                Some(Err(Refused(to.unwrap_or(SocketAddr::from(([0; 4], 0)))).into()))
            }
            _ => None,
        }
    }

    /// Ends a socket of ours.
    pub fn close(&mut self, handle: SocketHandle) {
        let socket = self.sockets.iter_mut().find(|(other, _)| *other == handle);
        if let Some((_, Socket::Tcp(socket))) = socket {
            socket.abort();
            self.poll();
        }
        self.sockets.remove(handle);
    }

    pub fn ping(&mut self, to: IpAddr, data: &[u8]) -> Result<SocketHandle> {
        let packets = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 4], vec![0; 4 * MTU]);
        let mut socket = icmp::Socket::new(packets(), packets());
        socket
            .bind(icmp::Endpoint::Ident(IDENT))
            .map_err(|error| anyhow!("{error}"))?;
        let (ident, seq_no, checksums) = (IDENT, 1, ChecksumCapabilities::default());
        match to {
            IpAddr::V4(_) => {
                let echo = Icmpv4Repr::EchoRequest { ident, seq_no, data };
                let bytes = socket
                    .send(echo.buffer_len(), to.into())
                    .map_err(|error| anyhow!("{error}"))?;
                echo.emit(&mut Icmpv4Packet::new_unchecked(bytes), &checksums);
            }
            IpAddr::V6(to6) => {
                let echo = Icmpv6Repr::EchoRequest { ident, seq_no, data };
                let from = self.interface.get_source_address_ipv6(&to6);
                let bytes = socket
                    .send(echo.buffer_len(), to.into())
                    .map_err(|error| anyhow!("{error}"))?;
                echo.emit(&from, &to6, &mut Icmpv6Packet::new_unchecked(bytes), &checksums);
            }
        }
        Ok(self.sockets.add(socket))
    }

    /// The data of an echo reply from `from`, once it is there.
    pub fn echo(&mut self, handle: SocketHandle, from: IpAddr) -> Option<Result<Vec<u8>>> {
        let own = match from {
            IpAddr::V6(from) => self.interface.get_source_address_ipv6(&from),
            IpAddr::V4(_) => LINK_LOCAL,
        };
        let (bytes, sender) = self.sockets.get_mut::<icmp::Socket>(handle).recv().ok()?;
        if IpAddr::from(sender) != from {
            return Some(Err(anyhow!("an echo from {sender}")));
        }
        Some(echoed(bytes, from, own).with_context(|| format!("what came from {from}")))
    }
}

fn echoed(bytes: &[u8], from: IpAddr, own: std::net::Ipv6Addr) -> Result<Vec<u8>> {
    let checksums = ChecksumCapabilities::default();
    let data = match from {
        IpAddr::V4(_) => match Icmpv4Repr::parse(&Icmpv4Packet::new_checked(bytes)?, &checksums)? {
            Icmpv4Repr::EchoReply { data, .. } => data,
            other => return Err(anyhow!("{other:?}")),
        },
        IpAddr::V6(from) => match Icmpv6Repr::parse(&from, &own, &Icmpv6Packet::new_checked(bytes)?, &checksums)? {
            Icmpv6Repr::EchoReply { data, .. } => data,
            other => return Err(anyhow!("{other:?}")),
        },
    };
    Ok(data.to_vec())
}

fn tcp_socket() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
    tcp::Socket::new(buffer(), buffer())
}

/// Frames that came and frames to send.
#[derive(Default)]
struct Queues {
    received: VecDeque<Vec<u8>>,
    sent: VecDeque<Vec<u8>>,
}

struct Received(Vec<u8>);
struct Sent<'a>(&'a mut VecDeque<Vec<u8>>);

impl Device for Queues {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _now: Moment) -> Option<(Received, Sent<'_>)> {
        let frame = self.received.pop_front()?;
        Some((Received(frame), Sent(&mut self.sent)))
    }

    fn transmit(&mut self, _now: Moment) -> Option<Sent<'_>> {
        Some(Sent(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = MTU + 14;
        capabilities
    }
}

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl phy::TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut frame = vec![0; length];
        let result = fill(&mut frame);
        self.0.push_back(frame);
        result
    }
}
