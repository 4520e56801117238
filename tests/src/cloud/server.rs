//! A [`Cloud`] on a port of the host's loopback: a process reaches it there, a machine on QEMU's user network at 10.0.2.2.

use super::{Cloud, Reply};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// For a client to send its request, or to take the answer; longer than it may take over either.
const PATIENCE: Duration = Duration::from_secs(30);

/// The running service; it ends when it is dropped.
pub struct Server {
    pub port: u16,
    cloud: Arc<Mutex<Cloud>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves on a port of its own.
    ///
    /// # Panics
    /// When there is no port to be had.
    pub fn start(cloud: Cloud) -> Server {
        Server::on(0, cloud)
    }

    /// Serves on this port.
    ///
    /// # Panics
    /// When the port is taken.
    pub fn on(port: u16, cloud: Cloud) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a port on loopback");
        let port = listener.local_addr().expect("a bound port").port();
        let cloud = Arc::new(Mutex::new(cloud));
        let ends = Arc::new(AtomicBool::new(false));
        let (told, its) = (ends.clone(), cloud.clone());
        let thread = thread::spawn(move || {
            for client in listener.incoming() {
                if told.load(Ordering::Acquire) {
                    return;
                }
                let cloud = its.clone();
                // A client that goes away is no matter of ours.
                thread::spawn(move || client.and_then(|client| serve(client, &cloud)));
            }
        });
        Server {
            port,
            cloud,
            ends,
            thread: Some(thread),
        }
    }

    pub fn cloud(&self) -> MutexGuard<'_, Cloud> {
        lock(&self.cloud)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        // Wakes it from waiting for a client.
        if TcpStream::connect_timeout(&local, PATIENCE).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn lock(cloud: &Mutex<Cloud>) -> MutexGuard<'_, Cloud> {
    cloud.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut client: TcpStream, cloud: &Mutex<Cloud>) -> std::io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let (mut head, mut room) = (Vec::new(), [0; 1024]);
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut room)? {
            0 => return Ok(()),
            count => head.extend_from_slice(&room[..count]),
        }
    }
    let reply = lock(cloud).answer(&head);
    match reply {
        Reply::Send(bytes) => client.write_all(&bytes),
        Reply::Nothing => client.read(&mut room).map(drop),
    }
}
