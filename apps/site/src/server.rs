//! The accept loop: a thread for each connection, as many as the gate admits.

use crate::answer::Site;
use crate::connection;
use crate::gate::Gate;
use crate::refusals::Refusals;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Pause after a failed accept (no memory or descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

#[derive(Clone)]
pub struct Server {
    site: Arc<Site>,
    gate: Arc<Gate>,
    refusals: Refusals,
}

impl Server {
    pub fn new(site: Site) -> Server {
        Server {
            site: Arc::new(site),
            gate: Arc::new(Gate::default()),
            refusals: Refusals::start(),
        }
    }

    /// Takes connections until `stop` is called.
    pub fn accept_from(&self, listener: &TcpListener) {
        while !self.gate.stopping() {
            match listener.accept() {
                Ok((stream, _)) => self.admit(stream),
                Err(_) => thread::sleep(ACCEPT_PAUSE),
            }
        }
    }

    fn admit(&self, stream: TcpStream) {
        match self.gate.enter(stream) {
            Ok(pass) => {
                let site = Arc::clone(&self.site);
                // Without memory for a thread the connection is dropped, which the client sees at once.
                let _ = thread::Builder::new().spawn(move || connection::serve(&pass, &site));
            }
            Err(stream) => self.refusals.refuse(stream),
        }
    }

    /// Ends the accept loops on `ports` and waits until the answers under way are sent; false when `limit` passed first.
    pub fn stop(&self, ports: &[u16], limit: Duration) -> bool {
        self.gate.stop();
        for &port in ports {
            // A connection from ourselves wakes the loop, which then sees the stop.
            let own = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let _ = TcpStream::connect_timeout(&own, Duration::from_secs(1));
        }
        self.gate.wait_empty(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Contents;
    use crate::scratch::Scratch;
    use std::io::{Read, Write};

    struct Running {
        server: Server,
        port: u16,
        accepting: Option<thread::JoinHandle<()>>,
        _scratch: Scratch,
    }

    impl Running {
        fn new(name: &str) -> Running {
            let scratch = Scratch::new(name);
            scratch.write("index.html", b"home");
            scratch.write("large.bin", &vec![7; 8 << 20]);
            let server = Server::new(Site::new(Contents::new(scratch.path(), Default::default())));
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (port, accepting) = (listener.local_addr().unwrap().port(), server.clone());
            let accepting = Some(thread::spawn(move || accepting.accept_from(&listener)));
            Running {
                server,
                port,
                accepting,
                _scratch: scratch,
            }
        }

        fn connect(&self) -> TcpStream {
            let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream
        }

        /// Sends `bytes`, ends the sending side and returns everything that comes back.
        fn exchange(&self, bytes: &[u8]) -> String {
            let mut stream = self.connect();
            stream.write_all(bytes).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut all = String::new();
            stream.read_to_string(&mut all).unwrap();
            all
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            self.server.stop(&[self.port], Duration::from_secs(5));
            let _ = self.accepting.take().map(|t| t.join());
        }
    }

    #[test]
    fn keeps_connections_and_answers_pipelined_requests_in_order() {
        let running = Running::new("server-keep");
        let all =
            running.exchange(&b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /none HTTP/1.1\r\nHost: h\r\n\r\n".repeat(10));
        let codes: Vec<&str> = all
            .match_indices("HTTP/1.1 ")
            .map(|(at, _)| &all[at + 9..at + 12])
            .collect();
        assert_eq!(codes, ["200", "404"].repeat(10));
    }

    #[test]
    fn closes_when_asked_and_after_refusals() {
        let running = Running::new("server-close");
        for (request, code) in [
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "200"),
            ("nonsense\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n", "413"),
            (
                "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "405",
            ),
            (
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
                "405",
            ),
        ] {
            let all = running.exchange(format!("{request}GET / HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
            assert!(all.starts_with(&format!("HTTP/1.1 {code} ")), "{request}: {all}");
            assert!(
                all.contains("Connection: close\r\n") && all.matches("HTTP/1.1").count() == 1,
                "{request}: {all}"
            );
        }
    }

    #[test]
    fn a_client_without_a_place_reads_its_refusal_before_the_end() {
        let running = Running::new("server-full");
        let inside: Vec<TcpStream> = (0..crate::gate::MAX_CONNECTIONS).map(|_| running.connect()).collect();
        let mut stream = running.connect();
        thread::sleep(Duration::from_millis(50));
        stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).expect("no reset before the end");
        assert!(
            all.starts_with("HTTP/1.1 503 ") && all.ends_with("Unavailable\n"),
            "{all}"
        );
        drop(inside);
    }

    #[test]
    fn small_bodies_are_read_and_the_connection_lives() {
        let running = Running::new("server-body");
        let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\n\r\n".to_string() + &"x".repeat(20_000);
        let all = running.exchange((post + "GET / HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        assert!(
            all.starts_with("HTTP/1.1 405 ") && all.ends_with("\r\n\r\nhome"),
            "{all}"
        );
    }

    #[test]
    fn a_stop_closes_idle_clients_and_finishes_answers() {
        let running = Running::new("server-stop");
        let mut idle = running.connect();
        idle.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        assert!(idle.read(&mut [0; 4096]).unwrap() > 0);
        let mut busy = running.connect();
        busy.write_all(b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let mut first = [0; 1000];
        busy.read_exact(&mut first).unwrap();
        let (server, port) = (running.server.clone(), running.port);
        let stopping = thread::spawn(move || server.stop(&[port], Duration::from_secs(10)));
        while idle.read(&mut [0; 4096]).unwrap() > 0 {}
        let mut rest = Vec::new();
        busy.read_to_end(&mut rest).unwrap();
        assert!(first.len() + rest.len() > 8 << 20, "{}", rest.len());
        assert!(stopping.join().unwrap());
    }
}
