//! A DHCP server for one client, which refuses what RFC 2131 does not let a client send (section 4.3.6, table 5).

use super::frames::Datagram;
use super::{ADDRESS, MAC};
use anyhow::{Context, Result, ensure};
use smoltcp::wire::{DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

/// The address that the client gets.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 50);
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
const BROADCAST: [u8; 6] = [0xff; 6];
/// Options (RFC 2132; RFC 3442).
pub const ROUTER: u8 = 3;
pub const NAME_SERVERS: u8 = 6;
pub const MTU: u8 = 26;
pub const CLASSLESS_ROUTES: u8 = 121;

pub struct Server {
    lease_seconds: u32,
    /// More than the address, its mask and the lease.
    options: Vec<(u8, Vec<u8>)>,
    /// Takes messages in, and says nothing.
    pub silent: bool,
    /// Refuses to prolong a lease (DHCPNAK), as after a move to another network.
    pub takes_back: bool,
    /// What was asked, and when.
    pub asked: Vec<(Asked, Instant)>,
    offered: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Discover,
    /// The address that was offered.
    Request,
    /// The same one for longer, of us.
    Renew,
    /// The same one for longer, of anybody.
    Rebind,
}

impl Default for Server {
    /// An hour, and nothing but the address.
    fn default() -> Server {
        Server {
            lease_seconds: 3600,
            options: Vec::new(),
            silent: false,
            takes_back: false,
            asked: Vec::new(),
            offered: None,
        }
    }
}

impl Server {
    pub fn with(mut self, option: u8, value: &[u8]) -> Server {
        self.options.push((option, value.to_vec()));
        self
    }

    pub fn lease(mut self, seconds: u32) -> Server {
        self.lease_seconds = seconds;
        self
    }

    pub fn silent(mut self) -> Server {
        self.silent = true;
        self
    }

    pub fn count(&self, what: Asked) -> usize {
        self.asked.iter().filter(|(asked, _)| *asked == what).count()
    }

    /// The answer to a frame, if it holds a message for us that we answer. An error when no client may send it.
    pub fn answer(&mut self, frame: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(datagram) = Datagram::of(frame).filter(|datagram| datagram.to.port() == SERVER_PORT) else {
            return Ok(None);
        };
        let packet = DhcpPacket::new_checked(datagram.data)?;
        let message = DhcpRepr::parse(&packet)?;
        let asked = self
            .check(&datagram, &message)
            .with_context(|| format!("{message:?} from {}", datagram.from))?;
        self.asked.push((asked, Instant::now()));
        if self.silent {
            return Ok(None);
        }
        let kind = match asked {
            Asked::Discover => DhcpMessageType::Offer,
            Asked::Renew | Asked::Rebind if self.takes_back => DhcpMessageType::Nak,
            Asked::Request | Asked::Renew | Asked::Rebind => DhcpMessageType::Ack,
        };
        self.offered = (asked == Asked::Discover)
            .then_some(message.transaction_id)
            .or(self.offered);
        // A client without an address cannot be sent to by it (4.1); all else is sent where it came from.
        let to = if message.client_ip.is_unspecified() {
            Ipv4Addr::BROADCAST
        } else {
            message.client_ip
        };
        let data = self.message(kind, &message)?;
        Ok(Some(
            Datagram {
                mac: [MAC, if to.is_broadcast() { BROADCAST } else { datagram.mac[0] }],
                from: SocketAddrV4::new(ADDRESS, SERVER_PORT),
                to: SocketAddrV4::new(to, CLIENT_PORT),
                data: &data,
            }
            .frame(),
        ))
    }

    fn check(&self, datagram: &Datagram, message: &DhcpRepr) -> Result<Asked> {
        ensure!(datagram.from.port() == CLIENT_PORT, "not from port 68");
        ensure!(
            message.client_hardware_address == EthernetAddress(datagram.mac[0]),
            "another one's chaddr"
        );
        ensure!(
            message.your_ip.is_unspecified() && message.server_ip.is_unspecified(),
            "yiaddr or siaddr set"
        );
        ensure!(message.relay_agent_ip.is_unspecified(), "giaddr set");
        let wanted = message.parameter_request_list.context("no parameter request list")?;
        let place = |option| wanted.iter().position(|wanted| *wanted == option);
        ensure!(
            [1, ROUTER, NAME_SERVERS, MTU]
                .iter()
                .all(|option| place(*option).is_some()),
            "asks not for all it needs"
        );
        ensure!(
            place(CLASSLESS_ROUTES) < place(ROUTER),
            "routers before classless routes (RFC 3442)"
        );
        ensure!(place(CLASSLESS_ROUTES).is_some(), "does not ask for classless routes");
        let broadcast = datagram.mac[1] == BROADCAST && datagram.to.ip().is_broadcast();
        let bare = datagram.from.ip().is_unspecified() && message.client_ip.is_unspecified() && broadcast;
        match message.message_type {
            DhcpMessageType::Discover => {
                ensure!(bare, "a discovery that is no broadcast from 0.0.0.0");
                ensure!(message.server_identifier.is_none(), "a discovery of one server");
                Ok(Asked::Discover)
            }
            DhcpMessageType::Request if message.server_identifier.is_some() => {
                ensure!(bare, "a request that is no broadcast from 0.0.0.0");
                ensure!(message.server_identifier == Some(ADDRESS), "of another server");
                ensure!(
                    message.requested_ip == Some(CLIENT),
                    "for an address that was not offered"
                );
                ensure!(
                    self.offered == Some(message.transaction_id),
                    "with another xid than the offer's"
                );
                Ok(Asked::Request)
            }
            DhcpMessageType::Request => {
                ensure!(
                    message.client_ip == CLIENT && *datagram.from.ip() == CLIENT,
                    "ciaddr is not the lease's"
                );
                ensure!(message.requested_ip.is_none(), "a renewal with a requested address");
                let to_us = datagram.mac[1] == MAC && *datagram.to.ip() == ADDRESS;
                ensure!(to_us || broadcast, "neither to us nor to all");
                Ok(if to_us { Asked::Renew } else { Asked::Rebind })
            }
            other => anyhow::bail!("{other:?} is not for a server"),
        }
    }

    fn message(&self, kind: DhcpMessageType, to: &DhcpRepr) -> Result<Vec<u8>> {
        // A refusal says nothing more (4.3.1, table 3).
        let refuses = kind == DhcpMessageType::Nak;
        let options: Vec<DhcpOption> = self
            .options
            .iter()
            .map(|(kind, data)| DhcpOption { kind: *kind, data })
            .collect();
        let repr = DhcpRepr {
            message_type: kind,
            transaction_id: to.transaction_id,
            secs: 0,
            client_hardware_address: to.client_hardware_address,
            client_ip: if kind == DhcpMessageType::Ack {
                to.client_ip
            } else {
                Ipv4Addr::UNSPECIFIED
            },
            your_ip: if refuses { Ipv4Addr::UNSPECIFIED } else { CLIENT },
            server_ip: Ipv4Addr::UNSPECIFIED,
            router: None,
            subnet_mask: (!refuses).then_some(Ipv4Addr::new(255, 255, 255, 0)),
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: to.broadcast,
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(ADDRESS),
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: (!refuses).then_some(self.lease_seconds),
            renew_duration: None,
            rebind_duration: None,
            additional_options: if refuses { &[] } else { &options },
        };
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..]))?;
        Ok(bytes)
    }
}
