//! One connection to a [`Cloud`] on the Ethernet.

use crate::cloud::{Cloud, Reply};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;
use std::net::IpAddr;

/// Where metadata services listen.
const PORT: u16 = 80;

pub struct Web {
    pub socket: SocketHandle,
    request: Vec<u8>,
    unsent: Vec<u8>,
    answered: bool,
}

impl Web {
    pub fn new(socket: SocketHandle) -> Web {
        Web {
            socket,
            request: Vec::new(),
            unsent: Vec::new(),
            answered: false,
        }
    }

    /// Takes what came and sends what there is; gives our address when a request was answered.
    pub fn serve(&mut self, socket: &mut tcp::Socket, cloud: &mut Cloud) -> Option<IpAddr> {
        if !socket.is_open() {
            *self = Web::new(self.socket);
            socket.listen(PORT).expect("a closed socket can listen");
        }
        while socket.can_recv() {
            let taken = socket.recv(|bytes| (bytes.len(), self.request.extend_from_slice(bytes)));
            taken.ok()?;
        }
        let mut at = None;
        if !self.answered && self.request.ends_with(b"\r\n\r\n") {
            self.answered = true;
            at = socket.local_endpoint().map(|own| own.addr.into());
            if let Reply::Send(bytes) = cloud.answer(&self.request) {
                self.unsent = bytes;
            }
        }
        if self.answered {
            let sent = socket.send_slice(&self.unsent).unwrap_or(0);
            self.unsent.drain(..sent);
            if self.unsent.is_empty() {
                socket.close();
            }
        }
        at
    }
}
