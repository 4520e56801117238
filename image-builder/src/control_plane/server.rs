//! Sockets and time for the broker and the stand-in: one thread decides, each connection has one that reads and one that writes.
//!
//! The listening socket and all connections go with [`Server`].

use super::broker::{Broker, Effect, Message, Number};
use super::cep::{self, Connections, Health};
use super::console::Command;
use super::member::State;
use super::standin::{Action, Standin};
use super::view::View;
use mqtt_protocol_core::mqtt::packet::Qos;
use rustix::net::Shutdown as End;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Bytes read at a time.
const PIECE: usize = 16 * 1024;
/// Pieces that wait for the thread that decides; past them, its clients wait.
const INPUT_LIMIT: usize = 64;
/// Packets that wait for a client; one that takes them more slowly is cut off.
const OUTPUT_LIMIT: usize = 1024;
/// For a client that takes nothing at all.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// What the thread that decides is told.
enum Input {
    Connected(TcpStream),
    Received(Number, Vec<u8>),
    Closed(Number),
    Command(Command),
    Show(View),
    /// A connection to the event processor, to be ended with all others.
    Told(Weak<TcpStream>),
    Health(Result<Health, String>),
    Launched,
    Ended,
    Quit,
}

/// Message broker and event processor of a platform, on free ports of 127.0.0.1. Dropping it frees the ports.
pub struct Server {
    broker: Socket,
    cep: Socket,
    inputs: SyncSender<Input>,
    threads: Vec<JoinHandle<()>>,
    standing: Arc<Standing>,
}

/// A socket that accepts connections.
struct Socket {
    address: SocketAddr,
    listener: Arc<TcpListener>,
}

impl Socket {
    fn open() -> io::Result<Self> {
        let listener = Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
        let address = listener.local_addr()?;
        Ok(Self { address, listener })
    }

    /// Does `serve` with each connection, in a thread of its own, until [`Socket::end`] or until it says so by `false`.
    fn accept(&self, mut serve: impl FnMut(TcpStream) -> bool + Send + 'static) -> JoinHandle<()> {
        let listener = self.listener.clone();
        thread::spawn(move || {
            loop {
                match listener.accept() {
                    Ok((stream, _)) => {
                        if !serve(stream) {
                            return;
                        }
                    }
                    // One connection gave up before it was accepted, which is none of the others' business.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(_) => return,
                }
            }
        })
    }

    /// Wakes the thread that waits for connections.
    fn end(&self) {
        let _ = rustix::net::shutdown(&self.listener, End::Both);
    }
}

/// A way to send commands from another thread.
#[derive(Clone)]
pub struct Commander(SyncSender<Input>);

impl Commander {
    pub fn send(&self, command: Command) {
        // A platform that is gone takes no commands.
        let _ = self.0.send(Input::Command(command));
    }

    /// Shows a line.
    pub fn note(&self, text: String) {
        let _ = self.0.send(Input::Show(View::Note(text)));
    }
}

/// Where the member stands, for threads that wait for it.
#[derive(Default)]
struct Standing {
    known: Mutex<Known>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
struct Known {
    state: Option<State>,
    heard: bool,
}

impl Server {
    /// Begins to accept connections. `show` is given what is to be seen of the platform, first of all `first` of its address.
    pub fn start(
        standin: Standin,
        first: impl FnOnce(SocketAddr) -> View,
        mut show: impl FnMut(&View) + Send + 'static,
    ) -> io::Result<Self> {
        let (broker, cep) = (Socket::open()?, Socket::open()?);
        show(&first(broker.address));
        let (inputs, queue) = sync_channel(INPUT_LIMIT);
        let standing = Arc::new(Standing::default());
        let hub = Hub {
            broker: Broker::default(),
            standin,
            show,
            began: Instant::now(),
            outputs: HashMap::new(),
            tellers: Vec::new(),
            inputs: inputs.clone(),
            standing: standing.clone(),
            connections: 0,
        };
        let (to_hub, told) = (inputs.clone(), inputs.clone());
        let connections = Connections::default();
        let threads = vec![
            broker.accept(move |stream| to_hub.send(Input::Connected(stream)).is_ok()),
            cep.accept(move |stream| listen(stream, &connections, &told)),
            thread::spawn(move || hub.run(queue)),
        ];
        Ok(Self {
            broker,
            cep,
            inputs,
            threads,
            standing,
        })
    }

    /// Where the message broker is.
    pub fn broker(&self) -> SocketAddr {
        self.broker.address
    }

    /// Where the event processor is.
    pub fn cep(&self) -> SocketAddr {
        self.cep.address
    }

    pub fn commander(&self) -> Commander {
        Commander(self.inputs.clone())
    }

    /// The member's machine runs.
    pub fn launched(&self) {
        let _ = self.inputs.send(Input::Launched);
    }

    /// The member's machine is gone. Returns when that was shown.
    pub fn ended(&self) {
        let _ = self.inputs.send(Input::Ended);
        self.wait(Duration::from_secs(5), |known| known.state == Some(State::Terminated));
    }

    /// Whether the member has ever said something.
    pub fn is_heard(&self) -> bool {
        self.standing.lock().heard
    }

    /// Waits until the member is Active, or past it; false when it was not within `limit`.
    pub fn wait_active(&self, limit: Duration) -> bool {
        self.wait(limit, |known| known.state.is_some_and(|state| state >= State::Active))
    }

    fn wait(&self, limit: Duration, until: impl Fn(&Known) -> bool) -> bool {
        let known = self.standing.lock();
        let waited = self
            .standing
            .changed
            .wait_timeout_while(known, limit, |known| !until(known));
        let (known, _) = waited.unwrap_or_else(|poison| poison.into_inner());
        until(&known)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.inputs.send(Input::Quit);
        self.broker.end();
        self.cep.end();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Standing {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

/// The thread that decides.
struct Hub<F> {
    broker: Broker,
    standin: Standin,
    show: F,
    began: Instant,
    outputs: HashMap<Number, Output>,
    /// Connections to the event processor.
    tellers: Vec<Weak<TcpStream>>,
    inputs: SyncSender<Input>,
    standing: Arc<Standing>,
    /// So many there were, which numbers them.
    connections: Number,
}

struct Output {
    stream: TcpStream,
    packets: SyncSender<Vec<u8>>,
}

impl<F: FnMut(&View)> Hub<F> {
    fn run(mut self, queue: Receiver<Input>) {
        self.settle();
        loop {
            let standin = self.began + self.standin.wake();
            let wake = self.broker.wake().map_or(standin, |wake| wake.min(standin));
            match queue.recv_timeout(wake.saturating_duration_since(Instant::now())) {
                Ok(Input::Quit) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(input) => self.take(input),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.broker.tick(Instant::now());
            self.standin.tick(self.began.elapsed());
            self.settle();
        }
        // What the last messages made the writers send may go out before the connections end.
        for (_, output) in self.outputs.drain() {
            drop(output.packets);
            let _ = output.stream.shutdown(Shutdown::Read);
        }
        for stream in self.tellers.iter().filter_map(Weak::upgrade) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn take(&mut self, input: Input) {
        let (now, since) = (Instant::now(), self.began.elapsed());
        match input {
            Input::Connected(stream) => self.connected(stream, now),
            Input::Received(number, bytes) => self.broker.received(number, &bytes, now),
            Input::Closed(number) => self.broker.closed(number),
            Input::Command(command) => self.standin.command(command),
            Input::Show(view) => (self.show)(&view),
            Input::Told(stream) => {
                self.tellers.retain(|other| other.strong_count() > 0);
                self.tellers.push(stream);
            }
            Input::Health(told) => self.standin.health(told, since),
            Input::Launched => self.standin.launched(since),
            Input::Ended => self.standin.ended(since),
            Input::Quit => {}
        }
    }

    fn connected(&mut self, stream: TcpStream, now: Instant) {
        self.connections += 1;
        let number = self.connections;
        // Without threads for it, the connection ends here.
        if let Ok(packets) = serve(&stream, number, self.inputs.clone()) {
            self.outputs.insert(number, Output { stream, packets });
            self.broker.connected(number, now);
        }
    }

    /// Does what broker and stand-in want done, until neither wants anything more.
    fn settle(&mut self) {
        loop {
            let (effects, actions) = (self.broker.take_effects(), self.standin.take_actions());
            if effects.is_empty() && actions.is_empty() {
                break;
            }
            effects.into_iter().for_each(|effect| self.effect(effect));
            actions.into_iter().for_each(|action| self.action(action));
        }
        let mut known = self.standing.lock();
        (known.state, known.heard) = (Some(self.standin.state()), self.standin.is_heard());
        self.standing.changed.notify_all();
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Send(number, bytes) => {
                let output = self.outputs.get(&number);
                if output.is_some_and(|output| output.packets.try_send(bytes).is_err()) {
                    self.broker.closed(number);
                }
            }
            Effect::Close(number) => {
                if let Some(output) = self.outputs.remove(&number) {
                    // Its writer sends what is left, and then ends the connection.
                    let _ = output.stream.shutdown(Shutdown::Read);
                }
            }
            Effect::Published(message) => {
                let now = self.began.elapsed();
                self.standin.received(&message.topic, &message.payload, now);
            }
        }
    }

    fn action(&mut self, action: Action) {
        match action {
            Action::Show(view) => (self.show)(&view),
            Action::Publish { topic, body } => self.broker.publish(&Message {
                topic,
                payload: body.to_string().into_bytes(),
                qos: Qos::AtLeastOnce,
                retain: false,
            }),
        }
    }
}

/// Serves a connection to the event processor in a thread of its own; false when there is nobody to tell any more.
fn listen(stream: TcpStream, connections: &Connections, inputs: &SyncSender<Input>) -> bool {
    let Some(counted) = connections.add() else {
        return true;
    };
    let stream = Arc::new(stream);
    if inputs.send(Input::Told(Arc::downgrade(&stream))).is_err() {
        return false;
    }
    let inputs = inputs.clone();
    thread::spawn(move || {
        let _counted = counted;
        cep::serve(&stream, |told| inputs.send(Input::Health(told)).is_ok());
    });
    true
}

/// Starts the threads of a connection; gives where its packets go.
fn serve(stream: &TcpStream, number: Number, inputs: SyncSender<Input>) -> io::Result<SyncSender<Vec<u8>>> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(WRITE_LIMIT))?;
    let (mut reader, mut writer) = (stream.try_clone()?, stream.try_clone()?);
    let (packets, queue) = sync_channel::<Vec<u8>>(OUTPUT_LIMIT);
    thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        while let Ok(count @ 1..) = reader.read(&mut piece) {
            if inputs.send(Input::Received(number, piece[..count].to_vec())).is_err() {
                return;
            }
        }
        let _ = inputs.send(Input::Closed(number));
    });
    thread::spawn(move || {
        while let Ok(packet) = queue.recv() {
            if writer.write_all(&packet).is_err() {
                break;
            }
        }
        let _ = writer.shutdown(Shutdown::Both);
    });
    Ok(packets)
}

#[cfg(test)]
mod tests {
    use super::super::identity::Identity;
    use super::super::topology::Topology;
    use super::*;

    fn start() -> Server {
        let who = Identity::new(b"CARTRIDGE_NAME=x", b"", &[], "127.0.0.1");
        let standin = Standin::new(who, Topology::default(), 0);
        let first = |host| View::Broker { host, member: host };
        Server::start(standin, first, |_| {}).expect("ports")
    }

    #[test]
    fn its_end_ends_connections_and_frees_the_ports() {
        let server = start();
        let addresses = [server.broker(), server.cep()];
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
        let mut clients = addresses.map(|address| TcpStream::connect(address).expect("accepted"));
        for client in &clients {
            client.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
        }
        // The broker ends what is no connection of MQTT; the event processor answers that it has no method `x`.
        clients[0].write_all(&[0xff; 16]).expect("sent");
        assert_eq!(clients[0].read(&mut [0; 16]).expect("the end"), 0);
        clients[1]
            .write_all(b"\x80\x01\0\x01\0\0\0\x01x\0\0\0\0\0")
            .expect("sent");
        let answer = clients[1].read(&mut [0; 256]).expect("an answer");
        assert!(answer > 0 && answer < 256);
        drop(server);
        assert_eq!(clients[1].read(&mut [0; 16]).expect("the end"), 0);
        for address in addresses {
            drop(TcpListener::bind(address).expect("the port is free"));
        }
    }

    #[test]
    fn the_standing_of_the_member_can_be_waited_for() {
        let server = start();
        assert!(!server.is_heard() && !server.wait_active(Duration::from_millis(1)));
        server.ended();
        assert!(server.wait_active(Duration::ZERO), "past it");
    }
}
