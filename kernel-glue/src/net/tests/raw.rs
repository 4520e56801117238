//! A peer made of frames: what no well-behaved stack would send.

use super::world::*;
use super::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::*;

/// The hardware address of a peer that is not a [`Stack`].
pub const RAW_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
pub const RAW: [u8; 4] = [10, 0, 0, 3];

pub fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = std::vec![0x52, 0x54, 0, 0x12, 0x34, 1];
    frame.extend(RAW_MAC);
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

/// An ARP request (1) or reply (2) from the raw peer for 10.0.0.1.
pub fn arp(operation: u8, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut packet = std::vec![0, 1, 8, 0, 6, 4, 0, operation];
    packet.extend(RAW_MAC);
    packet.extend(sender);
    packet.extend([0; 6]);
    packet.extend(target);
    ethernet(0x0806, &packet)
}

pub fn ipv4(protocol: u8, source: [u8; 4], destination: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let repr = Ipv4Repr {
        src_addr: source.into(),
        dst_addr: destination.into(),
        next_header: protocol.into(),
        payload_len: payload.len(),
        hop_limit: 64,
    };
    let mut packet = std::vec![0; 20];
    repr.emit(
        &mut Ipv4Packet::new_unchecked(&mut packet[..]),
        &ChecksumCapabilities::default(),
    );
    packet.extend(payload);
    ethernet(0x0800, &packet)
}

pub fn ipv6(protocol: u8, hops: u8, source: Ipv6Address, destination: Ipv6Address, payload: &[u8]) -> Vec<u8> {
    let mut packet = std::vec![
        0x60,
        0,
        0,
        0,
        (payload.len() >> 8) as u8,
        payload.len() as u8,
        protocol,
        hops
    ];
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    ethernet(0x86dd, &packet)
}

/// One segment from the raw peer's `port` to 10.0.0.1:80.
pub fn segment(port: u16, control: TcpControl, sequence: u32, acknowledges: Option<u32>, payload: &[u8]) -> Vec<u8> {
    let opens = control == TcpControl::Syn;
    let repr = TcpRepr {
        src_port: port,
        dst_port: 80,
        control,
        seq_number: TcpSeqNumber(sequence as i32),
        ack_number: acknowledges.map(|number| TcpSeqNumber(number as i32)),
        window_len: 65535,
        window_scale: opens.then_some(7),
        max_seg_size: opens.then_some(1460),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload,
    };
    let (source, destination) = (RAW, [10, 0, 0, 1]);
    let mut bytes = std::vec![0; repr.buffer_len()];
    repr.emit(
        &mut TcpPacket::new_unchecked(&mut bytes[..]),
        &IpAddress::Ipv4(source.into()),
        &IpAddress::Ipv4(destination.into()),
        &ChecksumCapabilities::default(),
    );
    ipv4(6, source, destination, &bytes)
}

/// The TCP segments to the raw peer among the frames the server sent, which are taken: control, sequence and acknowledgement numbers.
pub fn answers(world: &World) -> Vec<(TcpControl, u32, Option<u32>)> {
    let mut answers = Vec::new();
    for frame in world.to_client.borrow_mut().drain(..) {
        if frame[12..14] == [8, 0] && frame[23] == 6 && frame[30..34] == RAW {
            let repr = TcpRepr::parse(
                &TcpPacket::new_unchecked(&frame[34..]),
                &IpAddress::Ipv4([10, 0, 0, 1].into()),
                &IpAddress::Ipv4(RAW.into()),
                &ChecksumCapabilities::default(),
            )
            .unwrap();
            answers.push((
                repr.control,
                repr.seq_number.0 as u32,
                repr.ack_number.map(|number| number.0 as u32),
            ));
        }
    }
    answers
}

/// Hands frames to the server, which answers at once.
pub fn inject(world: &World, frames: impl IntoIterator<Item = Vec<u8>>) {
    for frame in frames {
        world.to_server.borrow_mut().push_back(frame);
        world.server.poll();
    }
}

/// Makes the raw peer known to the server.
pub fn introduce(world: &World) {
    inject(world, [arp(1, RAW, [10, 0, 0, 1])]);
    world.to_client.borrow_mut().clear();
}

/// A handshake from `port` with initial sequence number 1000; the server's next sequence number.
pub fn handshake(world: &World, port: u16) -> u32 {
    inject(world, [segment(port, TcpControl::Syn, 1000, None, &[])]);
    let [(TcpControl::Syn, sequence, Some(1001))] = answers(world)[..] else {
        panic!("no SYN|ACK");
    };
    inject(world, [segment(port, TcpControl::None, 1001, Some(sequence + 1), &[])]);
    sequence + 1
}

pub fn udp(source: ([u8; 4], u16), destination: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
    let repr = UdpRepr {
        src_port: source.1,
        dst_port: destination.1,
    };
    let mut bytes = std::vec![0; 8 + payload.len()];
    repr.emit(
        &mut UdpPacket::new_unchecked(&mut bytes[..]),
        &IpAddress::Ipv4(source.0.into()),
        &IpAddress::Ipv4(destination.0.into()),
        payload.len(),
        |room| room.copy_from_slice(payload),
        &ChecksumCapabilities::default(),
    );
    ipv4(17, source.0, destination.0, &bytes)
}

/// What a DHCP server says.
#[derive(Clone)]
pub struct Server {
    /// The address its packets come from.
    pub source: [u8; 4],
    pub address: [u8; 4],
    pub mask: [u8; 4],
    pub router: [u8; 4],
    /// Option 121.
    pub routes: &'static [u8],
    /// Option 26.
    pub mtu: u16,
    /// Seconds.
    pub lease: u32,
    /// It gives to nobody what it offers.
    pub refuses: bool,
}

pub const DHCP_SERVER: Server = Server {
    source: [10, 0, 2, 2],
    address: [10, 0, 2, 15],
    mask: [255, 255, 255, 0],
    router: [10, 0, 2, 2],
    routes: &[],
    mtu: 1500,
    lease: 3600,
    refuses: false,
};

impl Server {
    /// OFFER for DISCOVER, ACK or NAK for REQUEST, nothing for other frames.
    pub fn answer(&self, frame: &[u8]) -> Vec<Vec<u8>> {
        if frame.len() < 42 || frame[12..14] != [8, 0] || frame[23] != 17 || frame[36..38] != [0, 67] {
            return Vec::new();
        }
        let packet = DhcpPacket::new_unchecked(&frame[42..]);
        let asked = DhcpRepr::parse(&packet).unwrap();
        let mtu = self.mtu.to_be_bytes();
        let options = [(121, self.routes), (26, &mtu[..])].map(|(kind, data)| DhcpOption { kind, data });
        let answer = DhcpRepr {
            message_type: match asked.message_type {
                DhcpMessageType::Discover => DhcpMessageType::Offer,
                _ if self.refuses => DhcpMessageType::Nak,
                _ => DhcpMessageType::Ack,
            },
            client_ip: [0; 4].into(),
            your_ip: self.address.into(),
            subnet_mask: Some(self.mask.into()),
            router: Some(self.router.into()),
            server_identifier: Some([10, 0, 2, 2].into()),
            requested_ip: None,
            client_identifier: None,
            parameter_request_list: None,
            max_size: None,
            lease_duration: Some(self.lease),
            additional_options: if self.routes.is_empty() {
                &options[1..]
            } else {
                &options
            },
            ..asked
        };
        let mut bytes = std::vec![0; answer.buffer_len()];
        answer.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..])).unwrap();
        std::vec![udp((self.source, 67), ([255; 4], 68), &bytes)]
    }
}

/// A router's advertisement from fe80::1.
#[derive(Clone)]
pub struct Advertisement {
    pub hops: u8,
    pub source: Ipv6Address,
    /// Seconds that it is a router.
    pub router: u16,
    /// The prefix fd01::/64, for so many seconds, with these flags.
    pub prefix: Option<(u32, u8)>,
    pub mtu: Option<u32>,
}

pub const ADVERTISEMENT: Advertisement = Advertisement {
    hops: 255,
    source: Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
    router: 1800,
    prefix: Some((3600, 0xc0)),
    mtu: None,
};

impl Advertisement {
    pub fn frame(&self) -> Vec<u8> {
        let mut message = std::vec![134, 0, 0, 0, 64, 0];
        message.extend(self.router.to_be_bytes());
        message.extend([0; 8]);
        message.extend([1, 1]);
        message.extend(RAW_MAC);
        if let Some((seconds, flags)) = self.prefix {
            message.extend([3, 4, 64, flags]);
            message.extend(seconds.to_be_bytes());
            message.extend(seconds.to_be_bytes());
            message.extend([0, 0, 0, 0, 0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        }
        if let Some(mtu) = self.mtu {
            message.extend([5, 1, 0, 0]);
            message.extend(mtu.to_be_bytes());
        }
        let all_nodes = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        Icmpv6Packet::new_unchecked(&mut message[..]).fill_checksum(&self.source, &all_nodes);
        ipv6(58, self.hops, self.source, all_nodes, &message)
    }
}
