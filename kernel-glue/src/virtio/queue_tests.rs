//! The queue against devices that follow the rules and devices that break each one of them.

use super::*;
use crate::virtio::fake::DeviceSide;

const STRIDE: usize = 256;

fn receive_queue(size: u16) -> (Queue, DeviceSide) {
    let queue = Queue::allocate(size, STRIDE, Direction::FromDevice).unwrap();
    while let Some(slot) = queue.free_slot() {
        slot.post(STRIDE);
    }
    let device = DeviceSide::new(queue.addresses(), size);
    (queue, device)
}

fn violation(queue: &Queue) -> Option<Violation> {
    queue.completed().err()
}

#[test]
fn only_powers_of_two_up_to_the_maximum_are_sizes() {
    for size in [0, 3, 96, 256, 65535] {
        assert!(Queue::allocate(size, STRIDE, Direction::ToDevice).is_none(), "{size}");
    }
    assert!(Queue::allocate(1, STRIDE, Direction::ToDevice).is_some());
    assert!(Queue::allocate(MAXIMUM_SIZE, STRIDE, Direction::ToDevice).is_some());
}

#[test]
fn buffers_travel_in_order_and_the_indices_wrap() {
    let (queue, mut device) = receive_queue(8);
    for round in 0..70_000u32 {
        let posted = device.take().unwrap();
        assert_eq!((posted.length as usize, posted.device_writes), (STRIDE, true));
        device.write(&posted, &round.to_le_bytes());
        device.complete(posted.index.into(), 4);
        let (slot, length) = queue.completed().unwrap().unwrap();
        assert_eq!((length, &slot.bytes()[..4]), (4, &round.to_le_bytes()[..]));
        slot.post(STRIDE);
        assert!(queue.completed().unwrap().is_none());
    }
}

#[test]
fn sent_bytes_reach_the_device_and_the_buffer_comes_back() {
    let queue = Queue::allocate(2, STRIDE, Direction::ToDevice).unwrap();
    let mut device = DeviceSide::new(queue.addresses(), 2);
    let mut first = queue.free_slot().unwrap();
    first.bytes_mut()[..5].copy_from_slice(b"hello");
    first.post(5);
    queue.free_slot().unwrap().post(usize::MAX);
    assert!(queue.free_slot().is_none());
    let posted = device.take().unwrap();
    assert_eq!((device.read(&posted), posted.device_writes), (b"hello".to_vec(), false));
    assert_eq!(
        device.take().unwrap().length as usize,
        STRIDE,
        "a length never exceeds the buffer"
    );
    // A length told for a buffer that the device only reads is ignored.
    device.complete(posted.index.into(), u32::MAX);
    let (slot, length) = queue.completed().unwrap().unwrap();
    assert_eq!(length, 0);
    drop(slot);
    assert!(queue.has_free_slot());
}

#[test]
fn identifiers_out_of_range_are_refused() {
    for identifier in [8, 9, 127, 128, 0xffff, 0x1_0000, 0x1_0001, u32::MAX] {
        let (queue, mut device) = receive_queue(8);
        device.complete(identifier, 10);
        assert_eq!(violation(&queue), Some(Violation::Identifier), "{identifier}");
    }
}

#[test]
fn a_buffer_completes_only_once() {
    let (queue, mut device) = receive_queue(8);
    device.complete(3, 10);
    let (slot, _) = queue.completed().unwrap().unwrap();
    device.complete(3, 10);
    assert_eq!(violation(&queue), Some(Violation::NotPosted), "held by the driver");
    drop(slot);
    assert_eq!(violation(&queue), Some(Violation::NotPosted), "the queue stays dead");
}

#[test]
fn a_length_beyond_the_buffer_is_refused() {
    for length in [STRIDE as u32 + 1, 0x8000_0000, u32::MAX] {
        let (queue, mut device) = receive_queue(8);
        device.complete(0, length);
        assert_eq!(violation(&queue), Some(Violation::Length), "{length}");
    }
    let (queue, mut device) = receive_queue(8);
    device.complete(0, STRIDE as u32);
    assert_eq!(queue.completed().unwrap().unwrap().1, STRIDE);
}

#[test]
fn an_index_that_jumps_is_refused() {
    for jump in [9, 10, 0x7fff, 0x8000, 0xffff] {
        let (queue, mut device) = receive_queue(8);
        device.set_used_index(jump);
        assert_eq!(violation(&queue), Some(Violation::Index), "{jump}");
        assert!(queue.has_completed(), "a dead queue never looks idle");
        assert!(!queue.arm());
    }
}

#[test]
fn an_index_that_steps_back_is_refused() {
    let (queue, mut device) = receive_queue(8);
    device.complete(0, 1);
    queue.completed().unwrap().unwrap().0.post(STRIDE);
    device.set_used_index(0);
    assert_eq!(violation(&queue), Some(Violation::Index));
}

#[test]
fn no_sequence_of_hostile_writes_panics_or_leaves_the_buffers() {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for _ in 0..2_000 {
        let (queue, mut device) = receive_queue(16);
        for _ in 0..40 {
            match next() % 4 {
                0 => device.complete(next() as u32 % 20, next() as u32 % 300),
                1 => device.complete(next() as u32 % 16, 64),
                2 => device.scribble(next(), next() as u16),
                _ => device.set_used_index(next() as u16 % 32),
            }
            while let Ok(Some((slot, length))) = queue.completed() {
                assert!(length <= slot.bytes().len());
                if next() % 2 == 0 {
                    slot.post(STRIDE);
                }
            }
            queue.arm();
        }
        assert!(queue.reset());
        assert_eq!(
            core::iter::from_fn(|| queue.free_slot().map(core::mem::forget)).count(),
            16
        );
    }
}

#[test]
fn reset_revives_a_dead_queue() {
    let (queue, mut device) = receive_queue(8);
    device.complete(99, 0);
    assert!(violation(&queue).is_some());
    let slot = queue.free_slot();
    assert!(slot.is_none());
    assert!(queue.reset());
    let mut device = DeviceSide::new(queue.addresses(), 8);
    let slot = queue.free_slot().unwrap();
    slot.post(STRIDE);
    let posted = device.take().unwrap();
    device.complete(posted.index.into(), 7);
    assert_eq!(queue.completed().unwrap().unwrap().1, 7);
}

#[test]
fn a_held_buffer_forbids_a_reset() {
    let (queue, mut device) = receive_queue(8);
    device.complete(2, 1);
    let (slot, _) = queue.completed().unwrap().unwrap();
    assert!(!queue.reset());
    drop(slot);
    assert!(queue.reset());
}

#[test]
fn arming_never_misses_a_completion() {
    let (queue, mut device) = receive_queue(8);
    assert!(!device.interrupts_wanted(), "quiet until armed");
    assert!(queue.arm());
    assert!(device.interrupts_wanted());
    queue.disarm();
    device.complete(0, 1);
    assert!(!queue.arm(), "work is there: do not sleep");
    assert!(!device.interrupts_wanted());
}

#[test]
fn the_device_decides_whether_it_wants_doorbells() {
    let (queue, mut device) = receive_queue(8);
    assert!(queue.notification_wanted());
    device.want_notifications(false);
    assert!(!queue.notification_wanted());
}
