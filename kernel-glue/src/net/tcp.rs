//! TCP sockets as programs see them.

mod calls;

use super::address::{any, endpoint, is_loopback, remote, socket_address};
use super::block::{Stop, block, reach};
use super::connection::{LinkId, Owner};
use super::frame::Flow;
use super::options::{KEEP_ALIVE_SECONDS, Options, write_i32};
use super::ports::{Binding, Families, Protocol};
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

    /// The connection's index. Asked anew after each wait: another thread's connect may have failed meanwhile.
    fn stream(&self) -> Result<u32> {
        match self.state.get() {
            State::Stream(index) => Ok(index),
            _ => Err(Errno::ENOTCONN),
        }
    }

    fn receive(&self, buffer: &mut [u8], peek: bool) -> Result<usize> {
        block(
            &self.stack,
            self.nonblocking.get(),
            self.options.get().receive_timeout,
            |inner, now| {
                let index = self.stream()?;
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
                    return Err(Stop::wait(connection.receive_channel()));
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
    fn send_some(&self, inner: &mut Inner, bytes: &[u8], now: u64) -> core::result::Result<usize, Stop> {
        let index = self.stream()?;
        let connection = inner.connections.get(index);
        if !connection.socket().may_send() && !connection.connecting() {
            return Err(connection.error.take().unwrap_or(Errno::EPIPE).into());
        }
        let socket = connection.socket_mut();
        let idle = socket.send_queue() == 0;
        let count = socket.send_slice(bytes).unwrap_or(0);
        if count == 0 && !bytes.is_empty() {
            connection.send_waited = true;
            return Err(Stop::wait(connection.send_channel()));
        }
        if idle {
            connection.quiet_since = now;
        }
        let state = connection.state();
        inner.settle(index, state, now);
        Ok(count)
    }

    fn send(&self, bytes: &[u8]) -> Result<usize> {
        let (nonblocking, timeout) = (self.nonblocking.get(), self.options.get().send_timeout);
        let mut sent = 0;
        loop {
            let attempt = |inner: &mut Inner, now| self.send_some(inner, &bytes[sent..], now);
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

    /// Chooses the local end of a new connection.
    #[inline(never)]
    fn name_local(&self, inner: &mut Inner, link: LinkId, flow: &mut Flow) -> Result<()> {
        let bound = self.binding.get();
        let address = bound.and_then(|binding| binding.address);
        flow.local.addr = match address {
            Some(address) => address,
            None if link == LinkId::Loopback => flow.remote.addr,
            None => {
                let outside = inner.links.get(link).ok_or(Errno::ENETDOWN)?;
                let source = outside.interface.get_source_address(&flow.remote.addr);
                source.ok_or(Errno::ENETUNREACH)?
            }
        };
        if let Some(binding) = bound {
            flow.local.port = binding.port;
            return match inner.connections.find(flow) {
                Some(_) => Err(Errno::EADDRNOTAVAIL),
                None => Ok(()),
            };
        }
        let mut wanted = Binding {
            protocol: Protocol::Tcp,
            port: 0,
            address: Some(flow.local.addr),
            families: Families::Both,
        };
        let connections = &inner.connections;
        inner.ports.ephemeral(&mut wanted, &mut |port| {
            flow.local.port = port;
            connections.find(flow).is_none()
        })
    }

    /// Starts the handshake; the connection's index.
    fn start(&self, inner: &mut Inner, link: LinkId, flow: &mut Flow, now: u64) -> Result<u32> {
        self.name_local(inner, link, flow)?;
        let index = inner.insert(flow, link, Owner::Program, now)?;
        self.apply_options(inner, index);
        let connection = inner.connections.get(index);
        connection.limit_handshake(Some(super::CONNECT));
        let started = inner.links.get(link).map(|link| {
            let context = link.interface.context();
            connection.socket_mut().connect(context, flow.remote, flow.local)
        });
        if !matches!(started, Some(Ok(()))) {
            inner.connections.remove(index);
            return Err(Errno::EADDRNOTAVAIL);
        }
        inner.settle(index, TcpState::SynSent, now);
        Ok(index)
    }

    /// Waits for the handshake; a failed one leaves the socket as new.
    fn finish_connect(&self) -> Result<()> {
        let outcome = block(&self.stack, false, self.options.get().send_timeout, |inner, _| {
            let connection = inner.connections.get(self.stream()?);
            if connection.connecting() {
                connection.send_waited = true;
                return Err(Stop::wait(connection.send_channel()));
            }
            match connection.state() {
                TcpState::Closed => Err(connection.error.take().unwrap_or(Errno::ECONNREFUSED).into()),
                _ => Ok(()),
            }
        });
        match outcome {
            Err(Errno::EAGAIN) => Err(Errno::EINPROGRESS),
            Err(error) => {
                if let Ok(index) = self.stream() {
                    self.stack.run(|inner, now| inner.release(index, true, now));
                    self.state.set(State::Fresh);
                }
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
                        for list in [&listener.half_open, &listener.ready] {
                            list.iter().for_each(|index| inner.release(*index, true, now));
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
