//! TCP sockets as programs see them.

use super::address::{any, endpoint, is_loopback, localhost_if_unspecified, socket_address};
use super::block::{Stop, block, reach};
use super::connection::{LinkId, Owner};
use super::frame::Flow;
use super::options::{KEEP_ALIVE_SECONDS, Options, write_i32};
use super::ports::{Binding, Protocol};
use super::stack::{Inner, Stack};
use super::system;
use crate::errno::{Errno, Result};
use crate::heap::{self, Rc, Vec};
use crate::object::{Events, Object, Socket, Stat};
use crate::thread_types::Channel;
use core::cell::Cell;
use core::net::SocketAddr;
use hermit_abi as abi;
use smoltcp::socket::tcp::State as TcpState;
use smoltcp::time::Duration;
use smoltcp::wire::IpListenEndpoint;

const READABLE: i16 = abi::POLLIN | abi::POLLRDNORM;
const WRITABLE: i16 = abi::POLLOUT | abi::POLLWRNORM;

#[derive(Clone, Copy)]
enum State {
    Fresh,
    Listening(u32),
    /// Connecting, connected, or done: the index in the stack's table.
    Stream(u32),
}

pub struct TcpSocket {
    stack: Rc<Stack>,
    v6: bool,
    state: Cell<State>,
    binding: Cell<Option<Binding>>,
    options: Cell<Options>,
    nonblocking: Cell<bool>,
    /// shutdown(SHUT_RD) was called.
    deaf: Cell<bool>,
}

impl TcpSocket {
    pub fn new(stack: Rc<Stack>, v6: bool) -> TcpSocket {
        TcpSocket {
            stack,
            v6,
            state: Cell::new(State::Fresh),
            binding: Cell::new(None),
            options: Cell::new(Options::new()),
            nonblocking: Cell::new(false),
            deaf: Cell::new(false),
        }
    }

    fn stream(&self) -> Result<u32> {
        match self.state.get() {
            State::Stream(index) => Ok(index),
            _ => Err(Errno::ENOTCONN),
        }
    }

    fn receive(&self, buffer: &mut [u8], peek: bool) -> Result<usize> {
        let index = self.stream()?;
        block(
            &self.stack,
            self.nonblocking.get(),
            self.options.get().receive_timeout,
            |inner, now| {
                let connection = inner.connections.get(index);
                let socket = connection.socket_mut();
                if socket.can_recv() {
                    let filled = socket.recv_queue() * 2 >= socket.recv_capacity();
                    let count = match peek {
                        true => socket.peek_slice(buffer),
                        false => socket.recv_slice(buffer),
                    };
                    if filled && !peek {
                        // The window was getting small: tell the peer that it opens again.
                        let state = connection.state();
                        inner.settle(index, state, now);
                    }
                    return count.map_err(|_| Errno::ENOTCONN.into());
                }
                if self.deaf.get() || buffer.is_empty() {
                    return Ok(0);
                }
                if !connection.readable() {
                    connection.receive_waited = true;
                    return Err(Stop::Wait(connection.receive_channel()));
                }
                match connection.error {
                    // Reset after its FIN: everything it had to say is here.
                    None | Some(Errno::EPIPE) => Ok(0),
                    Some(error) => {
                        connection.error = None;
                        Err(error.into())
                    }
                }
            },
        )
    }

    /// Queues what fits and sends what may be sent.
    fn send_some(&self, inner: &mut Inner, index: u32, bytes: &[u8], now: u64) -> core::result::Result<usize, Stop> {
        let connection = inner.connections.get(index);
        if !connection.socket().may_send() && !connection.connecting() {
            return Err(connection.error.take().unwrap_or(Errno::EPIPE).into());
        }
        let socket = connection.socket_mut();
        let idle = socket.send_queue() == 0;
        let count = socket.send_slice(bytes).unwrap_or(0);
        if count == 0 && !bytes.is_empty() {
            connection.send_waited = true;
            return Err(Stop::Wait(connection.send_channel()));
        }
        if idle {
            connection.quiet_since = now;
        }
        let state = connection.state();
        inner.settle(index, state, now);
        Ok(count)
    }

    fn send(&self, bytes: &[u8]) -> Result<usize> {
        let index = self.stream()?;
        let (nonblocking, timeout) = (self.nonblocking.get(), self.options.get().send_timeout);
        let mut sent = 0;
        loop {
            let attempt = |inner: &mut Inner, now| self.send_some(inner, index, &bytes[sent..], now);
            match block(&self.stack, nonblocking, timeout, attempt) {
                Ok(count) => sent += count,
                Err(_) if sent > 0 => return Ok(sent),
                Err(error) => return Err(error),
            }
            if sent == bytes.len() || nonblocking {
                return Ok(sent);
            }
        }
    }

    fn apply_options(&self, inner: &mut Inner, index: u32) {
        let options = self.options.get();
        let socket = inner.connections.get(index).socket_mut();
        socket.set_nagle_enabled(!options.nodelay);
        socket.set_keep_alive(options.keep_alive.then(|| Duration::from_secs(KEEP_ALIVE_SECONDS)));
        socket.set_hop_limit(Some(options.hop_limit));
    }

    /// Starts the handshake; the connection's index.
    fn start(&self, inner: &mut Inner, link: LinkId, remote: smoltcp::wire::IpEndpoint, now: u64) -> Result<u32> {
        let bound = self.binding.get();
        let source = match bound.and_then(|binding| binding.address) {
            Some(address) => address,
            None if link == LinkId::Loopback => remote.addr,
            None => {
                let outside = inner.links.get(link).ok_or(Errno::ENETDOWN)?;
                outside
                    .interface
                    .get_source_address(&remote.addr)
                    .ok_or(Errno::ENETUNREACH)?
            }
        };
        let flow = |port| Flow {
            local: smoltcp::wire::IpEndpoint::new(source, port),
            remote,
        };
        let wanted = Binding {
            protocol: Protocol::Tcp,
            port: 0,
            address: Some(source),
            v6: self.v6,
        };
        let connections = &inner.connections;
        let port = match bound {
            Some(binding) if connections.find(&flow(binding.port)).is_some() => return Err(Errno::EADDRNOTAVAIL),
            Some(binding) => binding.port,
            None => inner
                .ports
                .ephemeral(wanted, |port| connections.find(&flow(port)).is_none())?,
        };
        let index = inner.insert(flow(port), link, Owner::Program, now)?;
        self.apply_options(inner, index);
        let connection = inner.connections.get(index);
        connection.limit_handshake(Some(super::CONNECT));
        let local = IpListenEndpoint {
            addr: Some(source),
            port,
        };
        let started = inner
            .links
            .get(link)
            .map(|link| connection.socket_mut().connect(link.interface.context(), remote, local));
        if !matches!(started, Some(Ok(()))) {
            inner.connections.remove(index);
            return Err(Errno::EADDRNOTAVAIL);
        }
        inner.settle(index, TcpState::SynSent, now);
        Ok(index)
    }

    /// Waits for the handshake; a failed one leaves the socket as new.
    fn finish_connect(&self, index: u32) -> Result<()> {
        let outcome = block(&self.stack, false, self.options.get().send_timeout, |inner, _| {
            let connection = inner.connections.get(index);
            if connection.connecting() {
                connection.send_waited = true;
                return Err(Stop::Wait(connection.send_channel()));
            }
            match connection.state() {
                TcpState::Closed => Err(connection.error.take().unwrap_or(Errno::ECONNREFUSED).into()),
                _ => Ok(()),
            }
        });
        match outcome {
            Err(Errno::EAGAIN) => Err(Errno::EINPROGRESS),
            Err(error) => {
                self.stack.run(|inner, now| inner.release(index, true, now));
                self.state.set(State::Fresh);
                Err(error)
            }
            done => done,
        }
    }
}

impl Drop for TcpSocket {
    fn drop(&mut self) {
        let reset = self.options.get().abort_on_close;
        self.stack.run(|inner, now| {
            match self.state.get() {
                State::Fresh => {}
                State::Listening(id) => {
                    if let Some(listener) = inner.listeners.remove(id) {
                        for index in listener.half_open.iter().chain(&listener.ready) {
                            inner.release(*index, true, now);
                        }
                    }
                }
                State::Stream(index) => inner.release(index, reset, now),
            }
            if let Some(binding) = self.binding.get() {
                inner.ports.release(&binding);
            }
        });
    }
}

impl Object for TcpSocket {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.receive(buffer, false)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.send(bytes)
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
        let always = abi::POLLERR | abi::POLLHUP;
        let events = self.stack.look(|inner| match self.state.get() {
            State::Fresh => WRITABLE | abi::POLLHUP,
            State::Listening(id) => match inner.listeners.get(id) {
                Some(listener) if !listener.ready.is_empty() => READABLE,
                _ => 0,
            },
            State::Stream(index) => {
                let connection = inner.connections.get(index);
                let (socket, state) = (connection.socket(), connection.state());
                let mut events = 0;
                if connection.readable() || self.deaf.get() {
                    events |= READABLE;
                }
                if connection.writable() {
                    events |= WRITABLE;
                }
                if !connection.connecting() && !socket.may_recv() || self.deaf.get() {
                    events |= abi::POLLRDHUP;
                }
                if matches!(
                    state,
                    TcpState::Closed | TcpState::TimeWait | TcpState::Closing | TcpState::LastAck
                ) {
                    events |= abi::POLLHUP;
                }
                if connection.error.is_some() {
                    events |= abi::POLLERR;
                }
                events
            }
        });
        Events(events & (interest.0 | always))
    }

    fn subscribe(&self, interest: Events, channels: &mut Vec<Channel>) -> Result<()> {
        channels.try_reserve(2).map_err(|_| Errno::ENOMEM)?;
        self.stack.look(|inner| match self.state.get() {
            State::Fresh => {}
            State::Listening(id) => {
                if let Some(listener) = inner.listeners.get(id) {
                    listener.waited = true;
                    channels.push(listener.channel());
                }
            }
            State::Stream(index) => {
                let connection = inner.connections.get(index);
                // Error and hang-up are always told, and wake both.
                if interest.0 & WRITABLE == 0 || interest.0 & (READABLE | abi::POLLRDHUP) != 0 {
                    connection.receive_waited = true;
                    channels.push(connection.receive_channel());
                }
                if interest.0 & WRITABLE != 0 {
                    connection.send_waited = true;
                    channels.push(connection.send_channel());
                }
            }
        });
        Ok(())
    }

    fn as_socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }
}

impl Socket for TcpSocket {
    fn bind(&self, address: SocketAddr) -> Result<()> {
        if self.binding.get().is_some() || !matches!(self.state.get(), State::Fresh) {
            return Err(Errno::EINVAL);
        }
        let local = endpoint(address, self.v6)?;
        let binding = super::bind(
            &self.stack,
            Protocol::Tcp,
            local,
            self.v6 && !self.options.get().v6_only,
        )?;
        self.binding.set(Some(binding));
        Ok(())
    }

    fn listen(&self, backlog: usize) -> Result<()> {
        match self.state.get() {
            State::Fresh => {}
            State::Listening(id) => {
                return self.stack.look(|inner| {
                    let listener = inner.listeners.get(id).ok_or(Errno::EINVAL)?;
                    listener.backlog = backlog.clamp(1, super::listener::MOST_BACKLOG);
                    Ok(())
                });
            }
            State::Stream(_) => return Err(Errno::EINVAL),
        }
        if self.binding.get().is_none() {
            self.bind(any(0, self.v6))?;
        }
        let binding = self.binding.get().ok_or(Errno::EINVAL)?;
        let id = self.stack.run(|inner, now| {
            if !binding.address.is_some_and(|address| is_loopback(&address)) {
                inner.need_network(now);
            }
            inner.listeners.add(binding.address, binding.v6, binding.port, backlog)
        })?;
        self.state.set(State::Listening(id));
        Ok(())
    }

    fn accept(&self) -> Result<(Rc<dyn Object>, SocketAddr)> {
        let State::Listening(id) = self.state.get() else {
            return Err(Errno::EINVAL);
        };
        // Made before the connection is taken out: without memory it stays in the backlog.
        let accepted = TcpSocket::new(self.stack.clone(), self.v6);
        accepted.options.set(Options {
            receive_timeout: 0,
            send_timeout: 0,
            ..self.options.get()
        });
        let accepted = heap::try_rc(accepted).ok_or(Errno::ENOBUFS)?;
        let timeout = self.options.get().receive_timeout;
        let remote = block(&self.stack, self.nonblocking.get(), timeout, |inner, _| {
            let listener = inner.listeners.get(id).ok_or(Errno::EINVAL)?;
            let Some(index) = listener.ready.pop_front() else {
                listener.waited = true;
                return Err(Stop::Wait(listener.channel()));
            };
            let connection = inner.connections.get(index);
            connection.owner = Owner::Program;
            let remote = connection.flow.remote;
            accepted.state.set(State::Stream(index));
            accepted.apply_options(inner, index);
            Ok(remote)
        })?;
        Ok((accepted, socket_address(remote, self.v6)))
    }

    fn connect(&self, address: SocketAddr) -> Result<()> {
        match self.state.get() {
            State::Fresh => {}
            State::Listening(_) => return Err(Errno::EISCONN),
            State::Stream(index) => {
                let (connecting, closed) = self.stack.look(|inner| {
                    let connection = inner.connections.get(index);
                    (
                        connection.connecting(),
                        connection.state() == TcpState::Closed && connection.error.is_some(),
                    )
                });
                return match (connecting, self.nonblocking.get()) {
                    (true, true) => Err(Errno::EALREADY),
                    (false, _) if !closed => Err(Errno::EISCONN),
                    _ => self.finish_connect(index),
                };
            }
        }
        let remote = localhost_if_unspecified(endpoint(address, self.v6)?);
        if remote.port == 0 {
            return Err(Errno::ECONNREFUSED);
        }
        if !remote.addr.is_unicast() {
            return Err(Errno::ENETUNREACH);
        }
        let link = reach(&self.stack, remote.addr)?;
        let index = self.stack.run(|inner, now| self.start(inner, link, remote, now))?;
        self.state.set(State::Stream(index));
        match self.nonblocking.get() {
            true => Err(Errno::EINPROGRESS),
            false => self.finish_connect(index),
        }
    }

    fn shutdown(&self, how: i32) -> Result<()> {
        let index = self.stream()?;
        self.stack.run(|inner, now| {
            let connection = inner.connections.get(index);
            if connection.connecting() || connection.state() == TcpState::Closed {
                return Err(Errno::ENOTCONN);
            }
            if how != abi::SHUT_WR {
                self.deaf.set(true);
                system::wake(connection.receive_channel());
            }
            if how != abi::SHUT_RD {
                let state = connection.state();
                connection.quiet_since = now;
                connection.socket_mut().close();
                system::wake(connection.send_channel());
                inner.settle(index, state, now);
            }
            Ok(())
        })
    }

    fn local_address(&self) -> Result<SocketAddr> {
        if let State::Stream(index) = self.state.get() {
            let flow = self.stack.look(|inner| inner.connections.get(index).flow);
            return Ok(socket_address(flow.local, self.v6));
        }
        Ok(match self.binding.get() {
            Some(Binding {
                address: Some(address),
                port,
                ..
            }) => socket_address((address, port).into(), self.v6),
            Some(Binding { port, .. }) => any(port, self.v6),
            None => any(0, self.v6),
        })
    }

    fn peer_address(&self) -> Result<SocketAddr> {
        let index = self.stream()?;
        self.stack.look(|inner| {
            let connection = inner.connections.get(index);
            match connection.connecting() || connection.state() == TcpState::Closed {
                true => Err(Errno::ENOTCONN),
                false => Ok(socket_address(connection.flow.remote, self.v6)),
            }
        })
    }

    fn receive_from(&self, buffer: &mut [u8], flags: i32) -> Result<(usize, Option<SocketAddr>)> {
        Ok((self.receive(buffer, flags & abi::MSG_PEEK != 0)?, None))
    }

    fn send_to(&self, bytes: &[u8], _flags: i32, _to: Option<SocketAddr>) -> Result<usize> {
        self.send(bytes)
    }

    fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let mut options = self.options.get();
        options.set(level, name, value)?;
        self.options.set(options);
        if let State::Stream(index) = self.state.get() {
            self.stack.run(|inner, now| {
                self.apply_options(inner, index);
                let connection = inner.connections.get(index);
                let state = connection.state();
                if (level, name) == (abi::SOL_SOCKET, abi::SO_KEEPALIVE) {
                    connection.quiet_since = now;
                }
                // Without Nagle's rule what was held back may go.
                inner.settle(index, state, now);
            });
        }
        Ok(())
    }

    fn option(&self, level: i32, name: i32, value: &mut [u8]) -> Result<usize> {
        let stream = self.stream();
        match (level, name, stream) {
            (abi::SOL_SOCKET, abi::SO_ERROR, Ok(index)) => {
                let error = self.stack.look(|inner| inner.connections.get(index).error.take());
                write_i32(value, error.map_or(0, |error| error.0))
            }
            (abi::SOL_SOCKET, abi::SO_ERROR, _) => write_i32(value, 0),
            (abi::SOL_SOCKET, abi::SO_SNDBUF | abi::SO_RCVBUF, Ok(index)) => {
                let size = self
                    .stack
                    .look(|inner| inner.connections.get(index).socket().send_capacity());
                write_i32(value, size as i32)
            }
            (abi::SOL_SOCKET, abi::SO_SNDBUF | abi::SO_RCVBUF, _) => write_i32(value, 8192),
            _ => self.options.get().get(level, name, value),
        }
    }
}
