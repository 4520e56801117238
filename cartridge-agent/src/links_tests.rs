use super::*;
use crate::shared::nobody;
use cartridge_agent_core::control::{Command, Standalone};
use cartridge_agent_core::lifecycle::State;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Instant;

/// Nothing here takes longer, however busy the machine is.
const DEADLINE: Duration = Duration::from_secs(20);

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

const fn peer(port: u16) -> Option<Peer<'static>> {
    let host = "127.0.0.1";
    Some(Peer { host, port })
}

/// Has `links` do what happened until `is_done`.
fn step_until(links: &mut Links, is_done: impl Fn(&Links) -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_done(links) {
        assert!(Instant::now() < end);
        links.step(&mut Standalone::default());
        std::thread::yield_now();
    }
}

fn threads(links: &Links) -> usize {
    Arc::strong_count(&links.links[0].threads) - 1
}

#[test]
fn a_connection_that_comes_too_late_is_closed_and_its_threads_end() {
    let (listener, port) = listener();
    let mut links = Links::new(nobody(), 1);
    assert!(links.follow(0, peer(port)) && links.follow(0, None));
    let (mut stream, _) = listener.accept().unwrap();
    // The peer keeps it open.
    step_until(&mut links, |links| threads(links) == 0);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn an_adapter_that_changes_its_peer_all_the_time_collects_no_threads() {
    let (_listener, port) = listener();
    let mut links = Links::new(nobody(), 1);
    let mut refused = 0;
    for _ in 0..100 {
        refused += u32::from(!links.follow(0, peer(port)));
        links.follow(0, None);
        // Each has a second thread to write when it is connected.
        assert!(threads(&links) <= 2 * THREADS);
    }
    assert!(refused > 0);
    step_until(&mut links, |links| threads(links) == 0);
    assert!(links.follow(0, peer(port)));
}

/// There is another piece for it whenever it has taken one.
struct Flooded {
    happened: Arc<Happenings>,
    pieces: usize,
}

impl Flooded {
    fn piece(&self) {
        let what = What::Received(vec![0]);
        self.happened.put(Happened {
            link: 0,
            number: 0,
            what,
        });
    }
}

impl ControlPlane for Flooded {
    fn name(&self) -> &'static str {
        "flooded"
    }
    fn entered(&mut self, _: State, _: Duration) {}
    fn command(&mut self, _: Duration) -> Option<Command> {
        None
    }
    fn receive(&mut self, _: usize, _: &[u8], _: Duration) {
        self.pieces += 1;
        assert!(self.pieces <= WAITING, "the agent has no time for anything else");
        self.piece();
    }
}

#[test]
fn a_peer_that_never_pauses_leaves_the_agent_time() {
    let mut links = Links::new(nobody(), 1);
    let happened = Arc::clone(&links.happened);
    let mut plane = Flooded { happened, pieces: 0 };
    plane.piece();
    assert!(links.step(&mut plane));
    assert_eq!(plane.pieces, WAITING);
}
