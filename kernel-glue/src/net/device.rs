//! What the network stack asks of a network device (virtio-net; later Xen's netfront).

/// An Ethernet device. Methods take `&self` because a frame is answered while it is still being read.
pub trait NetworkDevice {
    fn mac_address(&self) -> [u8; 6];
    /// Largest IP packet, bytes (1500 on plain Ethernet).
    fn mtu(&self) -> usize;
    fn link_up(&self) -> bool;
    /// Hands the oldest received frame to `take`, then gives its buffer back to the device; false when there is none.
    /// `take` may call [`transmit`](Self::transmit), not `receive`.
    fn receive(&self, take: &mut dyn FnMut(&[u8])) -> bool;
    fn can_receive(&self) -> bool;
    fn can_transmit(&self) -> bool;
    /// Lets `fill` write a frame of `length` bytes and queues it. Only after `can_transmit`; a frame that does not fit
    /// is dropped and counted.
    fn transmit(&self, length: usize, fill: &mut dyn FnMut(&mut [u8]));
    /// Tells the device of everything queued since the last call (one doorbell).
    fn flush(&self);
    /// Asks for an interrupt at the next frame or, when the send ring is full (then no frame is taken either), at the next
    /// free place in it; false when one is already there.
    fn arm(&self) -> bool;
    /// Asks for no interrupts while frames are being polled.
    fn disarm(&self);
    fn counters(&self) -> Counters;
    /// Nanoseconds after which frames must be looked for although no interrupt came; `u64::MAX` once interrupts are
    /// known to arrive.
    fn poll_interval(&self) -> u64 {
        u64::MAX
    }
}

#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Counters {
    pub received_frames: u64,
    pub received_bytes: u64,
    pub sent_frames: u64,
    pub sent_bytes: u64,
    /// Frames thrown away: no buffer, bad length, ring errors.
    pub dropped: u64,
}
