//! A server of this host, as if it were a machine of the guest's network: what comes to one of our ports goes on to it.

use anyhow::Result;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Connections from the guest at once.
const AT_ONCE: usize = 4;
/// For the server, which is of this host, to take a connection.
const LIMIT: Duration = Duration::from_secs(5);
const PIECE: usize = 16 * 1024;

pub struct Bridge {
    port: u16,
    server: SocketAddr,
    ways: Vec<Way>,
}

/// One connection: the guest's end and the server's.
struct Way {
    guest: SocketHandle,
    server: Option<TcpStream>,
    /// From the guest, not yet taken by the server.
    unsent: Vec<u8>,
}

impl Bridge {
    /// From our port to a port of this host's loopback.
    pub fn new(
        port: u16,
        server: u16,
        sockets: &mut SocketSet<'static>,
        socket: fn() -> tcp::Socket<'static>,
    ) -> Bridge {
        let way = |_| Way {
            guest: sockets.add(socket()),
            server: None,
            unsent: Vec::new(),
        };
        Bridge {
            port,
            server: SocketAddr::from((Ipv4Addr::LOCALHOST, server)),
            ways: (0..AT_ONCE).map(way).collect(),
        }
    }

    /// Moves what can be moved.
    pub fn poll(&mut self, sockets: &mut SocketSet<'static>) {
        for way in &mut self.ways {
            let guest = sockets.get_mut::<tcp::Socket>(way.guest);
            if !guest.is_open() {
                (way.server, way.unsent) = (None, Vec::new());
                guest.listen(self.port).expect("a closed socket can listen");
            } else if guest.may_send() && way.server.is_none() {
                way.server = connect(self.server).ok();
            }
            let is_whole = match &mut way.server {
                Some(server) => pass(guest, server, &mut way.unsent).is_ok(),
                // Nobody is there.
                None => !guest.may_send(),
            };
            if !is_whole {
                way.server = None;
                guest.close();
            }
        }
    }
}

fn connect(server: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&server, LIMIT)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// # Errors
/// When one of the ends has ended.
fn pass(guest: &mut tcp::Socket<'_>, server: &mut TcpStream, unsent: &mut Vec<u8>) -> Result<()> {
    while guest.can_recv() && unsent.len() < PIECE {
        guest.recv(|bytes| (bytes.len(), unsent.extend_from_slice(bytes)))?;
    }
    match server.write(unsent) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        written => drop(unsent.drain(..written?)),
    }
    anyhow::ensure!(guest.may_recv() || !unsent.is_empty(), "the guest has closed");
    let room = (guest.send_capacity() - guest.send_queue()).min(PIECE);
    if room > 0 {
        let mut bytes = vec![0; room];
        match server.read(&mut bytes) {
            Ok(0) => anyhow::bail!("the server has closed"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => drop(guest.send_slice(&bytes[..read?])?),
        }
    }
    Ok(())
}
