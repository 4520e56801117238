//! A machine for a fuzzer: the whole network stack on a simulated cable, in simulated time.

use super::device::{Counters, NetworkDevice};
use super::dns::Question;
use super::stack::Stack;
use super::system;
use super::tcp::TcpSocket;
use super::text::{Static, parse};
use super::udp::UdpSocket;
use crate::errno::Errno;
use crate::heap;
use crate::object::{Object, Socket};
use std::boxed::Box;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

/// The Ethernet address of a [`Machine`].
pub const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 1];

/// Frames that a machine's card takes at once; further ones wait in the stack.
const SEND_RING: usize = 32;

#[derive(Default)]
struct Card {
    received: RefCell<VecDeque<Vec<u8>>>,
    sent: RefCell<VecDeque<Vec<u8>>>,
}

std::thread_local! {
    /// One for all machines of a thread, one after another: the stack wants it to live for ever.
    static CARD: &'static Card = Box::leak(Box::default());
}

impl NetworkDevice for Card {
    fn mac_address(&self) -> [u8; 6] {
        MAC
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
        self.sent.borrow_mut().push_back(frame);
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

/// A machine with a network card: servers on TCP and UDP port 80 of all its addresses, which answer what they get with itself.
pub struct Machine {
    stack: Rc<Stack>,
    listener: TcpSocket,
    datagrams: UdpSocket,
    accepted: Vec<Rc<dyn Object>>,
    sent: Vec<Vec<u8>>,
}

impl Default for Machine {
    fn default() -> Self {
        Machine::new()
    }
}

impl Machine {
    /// One that was just started. There may be one at a time.
    ///
    /// # Panics
    /// When the stack cannot be made.
    pub fn new() -> Machine {
        system::reset();
        let card = CARD.with(|card| *card);
        card.received.borrow_mut().clear();
        card.sent.borrow_mut().clear();
        let stack = Rc::new(Stack::new(Some(card)).expect("there is memory"));
        let all = "[::]:80".parse().expect("it is an address");
        let listener = TcpSocket::new(stack.clone(), true);
        let datagrams = UdpSocket::new(stack.clone(), true);
        let made = listener
            .bind(all)
            .and_then(|()| listener.listen(8))
            .and_then(|()| datagrams.bind(all));
        made.expect("the ports are free");
        // Both only when they are asked to wait.
        _ = listener.set_nonblocking(true).and(datagrams.set_nonblocking(true));
        Machine {
            stack,
            listener,
            datagrams,
            accepted: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// What a program writes to `/run/cartridge/network`; false if it is refused.
    pub fn configure(&self, text: &str) -> bool {
        let done = self
            .stack
            .run(|inner, now| inner.setup.configure(text, &mut inner.links, now));
        done.is_ok()
    }

    /// What a program reads there.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        let done = self.stack.run(|inner, _| inner.setup.describe(&inner.links, &mut text));
        done.expect("a string takes everything");
        text
    }

    /// Has the machine receive a frame, and do what follows from it.
    pub fn receive(&mut self, frame: &[u8]) {
        CARD.with(|card| card.received.borrow_mut().push_back(frame.into()));
        self.work();
    }

    /// Lets time pass: the machine looks at it when it asked to and at the end, but no more often than every millisecond. Gives how
    /// often it looked.
    pub fn pass(&mut self, milliseconds: u64) -> u64 {
        let end = system::now() + milliseconds * 1_000_000;
        let mut looks = 0;
        while system::now() < end {
            let next = self.stack.deadline().max(system::now() + 1_000_000).min(end);
            system::advance(next - system::now());
            self.work();
            looks += 1;
        }
        looks
    }

    /// Takes the frames that the machine sent.
    pub fn sent(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.sent)
    }

    /// How many TCP connections there are, and how many bytes they take.
    pub fn connections(&self) -> (usize, u64) {
        self.stack
            .run(|inner, _| (inner.connections.len(), inner.connections.bytes()))
    }

    /// What the stack and the servers have to do now.
    fn work(&mut self) {
        self.stack.poll();
        while let Ok((socket, _)) = self.listener.accept() {
            _ = socket.set_nonblocking(true);
            self.accepted.push(socket);
        }
        let mut buffer = [0; 2048];
        self.accepted.retain(|socket| {
            loop {
                match socket.read(&mut buffer) {
                    Ok(0) => return false,
                    Ok(count) => _ = socket.write(&buffer[..count]),
                    Err(error) => return error == Errno::EAGAIN,
                }
            }
        });
        while let Ok((count, Some(from))) = self.datagrams.receive_from(&mut buffer, 0) {
            _ = self.datagrams.send_to(&buffer[..count], 0, Some(from));
        }
        self.stack.poll();
        CARD.with(|card| self.sent.extend(card.sent.borrow_mut().drain(..)));
    }
}

/// Whether the guest's file `network` can be made of these lines.
pub fn takes_network_lines(text: &str) -> bool {
    let mut lines = text.as_bytes().split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.all(|line| {
        line.is_empty() || {
            let mut result = Static::NONE;
            parse(line, &mut result).is_ok()
        }
    })
}

/// The question for records of type `kind` (1: A, 28: AAAA) of `name`, as it is sent; `None` for what cannot be a name.
pub fn dns_question(name: &str, kind: u16) -> Option<Vec<u8>> {
    let question = Question::new(0x1234, name, kind).ok()?;
    Some(question.bytes().to_vec())
}

/// How many addresses the answer to that question has; `None` if it is no answer to it, or one of no use.
pub fn dns_answer(name: &str, kind: u16, answer: &[u8]) -> Option<usize> {
    let mut found = heap::vec();
    let question = Question::new(0x1234, name, kind).ok()?;
    let is_answer = question.take(answer, &mut found).ok()?;
    is_answer.then_some(found.len())
}
