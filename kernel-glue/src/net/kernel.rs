//! The kernel's one stack, and what other modules call.

use super::connection::LinkId;
use super::delivery::Delivery;
use super::device::{Counters, NetworkDevice};
use super::stack::Stack;
use super::tcp::TcpSocket;
use super::udp::UdpSocket;
use crate::errno::{Errno, Result};
use crate::heap::{self, Rc, Vec};
use crate::object::Object;
use crate::thread::{self, Poller};
use core::cell::OnceCell;
use core::fmt::Write;
use core::net::IpAddr;

struct Global(OnceCell<Rc<Stack>>);

// SAFETY: one CPU runs the kernel, and everything here is called inside its critical section (the rule of `critical`), so no
// two threads are ever in it at once. `Rc` counts and the cells of the stack are touched nowhere else.
unsafe impl Sync for Global {}

impl Poller for Stack {
    fn poll(&self) {
        Stack::poll(self);
    }

    fn deadline(&self) -> u64 {
        Stack::deadline(self)
    }

    fn arm(&self) -> bool {
        Stack::arm(self)
    }
}

static STACK: Global = Global(OnceCell::new());

fn stack() -> Result<&'static Rc<Stack>> {
    STACK.0.get().ok_or(Errno::ENETDOWN)
}

/// Makes the stack. The device stays untouched until the program asks for the network.
pub fn init(nic: Option<&'static dyn NetworkDevice>) {
    let Some(stack) = Stack::new(nic).and_then(heap::try_rc) else {
        return super::system::warn(format_args!(
            "no memory for the network stack: give the machine more memory"
        ));
    };
    if STACK.0.set(stack).is_ok()
        && let Some(stack) = STACK.0.get()
    {
        thread::set_poller(&**stack);
    }
}

/// A new TCP (`stream`) or UDP socket of the IPv4 or, dual-stack, IPv6 family.
pub fn socket(v6: bool, stream: bool) -> Result<Rc<dyn Object>> {
    let stack = stack()?.clone();
    Ok(match stream {
        true => heap::try_rc(TcpSocket::new(stack, v6)).ok_or(Errno::ENOBUFS)?,
        false => heap::try_rc(UdpSocket::new(stack, v6)).ok_or(Errno::ENOBUFS)?,
    })
}

/// See [`resolve`](super::resolve::resolve).
pub fn resolve(name: &str, v4: bool, v6: bool) -> Result<Vec<IpAddr>> {
    super::resolve::resolve(stack()?, name, v4, v6)
}

/// Obeys lines written to `/run/cartridge/network`.
pub fn configure(text: &str) -> Result<()> {
    stack()?.run(|inner, now| inner.setup.configure(text, &mut inner.links, now))
}

/// What `/run/cartridge/network` reads as.
pub fn describe() -> Vec<u8> {
    let mut text = Text(heap::vec());
    if let Ok(stack) = stack() {
        let _ = stack.look(|inner| inner.setup.describe(&inner.links, &mut text));
    }
    text.0
}

/// The device's counters; zero without one.
pub fn counters() -> Counters {
    let counters = |stack: &Rc<Stack>| stack.look(|inner| inner.links.nic.map(|nic| nic.counters()));
    stack().ok().and_then(counters).unwrap_or_default()
}

/// TCP connections to the outside that exist now, closing ones included.
pub fn connections() -> usize {
    let Ok(stack) = stack() else { return 0 };
    stack.look(|inner| {
        let (mut from, mut count) = (0, 0);
        while let Some(index) = inner.connections.next_index(from) {
            from = index + 1;
            count += (inner.connections.get(index).link == LinkId::Outside) as usize;
        }
        count
    })
}

/// Closes every connection the program has open and sends what is queued, before the machine stops. Ends when everything is
/// acknowledged and the peers have ended their side, `patience` (ns) after the last progress, or after `limit` (ns).
pub fn drain(patience: u64, limit: u64) {
    let Ok(stack) = stack() else { return };
    stack.run(|inner, now| inner.close_all(now));
    let mut delivery = Delivery::new(super::system::now(), patience, limit);
    loop {
        let owed = stack.look(|inner| inner.owed());
        let now = super::system::now();
        if delivery.is_over(owed, now) {
            return;
        }
        super::system::wait(&[], now + PAUSE);
    }
}

/// How often `drain` looks, ns.
const PAUSE: u64 = 1_000_000;

/// Text in the kernel heap; what does not fit there is cut off.
struct Text(Vec<u8>);

impl Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.try_reserve(text.len()).map_err(|_| core::fmt::Error)?;
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
