//! The socket calls of a TCP socket: names, listen, accept, connect, shutdown, options.

use super::*;

impl Socket for TcpSocket {
    fn bind(&self, address: SocketAddr) -> Result<()> {
        if self.binding.get().is_some() || !matches!(self.state.get(), State::Fresh) {
            return Err(Errno::EINVAL);
        }
        let local = endpoint(address, self.v6)?;
        let binding = crate::net::bind(&self.stack, Protocol::Tcp, local, self.options.get().families(self.v6))?;
        self.binding.set(Some(binding));
        Ok(())
    }

    fn listen(&self, backlog: usize) -> Result<()> {
        match self.state.get() {
            State::Fresh => {}
            State::Listening(id) => {
                return self.stack.look(|inner| {
                    let listener = inner.listeners.get(id).ok_or(Errno::EINVAL)?;
                    listener.backlog = backlog.clamp(1, crate::net::listener::MOST_BACKLOG);
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
            inner
                .listeners
                .add(binding.address, binding.families, binding.port, backlog)
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
            let Some(index) = listener.next() else {
                listener.waited = true;
                return Err(Stop::wait(listener.channel()));
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
                    _ => self.finish_connect(),
                };
            }
        }
        let remote = remote(address, self.v6)?;
        if remote.port == 0 {
            return Err(Errno::ECONNREFUSED);
        }
        if !remote.addr.is_unicast() {
            return Err(Errno::ENETUNREACH);
        }
        let link = reach(&self.stack, &remote.addr)?;
        // Which may have waited, while another thread was quicker.
        if !matches!(self.state.get(), State::Fresh) {
            return Err(Errno::EALREADY);
        }
        let mut flow = Flow { local: remote, remote };
        let index = self.stack.run(|inner, now| self.start(inner, link, &mut flow, now))?;
        self.state.set(State::Stream(index));
        match self.nonblocking.get() {
            true => Err(Errno::EINPROGRESS),
            false => self.finish_connect(),
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
