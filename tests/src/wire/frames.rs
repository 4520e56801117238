//! Frames read and written: the few layers that a test looks at.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, Ipv4Packet,
    Ipv4Repr, Ipv6Packet, PrettyPrinter, TcpPacket, UdpPacket, UdpRepr,
};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Instant;

/// A frame of the guest's and when it came.
pub struct Heard {
    pub at: Instant,
    pub frame: Vec<u8>,
}

/// A TCP segment, as far as tests look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub sequence: u32,
    pub syn: bool,
    pub reset: bool,
    /// The largest segment the sender takes, in a SYN.
    pub largest: Option<u16>,
    pub data: usize,
    /// Of the IP packet around it.
    pub packet: usize,
}

impl Heard {
    pub fn new(frame: Vec<u8>) -> Heard {
        Heard {
            at: Instant::now(),
            frame,
        }
    }

    /// The IPv4 address that the frame asks the owner of, when it is an ARP request.
    pub fn asks_for(&self) -> Option<Ipv4Addr> {
        arp_request(&self.frame)
    }

    pub fn segment(&self) -> Option<Segment> {
        let ethernet = EthernetFrame::new_checked(&self.frame[..]).ok()?;
        let (from, to, packet, payload): (IpAddr, IpAddr, usize, &[u8]) = match ethernet.ethertype() {
            EthernetProtocol::Ipv4 => {
                let packet = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
                let length = packet.total_len() as usize;
                (packet.next_header() == IpProtocol::Tcp).then_some(())?;
                let header = packet.header_len() as usize;
                let bytes = ethernet.payload().get(header..length)?;
                (packet.src_addr().into(), packet.dst_addr().into(), length, bytes)
            }
            EthernetProtocol::Ipv6 => {
                let packet = Ipv6Packet::new_checked(ethernet.payload()).ok()?;
                let length = packet.total_len();
                (packet.next_header() == IpProtocol::Tcp).then_some(())?;
                let bytes = ethernet.payload().get(packet.header_len()..length)?;
                (packet.src_addr().into(), packet.dst_addr().into(), length, bytes)
            }
            _ => return None,
        };
        let tcp = TcpPacket::new_checked(payload).ok()?;
        let largest = smoltcp::wire::TcpRepr::parse(&tcp, &from.into(), &to.into(), &ChecksumCapabilities::default())
            .ok()?
            .max_seg_size;
        Some(Segment {
            from: (from, tcp.src_port()).into(),
            to: (to, tcp.dst_port()).into(),
            sequence: tcp.seq_number().0 as u32,
            syn: tcp.syn(),
            reset: tcp.rst(),
            largest,
            data: tcp.payload().len(),
            packet,
        })
    }

    /// Whether it is a DHCP message of a client's.
    pub fn is_dhcp(&self) -> bool {
        Datagram::of(&self.frame).is_some_and(|datagram| datagram.to.port() == 67)
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let printer = PrettyPrinter::<EthernetFrame<&[u8]>>::new("", &self.frame);
        write!(f, "{printer}")
    }
}

/// The IPv4 address that a frame asks the owner of, when it is an ARP request.
pub fn arp_request(frame: &[u8]) -> Option<Ipv4Addr> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    (ethernet.ethertype() == EthernetProtocol::Arp).then_some(())?;
    let arp = ArpPacket::new_checked(ethernet.payload()).ok()?;
    (arp.operation() == ArpOperation::Request).then_some(())?;
    <[u8; 4]>::try_from(arp.target_protocol_addr()).ok().map(Ipv4Addr::from)
}

/// A UDP datagram over IPv4 whose lengths and checksums are right.
pub struct Datagram<'a> {
    pub mac: [[u8; 6]; 2],
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
    pub data: &'a [u8],
}

impl<'a> Datagram<'a> {
    pub fn of(frame: &'a [u8]) -> Option<Datagram<'a>> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        (ethernet.ethertype() == EthernetProtocol::Ipv4).then_some(())?;
        let packet = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
        let checksums = ChecksumCapabilities::default();
        let ip = Ipv4Repr::parse(&packet, &checksums).ok()?;
        (ip.next_header == IpProtocol::Udp).then_some(())?;
        let udp = UdpPacket::new_checked(packet.payload()).ok()?;
        let repr = UdpRepr::parse(&udp, &ip.src_addr.into(), &ip.dst_addr.into(), &checksums).ok()?;
        Some(Datagram {
            mac: [ethernet.src_addr().0, ethernet.dst_addr().0],
            from: SocketAddrV4::new(ip.src_addr, repr.src_port),
            to: SocketAddrV4::new(ip.dst_addr, repr.dst_port),
            data: udp.payload(),
        })
    }

    pub fn frame(&self) -> Vec<u8> {
        let udp = UdpRepr {
            src_port: self.from.port(),
            dst_port: self.to.port(),
        };
        let ip = Ipv4Repr {
            src_addr: *self.from.ip(),
            dst_addr: *self.to.ip(),
            next_header: IpProtocol::Udp,
            payload_len: udp.header_len() + self.data.len(),
            hop_limit: 64,
        };
        let [from, to] = self.mac;
        let checksums = ChecksumCapabilities::default();
        ethernet(
            from,
            to,
            EthernetProtocol::Ipv4,
            ip.buffer_len() + ip.payload_len,
            |bytes| {
                let mut packet = Ipv4Packet::new_unchecked(bytes);
                ip.emit(&mut packet, &checksums);
                udp.emit(
                    &mut UdpPacket::new_unchecked(packet.payload_mut()),
                    &ip.src_addr.into(),
                    &ip.dst_addr.into(),
                    self.data.len(),
                    |payload| payload.copy_from_slice(self.data),
                    &checksums,
                );
            },
        )
    }
}

/// An Ethernet frame whose `length` bytes of payload `fill` writes.
pub fn ethernet(
    from: [u8; 6],
    to: [u8; 6],
    ethertype: EthernetProtocol,
    length: usize,
    fill: impl FnOnce(&mut [u8]),
) -> Vec<u8> {
    let repr = EthernetRepr {
        src_addr: EthernetAddress(from),
        dst_addr: EthernetAddress(to),
        ethertype,
    };
    let mut frame = EthernetFrame::new_unchecked(vec![0; repr.buffer_len() + length]);
    repr.emit(&mut frame);
    fill(frame.payload_mut());
    frame.into_inner()
}
