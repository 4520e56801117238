//! The split virtqueue (virtio 2.7), in the one shape our drivers need: descriptor *i* always describes buffer *i*.
//!
//! So a completion names a buffer directly, and the driver's part of the descriptor table is written once. A driver that
//! needs chains (a block device) would put an indirect table (virtio 2.7.5.3) into a buffer.
//!
//! A buffer is in one of three states: *free*, *held* by the driver through a [`Slot`], or *posted* to the device. Only a
//! posted buffer can complete; anything else the device claims is a [`Violation`], and the queue stays dead until
//! [`Queue::reset`].

use super::memory::DeviceMemory;
use core::cell::Cell;
use core::fmt;
use core::sync::atomic::{AtomicU16, AtomicU32, Ordering, fence};

/// Most descriptors a queue may have.
pub const MAXIMUM_SIZE: u16 = 128;

/// Descriptor flag: the device writes the buffer (virtio 2.7.5).
const DEVICE_WRITES: u16 = 2;
/// Available-ring flag: the driver wants no interrupts (virtio 2.7.6).
const NO_INTERRUPT: u16 = 1;
/// Used-ring flag: the device wants no notifications (virtio 2.7.8).
const NO_NOTIFY: u16 = 1;

/// One entry of the descriptor table (virtio 2.7.5).
#[repr(C, align(16))]
struct Descriptor {
    address: u64,
    length: u32,
    flags: u16,
    next: u16,
}

/// Both rings begin with flags and index, 16 bits each.
const RING_HEADER: usize = 4;
/// Offsets of the parts from the start of the queue's memory, for a given size.
/// The used ring is aligned to [`USED_ALIGN`], which legacy devices are told (virtio 2.7.2).
#[derive(Clone, Copy)]
struct Layout {
    available: usize,
    used: usize,
    buffers: usize,
}

/// Bytes; at least 4 (virtio 2.7), and a cache line so that driver and device do not share one.
pub const USED_ALIGN: usize = 64;

const fn layout(size: u16) -> Layout {
    let available = size as usize * size_of::<Descriptor>();
    let used = (available + RING_HEADER + 2 * size as usize + 2).next_multiple_of(USED_ALIGN);
    let buffers = (used + RING_HEADER + 8 * size as usize + 2).next_multiple_of(USED_ALIGN);
    Layout {
        available,
        used,
        buffers,
    }
}

/// Which side writes the buffers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    ToDevice,
    FromDevice,
}

/// How a device broke the queue's rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Violation {
    /// The used index moved past everything that was posted.
    Index,
    /// A completion named a descriptor that does not exist.
    Identifier,
    /// A completion named a buffer that was not posted (for instance the same one twice).
    NotPosted,
    /// More bytes written than the buffer has.
    Length,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Self::Index => "the device completed more than it was given",
            Self::Identifier => "the device named a buffer that does not exist",
            Self::NotPosted => "the device completed a buffer that it does not have",
            Self::Length => "the device wrote past the end of a buffer",
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Held,
    Posted,
}

/// Physical addresses of the queue's parts, for the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addresses {
    pub descriptors: u64,
    pub available: u64,
    pub used: u64,
}

pub struct Queue {
    memory: DeviceMemory,
    layout: Layout,
    size: u16,
    direction: Direction,
    /// Bytes of one buffer.
    stride: usize,
    /// Our copy of the available index: what the device writes is never read back.
    available_index: Cell<u16>,
    used_index: Cell<u16>,
    violation: Cell<Option<Violation>>,
    states: [Cell<State>; MAXIMUM_SIZE as usize],
    /// A stack of the free buffers.
    free: [Cell<u8>; MAXIMUM_SIZE as usize],
    free_count: Cell<u16>,
    held_count: Cell<u16>,
}

impl Queue {
    /// A queue of `size` buffers of `stride` bytes each; `size` is a power of two, at most [`MAXIMUM_SIZE`]. `None` for
    /// another size, and when the kernel heap is exhausted.
    pub fn allocate(size: u16, stride: usize, direction: Direction) -> Option<Self> {
        if !size.is_power_of_two() || size > MAXIMUM_SIZE {
            return None;
        }
        let layout = layout(size);
        let queue = Self {
            memory: DeviceMemory::allocate(layout.buffers + size as usize * stride)?,
            layout,
            size,
            direction,
            stride,
            available_index: Cell::new(0),
            used_index: Cell::new(0),
            violation: Cell::new(None),
            states: [const { Cell::new(State::Free) }; MAXIMUM_SIZE as usize],
            free: [const { Cell::new(0) }; MAXIMUM_SIZE as usize],
            free_count: Cell::new(0),
            held_count: Cell::new(0),
        };
        queue.reset().then_some(queue)
    }

    pub fn size(&self) -> u16 {
        self.size
    }

    pub fn addresses(&self) -> Addresses {
        let descriptors = self.memory.physical();
        let available = descriptors + self.layout.available as u64;
        Addresses {
            descriptors,
            available,
            used: descriptors + self.layout.used as u64,
        }
    }

    /// Puts every buffer back and clears the rings. The device must not use the queue (it was reset, or never told). False,
    /// and nothing done, while the driver holds a [`Slot`].
    #[must_use]
    pub fn reset(&self) -> bool {
        if self.held_count.get() != 0 {
            return false;
        }
        for index in 0..self.size {
            let flags = if self.direction == Direction::FromDevice {
                DEVICE_WRITES
            } else {
                0
            };
            let address = self.memory.physical() + self.buffer_offset(index) as u64;
            let descriptor = Descriptor {
                address,
                length: self.stride as u32,
                flags,
                next: 0,
            };
            // SAFETY: the table has `size` entries at the start of the memory, which is page-aligned and ours.
            unsafe {
                self.part::<Descriptor>(0)
                    .add(index as usize)
                    .write_volatile(descriptor)
            }
            self.states[index as usize].set(State::Free);
            self.free[index as usize].set((self.size - 1 - index) as u8);
        }
        self.free_count.set(self.size);
        self.available_index.set(0);
        self.used_index.set(0);
        self.violation.set(None);
        self.available_flags().store(NO_INTERRUPT, Ordering::Relaxed);
        self.available_published().store(0, Ordering::Relaxed);
        self.used_flags().store(0, Ordering::Relaxed);
        self.used_published().store(0, Ordering::Release);
        true
    }

    /// Takes a free buffer.
    pub fn free_slot(&self) -> Option<Slot<'_>> {
        let count = self.free_count.get().checked_sub(1)?;
        self.free_count.set(count);
        let index = u16::from(self.free[count as usize].get());
        Some(self.hold(index))
    }

    fn hold(&self, index: u16) -> Slot<'_> {
        self.states[index as usize].set(State::Held);
        self.held_count.set(self.held_count.get() + 1);
        Slot { queue: self, index }
    }

    pub fn has_free_slot(&self) -> bool {
        self.free_count.get() != 0
    }

    /// True when a completion waits, or the queue is dead and [`completed`](Self::completed) has to say so.
    pub fn has_completed(&self) -> bool {
        self.used_published().load(Ordering::Relaxed) != self.used_index.get() || self.violation.get().is_some()
    }

    /// The oldest completed buffer and how many bytes the device wrote into it (always 0 when it only reads).
    pub fn completed(&self) -> Result<Option<(Slot<'_>, usize)>, Violation> {
        if let Some(violation) = self.violation.get() {
            return Err(violation);
        }
        let position = self.used_index.get();
        let published = self.used_published().load(Ordering::Acquire);
        if published == position {
            return Ok(None);
        }
        match self.check(position, published) {
            Ok((index, length)) => {
                self.used_index.set(position.wrapping_add(1));
                Ok(Some((self.hold(index), length)))
            }
            Err(violation) => {
                self.violation.set(Some(violation));
                Err(violation)
            }
        }
    }

    /// Checks the completion at ring position `position` before anything else trusts it.
    fn check(&self, position: u16, published: u16) -> Result<(u16, usize), Violation> {
        let outstanding = self.available_index.get().wrapping_sub(position);
        if published.wrapping_sub(position) > outstanding {
            return Err(Violation::Index);
        }
        let (identifier, length) = self.used_element(position);
        if identifier >= u32::from(self.size) {
            return Err(Violation::Identifier);
        }
        if self.states[identifier as usize].get() != State::Posted {
            return Err(Violation::NotPosted);
        }
        match self.direction {
            // What a device says it wrote into a buffer that it only reads means nothing (virtio 2.7.8.2).
            Direction::ToDevice => Ok((identifier as u16, 0)),
            Direction::FromDevice if length as usize > self.stride => Err(Violation::Length),
            Direction::FromDevice => Ok((identifier as u16, length as usize)),
        }
    }

    /// True when the device wants to hear of buffers posted since it last looked (virtio 2.7.13.4.1).
    pub fn notification_wanted(&self) -> bool {
        // The new available index must be visible before the flag is read, or both sides may wait for each other.
        fence(Ordering::SeqCst);
        self.used_flags().load(Ordering::Relaxed) & NO_NOTIFY == 0
    }

    /// Asks for an interrupt at the next completion; false, and no interrupts, when one already waits.
    pub fn arm(&self) -> bool {
        self.available_flags().store(0, Ordering::Relaxed);
        // The flag must be visible before the index is read: otherwise a completion in between interrupts nobody.
        fence(Ordering::SeqCst);
        if self.has_completed() {
            self.disarm();
            return false;
        }
        true
    }

    /// Asks for no interrupts (a hint: the device may still raise one).
    pub fn disarm(&self) {
        self.available_flags().store(NO_INTERRUPT, Ordering::Relaxed);
    }

    fn post(&self, index: u16, length: usize) {
        if self.direction == Direction::ToDevice {
            // SAFETY: `index` < size (a Slot's), so the entry lies in the table; the buffer is held, so the device does
            // not read its descriptor now.
            unsafe { (&raw mut (*self.part::<Descriptor>(0).add(index as usize)).length).write_volatile(length as u32) }
        }
        let position = self.available_index.get();
        self.available_entry(position).store(index, Ordering::Relaxed);
        self.states[index as usize].set(State::Posted);
        self.held_count.set(self.held_count.get() - 1);
        self.available_index.set(position.wrapping_add(1));
        self.available_published()
            .store(position.wrapping_add(1), Ordering::Release);
    }

    fn release(&self, index: u16) {
        self.held_count.set(self.held_count.get() - 1);
        self.states[index as usize].set(State::Free);
        let count = self.free_count.get();
        self.free[count as usize].set(index as u8);
        self.free_count.set(count + 1);
    }

    fn buffer_offset(&self, index: u16) -> usize {
        self.layout.buffers + index as usize * self.stride
    }

    fn part<T>(&self, offset: usize) -> *mut T {
        // SAFETY: callers pass offsets computed by `layout`, below the length the memory was allocated with.
        unsafe { self.memory.start().as_ptr().add(offset).cast() }
    }

    fn field(&self, offset: usize) -> &AtomicU16 {
        // SAFETY: ring fields are 2-byte aligned and inside the memory (see `part`), which lives as long as the queue. The
        // device writes them too, so they are only ever used as atomics; any bit pattern is valid.
        unsafe { &*self.part(offset) }
    }

    fn available_flags(&self) -> &AtomicU16 {
        self.field(self.layout.available)
    }
    fn available_published(&self) -> &AtomicU16 {
        self.field(self.layout.available + 2)
    }
    fn available_entry(&self, position: u16) -> &AtomicU16 {
        self.field(self.layout.available + RING_HEADER + 2 * self.wrap(position))
    }
    fn used_flags(&self) -> &AtomicU16 {
        self.field(self.layout.used)
    }
    fn used_published(&self) -> &AtomicU16 {
        self.field(self.layout.used + 2)
    }

    /// Identifier and length at ring position `position`, unchecked.
    fn used_element(&self, position: u16) -> (u32, u32) {
        let offset = self.layout.used + RING_HEADER + 8 * self.wrap(position);
        // SAFETY: as in `field`; elements are two 32-bit words at a 4-byte aligned offset inside the used ring.
        let [identifier, length]: &[AtomicU32; 2] = unsafe { &*self.part(offset) };
        (identifier.load(Ordering::Relaxed), length.load(Ordering::Relaxed))
    }

    fn wrap(&self, position: u16) -> usize {
        usize::from(position & (self.size - 1))
    }
}

/// A buffer that the driver holds: neither free nor with the device. Dropped without [`post`](Self::post), it is free again.
pub struct Slot<'queue> {
    queue: &'queue Queue,
    index: u16,
}

impl Slot<'_> {
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: a Slot's index is below the queue's size, so the buffer lies inside the memory. A held buffer has no
        // other Slot and is not posted, so nothing writes it while it is borrowed from here. Memory that a device fills
        // counts as initialised: the compiler cannot see who wrote it.
        unsafe { core::slice::from_raw_parts(self.start(), self.queue.stride) }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and the Slot is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.start(), self.queue.stride) }
    }

    /// Gives the buffer to the device: `length` bytes to read, or all of it to write.
    pub fn post(self, length: usize) {
        self.queue.post(self.index, length.min(self.queue.stride));
        core::mem::forget(self);
    }

    fn start(&self) -> *mut u8 {
        self.queue.part(self.queue.buffer_offset(self.index))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.queue.release(self.index);
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
