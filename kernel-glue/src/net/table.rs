//! All TCP connections, found by index or by the two ends of their flow.

use super::connection::Connection;
use super::frame::Flow;
use super::system;
use crate::heap::{self, Box, Vec};
use smoltcp::wire::IpAddress;

/// More than this many connections are refused (each also needs its buffers' memory).
const MOST: usize = 4096;
/// A power of two: short chains up to MOST.
const BUCKETS: usize = 512;
const NONE: u32 = u32::MAX;

/// A slab of connections with a chained hash index whose seed peers cannot know.
pub struct Table {
    slots: Vec<Option<Box<Connection>>>,
    /// Slots in use.
    used: usize,
    /// Bytes of all buffers.
    bytes: u64,
    /// No slot before this one is free.
    from: u32,
    /// Index of the first connection of each bucket: none or all of [`BUCKETS`].
    heads: Vec<u32>,
    seed: u32,
}

impl Table {
    pub fn new() -> Table {
        Table {
            slots: heap::vec(),
            used: 0,
            bytes: 0,
            from: 0,
            heads: heap::vec(),
            seed: system::random() as u32,
        }
    }

    pub fn len(&self) -> usize {
        self.used
    }

    /// Bytes that the connections' buffers take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn get(&mut self, index: u32) -> &mut Connection {
        match self.slots.get_mut(index as usize) {
            Some(Some(connection)) => connection,
            _ => gone(),
        }
    }

    pub fn find(&self, flow: &Flow) -> Option<u32> {
        let mut at = *self.heads.get(self.bucket(flow))?;
        while let Some(connection) = self.slots.get(at as usize)?.as_deref() {
            if connection.flow == *flow {
                return Some(at);
            }
            at = connection.next;
        }
        None
    }

    /// `None` when the table or the kernel heap is full.
    pub fn insert(&mut self, connection: Box<Connection>) -> Option<u32> {
        if self.len() >= MOST {
            return None;
        }
        if self.heads.is_empty() {
            self.heads = super::lone::filled(BUCKETS, || NONE)?;
        }
        self.slots.try_reserve(1).ok()?;
        let mut index = self.from;
        while let Some(Some(_)) = self.slots.get(index as usize) {
            index += 1;
        }
        self.bytes += connection.size();
        let bucket = self.bucket(&connection.flow);
        let head = core::mem::replace(&mut self.heads[bucket], index);
        match self.slots.get_mut(index as usize) {
            Some(slot) => *slot = Some(connection),
            None => self.slots.push(Some(connection)),
        }
        self.get(index).next = head;
        self.used += 1;
        self.from = index + 1;
        Some(index)
    }

    /// Lets the connection's flow be used by another one, though whoever owns it keeps the index.
    pub fn unlink(&mut self, index: u32) {
        let flow = self.get(index).flow;
        let next = self.get(index).next;
        let bucket = self.bucket(&flow);
        if self.heads[bucket] == index {
            self.heads[bucket] = next;
        } else {
            let mut at = self.heads[bucket];
            while at != NONE {
                let before = self.get(at);
                if before.next == index {
                    before.next = next;
                    break;
                }
                at = before.next;
            }
        }
    }

    pub fn remove(&mut self, index: u32) {
        self.unlink(index);
        self.bytes -= self.get(index).size();
        self.slots[index as usize] = None;
        self.used -= 1;
        self.from = self.from.min(index);
        if self.used == 0 {
            (self.slots, self.heads, self.from) = (heap::vec(), heap::vec(), 0);
        }
    }

    /// Every index from `from` on that is in use.
    pub fn next_index(&self, from: u32) -> Option<u32> {
        (from..self.slots.len() as u32).find(|index| self.slots[*index as usize].is_some())
    }

    fn bucket(&self, flow: &Flow) -> usize {
        let address = match flow.remote.addr {
            IpAddress::Ipv4(address) => address.to_bits(),
            IpAddress::Ipv6(address) => {
                let bits = address.to_bits();
                (bits ^ (bits >> 32) ^ (bits >> 64) ^ (bits >> 96)) as u32
            }
        };
        let ports = (flow.local.port as u32) << 16 | flow.remote.port as u32;
        let mixed = ((ports ^ self.seed) as u64 * 0x9e37_79b9) ^ (address.wrapping_add(self.seed) as u64 * 0x85eb_ca6b);
        ((mixed >> 16) as usize) & (BUCKETS - 1)
    }
}

/// An index is held only by the connection's one owner.
#[cold]
#[inline(never)]
fn gone() -> ! {
    unreachable!("a connection was used after its end")
}

#[cfg(test)]
mod tests {
    use super::super::connection::{LinkId, Owner};
    use super::*;
    use smoltcp::wire::IpEndpoint;

    fn flow(port: u16) -> Flow {
        Flow {
            local: IpEndpoint::new(IpAddress::v4(10, 0, 2, 15), 8080),
            remote: IpEndpoint::new(IpAddress::v4(10, 0, 2, 2), port),
        }
    }

    #[test]
    fn connections_are_found_until_they_are_removed() {
        let mut table = Table::new();
        assert_eq!(table.find(&flow(1)), None);
        for port in 1..=100 {
            let connection = Connection::new(&flow(port), LinkId::Outside, Owner::Program, 0, false).unwrap();
            assert!(table.insert(connection).is_some());
        }
        assert_eq!(table.len(), 100);
        for port in (1..=100).step_by(2) {
            let index = table.find(&flow(port)).unwrap();
            assert_eq!(table.get(index).flow, flow(port));
            table.remove(index);
        }
        for port in 1..=100 {
            assert_eq!(table.find(&flow(port)).is_some(), port % 2 == 0);
        }
        while let Some(index) = table.next_index(0) {
            table.remove(index);
        }
        assert_eq!((table.len(), table.bytes(), table.slots.capacity()), (0, 0, 0));
    }
}
