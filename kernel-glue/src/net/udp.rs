//! UDP sockets as programs see them.

use super::address::{any, endpoint, remote, socket_address};
use super::block::{Stop, block, reach};
use super::connection::LinkId;
use super::datagram::Datagram;
use super::options::{Options, write_i32};
use super::ports::Protocol;
use super::setup;
use super::stack::{Inner, Stack};
use crate::errno::{Errno, Result};
use crate::heap::{Rc, Vec};
use crate::object::{Events, Object, Socket, Stat};
use crate::thread_types::Channel;
use core::cell::Cell;
use core::net::SocketAddr;
use hermit_abi as abi;
use smoltcp::socket::udp::UdpMetadata;
use smoltcp::wire::{IpAddress, IpEndpoint};

const READABLE: i16 = abi::POLLIN | abi::POLLRDNORM;
const WRITABLE: i16 = abi::POLLOUT | abi::POLLWRNORM;
/// IPv4 (IPv6) and UDP headers, bytes.
const HEADERS: [usize; 2] = [28, 48];

pub struct UdpSocket {
    stack: Rc<Stack>,
    v6: bool,
    /// Set once bound.
    id: Cell<Option<u32>>,
    options: Cell<Options>,
    nonblocking: Cell<bool>,
}

impl UdpSocket {
    pub fn new(stack: Rc<Stack>, v6: bool) -> UdpSocket {
        UdpSocket {
            stack,
            v6,
            id: Cell::new(None),
            options: Cell::new(Options::new()),
            nonblocking: Cell::new(false),
        }
    }

    /// Receives wait this long at most (ns, 0: for ever).
    pub fn limit_receive(&self, nanoseconds: u64) {
        let mut options = self.options.get();
        options.receive_timeout = nanoseconds;
        self.options.set(options);
    }

    /// The datagram socket below, bound to any port if it was not yet.
    fn bound(&self) -> Result<u32> {
        if self.id.get().is_none() {
            self.bind(any(0, self.v6))?;
        }
        self.id.get().ok_or(Errno::EINVAL)
    }

    fn on<R>(&self, id: u32, work: impl FnOnce(&mut Datagram) -> R) -> Result<R> {
        self.stack.look(|inner| inner.datagrams.get(id).map(work))
    }

    fn receive(&self, buffer: &mut [u8], peek: bool) -> Result<(usize, IpEndpoint)> {
        let id = self.id.get().ok_or(Errno::ENOTCONN)?;
        block(
            &self.stack,
            self.nonblocking.get(),
            self.options.get().receive_timeout,
            |inner, _| {
                let datagram = inner.datagrams.get(id)?;
                if let Some(error) = datagram.error.take() {
                    return Err(error.into());
                }
                let peer = datagram.peer;
                let socket = datagram.socket_mut();
                while let Ok((bytes, meta)) = socket.peek() {
                    let from = meta.endpoint;
                    // What arrived before connect() from somebody else is not for this socket any more.
                    let mine = peer.is_none_or(|peer| peer == from);
                    // What does not fit is cut off, as on Linux.
                    let count = bytes.len().min(buffer.len());
                    if mine {
                        buffer[..count].copy_from_slice(&bytes[..count]);
                    }
                    if !mine || !peek {
                        let _ = socket.recv();
                    }
                    if mine {
                        return Ok((count, from));
                    }
                }
                datagram.receive_waited = true;
                Err(Stop::wait(datagram.channel()))
            },
        )
    }

    fn send(&self, bytes: &[u8], to: Option<IpEndpoint>) -> Result<usize> {
        let id = self.bound()?;
        let remote = match to {
            Some(remote) => remote,
            None => self.on(id, |datagram| datagram.peer)?.ok_or(Errno::EDESTADDRREQ)?,
        };
        if remote.port == 0 {
            return Err(Errno::EINVAL);
        }
        let link = reach(&self.stack, &remote.addr)?;
        let options = self.options.get();
        self.stack.run(|inner, now| {
            if !options.broadcast && setup::is_broadcast(&mut inner.links, link, &remote.addr) {
                return Err(Errno::EACCES);
            }
            let mtu = inner.links.get(link).ok_or(Errno::ENETDOWN)?.mtu;
            let datagram = inner.datagrams.get(id)?;
            if let Some(error) = datagram.error.take() {
                return Err(error);
            }
            let largest = mtu - HEADERS[matches!(remote.addr, IpAddress::Ipv6(_)) as usize];
            if bytes.len() > largest {
                return Err(Errno::EMSGSIZE);
            }
            let mut to = UdpMetadata::from(remote);
            // The machine's own addresses talk to themselves.
            to.local_address = (link == LinkId::Loopback && datagram.binding.address.is_none()).then_some(remote.addr);
            inner.send_datagram(id, link, to, options.hop_limit, bytes, now)?;
            Ok(bytes.len())
        })
    }

    fn events(&self, inner: &mut Inner) -> i16 {
        let Some(datagram) = self.id.get().and_then(|id| inner.datagrams.get(id).ok()) else {
            return WRITABLE;
        };
        let mut events = WRITABLE;
        if datagram.socket().can_recv() || datagram.error.is_some() {
            events |= READABLE;
        }
        if datagram.error.is_some() {
            events |= abi::POLLERR;
        }
        events
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        self.stack.look(|inner| {
            if let Some(datagram) = self.id.get().and_then(|id| inner.datagrams.remove(id)) {
                inner.ports.release(&datagram.binding);
            }
        });
    }
}

impl Object for UdpSocket {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        Ok(self.receive(buffer, false)?.0)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.send(bytes, None)
    }

    fn stat(&self) -> Result<Stat> {
        Ok(Stat {
            mode: abi::S_IFSOCK | 0o777,
            size: 0,
            modified: 0,
            inode: 0,
        })
    }

    fn nonblocking(&self) -> bool {
        self.nonblocking.get()
    }

    fn set_nonblocking(&self, on: bool) -> Result<()> {
        self.nonblocking.set(on);
        Ok(())
    }

    fn ready(&self, interest: Events) -> Events {
        let events = self.stack.look(|inner| self.events(inner));
        Events(events & (interest.0 | abi::POLLERR | abi::POLLHUP))
    }

    fn subscribe(&self, _interest: Events, channels: &mut Vec<Channel>) -> Result<()> {
        channels.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let Some(id) = self.id.get() else { return Ok(()) };
        self.on(id, |datagram| {
            datagram.receive_waited = true;
            channels.push(datagram.channel());
        })
    }

    fn as_socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }
}

impl Socket for UdpSocket {
    fn bind(&self, address: SocketAddr) -> Result<()> {
        if self.id.get().is_some() {
            return Err(Errno::EINVAL);
        }
        let local = endpoint(address, self.v6)?;
        let binding = super::bind(&self.stack, Protocol::Udp, local, self.options.get().families(self.v6))?;
        self.stack.run(|inner, now| {
            let added = inner.datagrams.add(&binding);
            match added {
                Ok(id) => {
                    self.id.set(Some(id));
                    if !binding
                        .address
                        .is_some_and(|address| super::address::is_loopback(&address))
                        && address.port() != 0
                    {
                        inner.need_network(now);
                    }
                }
                Err(_) => inner.ports.release(&binding),
            }
            added.map(|_| ())
        })
    }

    fn listen(&self, _backlog: usize) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn accept(&self) -> Result<(Rc<dyn Object>, SocketAddr)> {
        Err(Errno::EOPNOTSUPP)
    }

    fn connect(&self, address: SocketAddr) -> Result<()> {
        let id = self.bound()?;
        let remote = remote(address, self.v6)?;
        reach(&self.stack, &remote.addr)?;
        self.on(id, |datagram| datagram.peer = Some(remote))
    }

    fn shutdown(&self, _how: i32) -> Result<()> {
        match self.peer_address() {
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// As on Linux, a connected socket names the address its datagrams come from.
    fn local_address(&self) -> Result<SocketAddr> {
        let Some(id) = self.id.get() else {
            return Ok(any(0, self.v6));
        };
        let (binding, peer) = self.on(id, |datagram| (datagram.binding, datagram.peer))?;
        let address = binding.address.or_else(|| {
            let peer = peer?.addr;
            self.stack.look(|inner| match super::block::is_own(inner, &peer) {
                true => Some(peer),
                false => inner.links.outside.as_ref()?.interface.get_source_address(&peer),
            })
        });
        Ok(match address {
            Some(address) => socket_address((address, binding.port).into(), self.v6),
            None => any(binding.port, self.v6),
        })
    }

    fn peer_address(&self) -> Result<SocketAddr> {
        let id = self.id.get().ok_or(Errno::ENOTCONN)?;
        let peer = self.on(id, |datagram| datagram.peer)?.ok_or(Errno::ENOTCONN)?;
        Ok(socket_address(peer, self.v6))
    }

    fn receive_from(&self, buffer: &mut [u8], flags: i32) -> Result<(usize, Option<SocketAddr>)> {
        let (count, from) = self.receive(buffer, flags & abi::MSG_PEEK != 0)?;
        Ok((count, Some(socket_address(from, self.v6))))
    }

    fn send_to(&self, bytes: &[u8], _flags: i32, to: Option<SocketAddr>) -> Result<usize> {
        let to = to.map(|address| remote(address, self.v6)).transpose()?;
        self.send(bytes, to)
    }

    fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let mut options = self.options.get();
        options.set(level, name, value)?;
        self.options.set(options);
        Ok(())
    }

    fn option(&self, level: i32, name: i32, value: &mut [u8]) -> Result<usize> {
        if (level, name) == (abi::SOL_SOCKET, abi::SO_ERROR) {
            let error = self
                .id
                .get()
                .and_then(|id| self.on(id, |datagram| datagram.error.take()).ok().flatten());
            return write_i32(value, error.map_or(0, |error| error.0));
        }
        self.options.get().get(level, name, value)
    }
}
