//! Two machines on a cable, and short names for what tests do with them.

use super::*;

/// Frames a device holds that were not sent yet.
pub const SEND_RING: usize = 32;

pub type Frames = Rc<RefCell<VecDeque<Vec<u8>>>>;

pub struct Nic {
    pub mac: u8,
    pub received: Frames,
    pub sent: Frames,
    /// Every so many frames sent, one is lost; 0: none.
    pub lose_every: Rc<Cell<usize>>,
    pub count: Cell<usize>,
}

impl NetworkDevice for Nic {
    fn mac_address(&self) -> [u8; 6] {
        [0x52, 0x54, 0, 0x12, 0x34, self.mac]
    }
    fn mtu(&self) -> usize {
        1500
    }
    fn link_up(&self) -> bool {
        true
    }
    fn receive(&self, take: &mut dyn FnMut(&[u8])) -> bool {
        let frame = self.received.borrow_mut().pop_front();
        frame.inspect(|frame| take(frame)).is_some()
    }
    fn can_receive(&self) -> bool {
        !self.received.borrow().is_empty()
    }
    fn can_transmit(&self) -> bool {
        self.sent.borrow().len() < SEND_RING
    }
    fn transmit(&self, length: usize, fill: &mut dyn FnMut(&mut [u8])) {
        let mut frame = std::vec![0; length];
        fill(&mut frame);
        self.count.set(self.count.get() + 1);
        let lost = self.lose_every.get() != 0 && self.count.get().is_multiple_of(self.lose_every.get());
        if !lost {
            self.sent.borrow_mut().push_back(frame);
        }
    }
    fn flush(&self) {}
    fn arm(&self) -> bool {
        !self.can_receive()
    }
    fn disarm(&self) {}
    fn counters(&self) -> Counters {
        Counters::default()
    }
}

pub struct World {
    pub server: Rc<Stack>,
    pub client: Rc<Stack>,
    pub lose_every: Rc<Cell<usize>>,
    pub to_server: Frames,
    pub to_client: Frames,
}

pub const SERVER: &str = "10.0.0.1";

pub fn world() -> World {
    let (to_server, to_client) = (Frames::default(), Frames::default());
    let lose_every = Rc::new(Cell::new(0));
    let nic = |mac, received: &Frames, sent: &Frames| -> &'static dyn NetworkDevice {
        let (received, sent, lose_every) = (received.clone(), sent.clone(), lose_every.clone());
        Box::leak(Box::new(Nic {
            mac,
            received,
            sent,
            lose_every,
            count: Cell::new(0),
        }))
    };
    let server = Rc::new(Stack::new(Some(nic(1, &to_server, &to_client))).unwrap());
    let client = Rc::new(Stack::new(Some(nic(2, &to_client, &to_server))).unwrap());
    configure(&server, "static 10.0.0.1/24 gateway 10.0.0.254\nstatic fd00::1/64").unwrap();
    configure(&client, "static 10.0.0.2/24\nstatic fd00::2/64").unwrap();
    let (one, two) = (server.clone(), client.clone());
    system::while_waiting(move || {
        one.poll();
        two.poll();
    });
    World {
        server,
        client,
        lose_every,
        to_server,
        to_client,
    }
}

pub fn configure(stack: &Stack, text: &str) -> crate::errno::Result<()> {
    stack.run(|inner, now| inner.setup.configure(text, &mut inner.links, now))
}

pub fn describe(stack: &Stack) -> String {
    let mut text = String::new();
    stack
        .run(|inner, _| inner.setup.describe(&inner.links, &mut text))
        .unwrap();
    text
}

pub fn pass(milliseconds: u64) {
    system::wait(&[], system::now() + milliseconds * 1_000_000);
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn listen(stack: &Rc<Stack>, at: &str, backlog: usize) -> TcpSocket {
    let socket = TcpSocket::new(stack.clone(), address(at).is_ipv6());
    socket.bind(address(at)).unwrap();
    socket.listen(backlog).unwrap();
    socket
}

pub fn connect(stack: &Rc<Stack>, to: &str) -> crate::errno::Result<TcpSocket> {
    let socket = TcpSocket::new(stack.clone(), address(to).is_ipv6());
    socket.connect(address(to)).map(|()| socket)
}

pub fn accept(listener: &TcpSocket) -> Rc<dyn Object> {
    listener.accept().unwrap().0
}

pub fn connections(stack: &Stack) -> usize {
    stack.run(|inner, _| inner.connections.len())
}

pub fn timeout(milliseconds: i32) -> [u8; 16] {
    let mut value = [0; 16];
    value[..8].copy_from_slice(&((milliseconds / 1000) as i64).to_ne_bytes());
    value[8..12].copy_from_slice(&(milliseconds % 1000 * 1000).to_ne_bytes());
    value
}

/// One machine whose cable ends in a test's hands.
pub struct Alone {
    pub stack: Rc<Stack>,
    pub received: Frames,
    pub sent: Frames,
}

pub fn alone() -> Alone {
    let (received, sent) = (Frames::default(), Frames::default());
    let nic = Nic {
        mac: 1,
        received: received.clone(),
        sent: sent.clone(),
        lose_every: Rc::default(),
        count: Cell::new(0),
    };
    let stack = Rc::new(Stack::new(Some(Box::leak(Box::new(nic)))).unwrap());
    let polled = stack.clone();
    system::while_waiting(move || polled.poll());
    Alone { stack, received, sent }
}

impl Alone {
    /// While the test waits, `answer` is asked for the answers to each frame the machine sends.
    pub fn answering(&self, answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + 'static) {
        let (stack, received, sent) = (self.stack.clone(), self.received.clone(), self.sent.clone());
        system::while_waiting(move || {
            stack.poll();
            for frame in sent.borrow_mut().drain(..) {
                received.borrow_mut().extend(answer(&frame));
            }
            stack.poll();
        });
    }
}
