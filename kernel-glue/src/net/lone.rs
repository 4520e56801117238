//! A smoltcp socket in a socket set of its own.
//!
//! smoltcp walks the whole set for every packet. The stack looks up which socket a packet is for before smoltcp sees it, and
//! then hands it a set of one: the cost of a packet does not grow with the number of connections.

use crate::heap::{self, Vec};
use smoltcp::iface::{SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::udp::{self, PacketMetadata};
use smoltcp::socket::{AnySocket, Socket};
use smoltcp::wire::IpListenEndpoint;

/// What a socket works in: the list of its datagrams (TCP has none), and bytes.
pub type Memory = (Vec<PacketMetadata>, Vec<u8>);

/// `socket` and the memory it works in, which is kept alive.
pub struct Lone {
    // Declared first, so dropped first: it borrows from the other two.
    set: SocketSet<'static>,
    handle: SocketHandle,
    _storage: Vec<SocketStorage<'static>>,
    _kept: Memory,
}

impl Lone {
    /// `None` when the kernel heap is exhausted.
    ///
    /// # Safety
    /// Everything `socket` borrows through [`lend`] is owned by `kept`, and is not touched through `kept` again.
    pub unsafe fn new<T: AnySocket<'static>>(socket: T, kept: Memory) -> Option<Lone> {
        let (set, handle, storage) = hold(socket.upcast())?;
        Some(Lone {
            set,
            handle,
            _storage: storage,
            _kept: kept,
        })
    }

    pub fn set(&mut self) -> &mut SocketSet<'static> {
        &mut self.set
    }

    pub fn get<T: AnySocket<'static>>(&self) -> &T {
        self.set.get(self.handle)
    }

    pub fn get_mut<T: AnySocket<'static>>(&mut self) -> &mut T {
        self.set.get_mut(self.handle)
    }
}

/// A UDP socket of the name `local` with room for so many datagrams, and their bytes, in each direction; `None` when the kernel heap
/// is exhausted or the name is impossible.
#[inline(never)]
pub fn udp_socket(local: IpListenEndpoint, receive: (usize, usize), send: (usize, usize)) -> Option<Lone> {
    let metadata = filled(receive.0 + send.0, || PacketMetadata::EMPTY)?;
    let mut memory: Memory = (metadata, bytes(receive.1 + send.1)?);
    // SAFETY: all four slices belong to `memory`, which `Lone` keeps and nobody touches.
    let mut lone = unsafe {
        let (receive_list, send_list) = lend(&mut memory.0).split_at_mut(receive.0);
        let (receive_bytes, send_bytes) = lend(&mut memory.1).split_at_mut(receive.1);
        let receive = udp::PacketBuffer::new(receive_list, receive_bytes);
        let send = udp::PacketBuffer::new(send_list, send_bytes);
        Lone::new(udp::Socket::new(receive, send), memory)?
    };
    lone.get_mut::<udp::Socket>().bind(local).ok()?;
    Some(lone)
}

/// `socket` in a set of its own, and the set's memory, to be dropped after the set.
#[inline(never)]
fn hold(socket: Socket<'static>) -> Option<(SocketSet<'static>, SocketHandle, Vec<SocketStorage<'static>>)> {
    let mut storage = filled(1, || SocketStorage::EMPTY)?;
    // SAFETY: `storage` stays beside the set, which `Lone` drops first; nothing else touches it.
    let slots = unsafe { lend(&mut storage) };
    let mut set = SocketSet::new(slots);
    let handle = set.add(socket);
    Some((set, handle, storage))
}

/// A vector of `length` zeros, or `None` when the kernel heap is exhausted.
#[inline(never)]
pub fn bytes(length: usize) -> Option<Vec<u8>> {
    let mut vector: Vec<u8> = heap::vec();
    vector.try_reserve_exact(length).ok()?;
    // SAFETY: the reservation made room for `length` bytes, which are all written before they count as the vector's. (Spelled
    // out because a loop over them stays one at this crate's level of optimisation: five instructions for each byte.)
    unsafe {
        vector.as_mut_ptr().write_bytes(0, length);
        vector.set_len(length);
    }
    Some(vector)
}

/// A vector of `length` values, or `None` when the kernel heap is exhausted.
pub fn filled<T>(length: usize, value: impl Fn() -> T) -> Option<Vec<T>> {
    let mut vector = heap::vec();
    vector.try_reserve_exact(length).ok()?;
    for slot in vector.spare_capacity_mut().iter_mut().take(length) {
        slot.write(value());
    }
    // SAFETY: there is room for `length` values, so the loop wrote that many.
    unsafe { vector.set_len(length) };
    Some(vector)
}

/// The contents of `owner` for a borrower that lives as long as it does.
///
/// # Safety
/// `owner` outlives every use of the slice, may be moved but is neither read, written nor resized meanwhile, and is lent once.
pub unsafe fn lend<T>(owner: &mut Vec<T>) -> &'static mut [T] {
    // SAFETY: pointer and length describe the vector's initialised contents on the heap, which moving the vector does not
    // move; exclusive by the caller's promise.
    unsafe { core::slice::from_raw_parts_mut(owner.as_mut_ptr(), owner.len()) }
}
