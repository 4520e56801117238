//! A stand-in for Stratos' event processor: it takes the health statistics of members, over Thrift's databridge, and is as strict
//! about them as the real one.

mod databridge;
mod thrift;

pub use databridge::Health;

use databridge::Databridge;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Connections at the same time; the next one is closed at once.
const CONNECTION_LIMIT: usize = 16;
/// A member that says nothing for so long has gone, and may come again.
const SILENCE_LIMIT: Duration = Duration::from_secs(3700);

/// How many connections there are.
#[derive(Clone, Default)]
pub struct Connections(Arc<AtomicUsize>);

/// A connection that counts.
pub struct Counted(Arc<AtomicUsize>);

impl Connections {
    /// One more, if there may be one.
    pub fn add(&self) -> Option<Counted> {
        let counted = Counted(self.0.clone());
        (self.0.fetch_add(1, Ordering::Relaxed) < CONNECTION_LIMIT).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers a connection until it ends; `tell` is given what it told, or why it was ended, and says whether to go on.
pub fn serve(stream: &TcpStream, tell: impl Fn(Result<Health, String>) -> bool) {
    let _ = stream.set_read_timeout(Some(SILENCE_LIMIT));
    let _ = stream.set_write_timeout(Some(Duration::from_secs(10)));
    let _ = stream.set_nodelay(true);
    let mut bridge = Databridge::default();
    let (mut input, mut output) = (BufReader::new(stream), stream);
    loop {
        let call = match thrift::read_call(&mut input) {
            Ok(Some(call)) => call,
            Ok(None) => return,
            Err(error) => {
                // A connection that broke is nobody's mistake.
                if error.kind() == std::io::ErrorKind::InvalidData {
                    tell(Err(error.to_string()));
                }
                return;
            }
        };
        let (answer, health) = match bridge.call(&call) {
            Ok(answer) => answer,
            Err(why) => {
                tell(Err(why));
                return;
            }
        };
        if output.write_all(&answer).is_err() || health.is_some_and(|health| !tell(Ok(health))) {
            return;
        }
    }
}
