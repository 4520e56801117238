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
        Ok(Self { queue, doorbell })
    }

    /// Fills `buffer` as far as the device delivers before `expired` says true; returns how many bytes it wrote. A device
    /// that breaks the rules delivers nothing more.
    pub fn fill(&self, buffer: &mut [u8], expired: &mut dyn FnMut() -> bool) -> usize {
        let mut filled = 0;
        while filled < buffer.len() {
            if let Some(slot) = self.queue.free_slot() {
                slot.post(CHUNK);
                if self.queue.notification_wanted() {
                    self.doorbell.ring();
                }
            }
            match self.queue.completed() {
                Ok(Some((slot, length))) => {
                    let part = length.min(buffer.len() - filled);
                    buffer[filled..filled + part].copy_from_slice(&slot.bytes()[..part]);
                    filled += part;
                    // A device that answers with nothing at all must not keep us here.
                    if length == 0 && expired() {
                        break;
                    }
                }
                Ok(None) if !expired() => core::hint::spin_loop(),
                _ => break,
            }
        }
        filled
    }
}
