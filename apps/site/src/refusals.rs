//! Telling clients that there is no room for them, aside from the accept loop: whoever closes without having read the request
//! may have its answer discarded by a reset (RFC 9112 section 9.6), and reading takes time.

use crate::connection;
use crate::response::{After, Response};
use crate::status::Status;
use std::net::TcpStream;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Clients that may wait to be refused; further ones are closed without a word.
const WAITING: usize = 64;
/// How long one of them is listened to.
const LIMIT: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub struct Refusals(SyncSender<TcpStream>);

impl Refusals {
    /// Starts the thread that refuses; it ends when nobody can be refused any more.
    pub fn start() -> Refusals {
        let (sender, refused) = sync_channel::<TcpStream>(WAITING);
        // Without memory for a thread the clients are closed without a word.
        let _ = thread::Builder::new().spawn(move || {
            for stream in refused {
                // A client that is gone needs no refusal.
                let _ = refuse(&stream);
            }
        });
        Refusals(sender)
    }

    pub fn refuse(&self, stream: TcpStream) {
        let _ = self.0.try_send(stream);
    }
}

fn refuse(mut stream: &TcpStream) -> std::io::Result<()> {
    stream.set_write_timeout(Some(LIMIT))?;
    let refusal = Response::plain(Status::Unavailable).with("Retry-After", "1");
    refusal.send(&mut stream, false, After::Close)?;
    connection::linger(stream, LIMIT)
}
