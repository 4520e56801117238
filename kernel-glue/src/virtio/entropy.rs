//! The entropy device (virtio 5.4): one queue; the device fills buffers with random bytes.

use super::queue::{Direction, Queue};
use super::transport::{self, Doorbell, Failure, Transport};

/// Bytes asked for at a time: a seed is 32.
const CHUNK: usize = 64;

pub struct Entropy {
    queue: Queue,
    doorbell: Doorbell,
}

impl Entropy {
    pub fn open(transport: &dyn Transport) -> Result<Self, Failure> {
        let opened = Self::start(transport);
        if opened.is_err() {
            transport::fail(transport);
        }
        opened
    }

    fn start(transport: &dyn Transport) -> Result<Self, Failure> {
        transport::begin(transport, &|| 0)?;
        transport::queue_size(transport, 0, 1)?;
        let queue = Queue::allocate(1, CHUNK, Direction::FromDevice).ok_or(Failure::OutOfMemory)?;
        let doorbell = transport::enable_queue(transport, 0, &queue)?;
        transport::finish(transport);
        let device = Self { queue, doorbell };
        // Asked long before the bytes are needed, so that nobody has to wait for them.
        device.ask();
        Ok(device)
    }

    fn ask(&self) {
        if let Some(slot) = self.queue.free_slot() {
            slot.post(CHUNK);
            if self.queue.notification_wanted() {
                self.doorbell.ring();
            }
        }
    }

    /// Takes what the device has delivered, and asks it for more; returns how many bytes of `buffer` were written. Never waits.
    /// A device that breaks the rules delivers nothing more.
    pub fn take(&self, buffer: &mut [u8]) -> usize {
        let mut taken = 0;
        if let Ok(Some((slot, length))) = self.queue.completed() {
            taken = length.min(buffer.len());
            buffer[..taken].copy_from_slice(&slot.bytes()[..taken]);
        }
        self.ask();
        taken
    }
}
