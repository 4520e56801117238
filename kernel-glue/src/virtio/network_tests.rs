//! The network driver against a fake device: frames, restarts, refusals.

use super::*;
use crate::virtio::fake::{DeviceSide, FakeRegisters, Posted};
use crate::virtio::feature::VERSION_1;
use crate::virtio::status::{ACKNOWLEDGE, DRIVER, DRIVER_OK, FAILED, FEATURES_OK, NEEDS_RESET};
use std::boxed::Box;
use std::vec::Vec;

const ALL: u64 = VERSION_1 | FEATURE_MAC | FEATURE_MTU | FEATURE_STATUS | 1 | 1 << 15;
const MAC: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];
const SIZE: u16 = 8;

struct Machine {
    registers: FakeRegisters,
    events: &'static Events,
    network: Network,
}

fn fake(features: u64) -> FakeRegisters {
    let registers = FakeRegisters::new(2, 1, features);
    let [mtu_low, mtu_high] = 1400u16.to_le_bytes();
    registers.0.borrow_mut().configuration = [&MAC[..], &[1, 0, 1, 0, mtu_low, mtu_high]].concat();
    registers
}

fn open(registers: FakeRegisters) -> Result<Machine, Failure> {
    let events = Box::leak(Box::new(Events::new()));
    let network = Network::open(registers.transport(), events, SIZE, || 0x0123_4567_89ab_cdef)?;
    Ok(Machine {
        registers,
        events,
        network,
    })
}

fn machine() -> Machine {
    open(fake(ALL)).unwrap()
}

impl Machine {
    fn deliver(&self, device: &mut DeviceSide, frame: &[u8]) {
        let posted = device.take().unwrap();
        device.write(&posted, &[&std::vec![0; self.network.header], frame].concat());
        device.complete(posted.index.into(), (self.network.header + frame.len()) as u32);
    }

    fn received(&self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while self.network.receive(&mut |frame| frames.push(frame.to_vec())) {}
        frames
    }
}

#[test]
fn frames_travel_both_ways() {
    let machine = machine();
    let network = &machine.network;
    assert_eq!(
        (network.mac_address(), network.mtu(), network.link_up()),
        (MAC, 1400, true)
    );
    assert_eq!(
        machine.registers.0.borrow().status,
        ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK
    );
    assert_eq!(
        machine.registers.0.borrow().driver_features & 0x8001,
        0,
        "only what we know is accepted"
    );
    assert_eq!(machine.registers.take_doorbell(), Some(0));

    let mut receive = machine.registers.queue(0);
    let frames = [std::vec![0xaa; 60], std::vec![0xbb; 1514]];
    frames.iter().for_each(|frame| machine.deliver(&mut receive, frame));
    assert!(network.can_receive());
    assert_eq!(machine.received(), frames);

    let mut transmit = machine.registers.queue(1);
    network.transmit(42, &mut |frame| frame.fill(0xcc));
    network.transmit(43, &mut |frame| frame.fill(0xdd));
    receive.want_notifications(false);
    network.flush();
    assert_eq!(machine.registers.take_doorbell(), Some(1));
    network.flush();
    assert_eq!(machine.registers.take_doorbell(), None, "one doorbell for all");
    let sent = transmit.take().unwrap();
    assert_eq!(transmit.read(&sent), [&[0; HEADER], &[0xcc; 42][..]].concat());
    let expected = Counters {
        received_frames: 2,
        received_bytes: 1574,
        sent_frames: 2,
        sent_bytes: 85,
        dropped: 0,
    };
    assert_eq!(network.counters(), expected);
}

#[test]
fn a_frame_is_answered_while_it_is_read() {
    let machine = machine();
    machine.deliver(&mut machine.registers.queue(0), &[7; 64]);
    machine.network.receive(&mut |frame| {
        machine
            .network
            .transmit(frame.len(), &mut |answer| answer.copy_from_slice(frame));
    });
    let mut transmit = machine.registers.queue(1);
    let sent: Posted = transmit.take().unwrap();
    assert_eq!(transmit.read(&sent)[12..], [7; 64]);
}

#[test]
fn a_full_send_ring_frees_itself() {
    let machine = machine();
    for _ in 0..SIZE {
        assert!(machine.network.can_transmit());
        machine.network.transmit(60, &mut |_| ());
    }
    assert!(!machine.network.can_transmit());
    machine.network.transmit(60, &mut |_| panic!("no buffer"));
    assert_eq!(machine.network.counters().dropped, 1);
    let mut transmit = machine.registers.queue(1);
    machine.deliver(&mut machine.registers.queue(0), &[1; 60]);
    assert!(
        machine.network.arm(),
        "a frame that cannot be answered keeps nobody awake"
    );
    assert!(transmit.interrupts_wanted(), "a full ring asks to be told of room");
    let posted = transmit.take().unwrap();
    transmit.complete(posted.index.into(), 0);
    assert!(!machine.network.arm(), "there is room");
    assert!(machine.network.can_transmit());
    machine.network.transmit(BUFFER, &mut |_| panic!("too long"));
    machine.network.transmit(usize::MAX, &mut |_| panic!("too long"));
    assert_eq!(machine.network.counters().dropped, 3);
}

#[test]
fn one_interrupt_is_enough_for_a_burst() {
    let machine = machine();
    let mut receive = machine.registers.queue(0);
    assert!(machine.network.arm());
    assert!(receive.interrupts_wanted());
    machine.deliver(&mut receive, &[1; 60]);
    assert_eq!(machine.received().len(), 1);
    assert!(!receive.interrupts_wanted(), "polling needs none");
    assert!(machine.network.arm() && receive.interrupts_wanted());
}

#[test]
fn frames_too_short_to_be_any_are_dropped() {
    let machine = machine();
    let mut receive = machine.registers.queue(0);
    for length in [0, 1, 11, 12, 25] {
        let posted = receive.take().unwrap();
        receive.complete(posted.index.into(), length);
    }
    assert_eq!(machine.received(), Vec::<Vec<u8>>::new());
    assert_eq!(
        (
            machine.network.counters().dropped,
            machine.network.counters().received_frames
        ),
        (5, 0)
    );
    machine.deliver(&mut receive, &[1; 14]);
    assert_eq!(machine.received(), [[1; 14]]);
}

#[test]
fn a_device_that_breaks_the_rules_is_reset_and_works_again() {
    let machine = machine();
    let resets = machine.registers.0.borrow().resets;
    machine.registers.queue(0).complete(77, 60);
    assert!(machine.network.can_receive());
    assert_eq!(machine.received().len(), 0);
    assert_eq!(machine.registers.0.borrow().resets, resets + 1);
    machine.deliver(&mut machine.registers.queue(0), &[3; 60]);
    assert_eq!(machine.received(), [[3; 60]]);

    machine.registers.queue(1).set_used_index(500);
    for _ in 0..=SIZE {
        machine.network.transmit(60, &mut |_| ());
    }
    assert!(!machine.network.can_transmit());
    assert!(machine.network.arm());
    assert_eq!(machine.registers.0.borrow().resets, resets + 2);
    assert!(machine.network.can_transmit());
}

#[test]
fn a_device_may_ask_for_its_reset() {
    let machine = machine();
    let resets = machine.registers.0.borrow().resets;
    machine.registers.0.borrow_mut().status |= NEEDS_RESET;
    machine.events.handle_change();
    machine.received();
    let device = machine.registers.0.borrow();
    assert_eq!((device.resets, device.status & NEEDS_RESET), (resets + 1, 0));
}

#[test]
fn restarts_are_bounded() {
    let machine = machine();
    for _ in 0..MOST_RESTARTS {
        machine.registers.queue(0).complete(77, 60);
        machine.received();
        assert!(machine.network.link_up());
    }
    machine.registers.queue(0).complete(77, 60);
    machine.received();
    assert!(!machine.network.link_up());
    assert_ne!(machine.registers.0.borrow().status & FAILED, 0);
    assert!(!machine.network.can_receive() && !machine.network.can_transmit() && machine.network.arm());
    machine.network.transmit(60, &mut |_| panic!("the device is gone"));
}

#[test]
fn a_reset_waits_for_the_frame_in_hand() {
    let machine = machine();
    let mut receive = machine.registers.queue(0);
    machine.deliver(&mut receive, &[1; 60]);
    machine.deliver(&mut receive, &[2; 60]);
    machine.network.receive(&mut |_| {
        machine.network.demand_restart(format_args!("test"));
        assert!(
            !machine
                .network
                .receive(&mut |_| panic!("not while another frame is in hand"))
        );
    });
    assert!(!machine.network.receive(&mut |_| panic!("lost with the reset")));
    machine.deliver(&mut machine.registers.queue(0), &[3; 60]);
    assert_eq!(machine.received(), [[3; 60]]);
}

#[test]
fn link_changes_are_seen() {
    let machine = machine();
    for up in [0, 1] {
        machine.registers.0.borrow_mut().configuration[CONFIGURATION_STATUS] = up;
        machine.events.handle_change();
        machine.network.arm();
        assert_eq!(machine.network.link_up(), up == 1);
    }
}

#[test]
fn without_features_there_are_defaults() {
    let machine = open(fake(VERSION_1)).unwrap();
    assert_eq!(machine.network.mac_address(), [0xee, 0xcd, 0xab, 0x89, 0x67, 0x45]);
    assert_eq!((machine.network.mtu(), machine.network.link_up()), (1500, true));
    for first in [0x01, 0xff] {
        let group = fake(ALL);
        group.0.borrow_mut().configuration[0] = first;
        assert_eq!(
            open(group).unwrap().network.mac_address()[0],
            0xee,
            "a group address is nobody's own"
        );
    }
    let jumbo = fake(ALL);
    jumbo.0.borrow_mut().configuration[CONFIGURATION_MTU + 1] = 0x23;
    assert_eq!(
        open(jumbo).unwrap().network.mtu(),
        1500,
        "an MTU beyond our buffers is declined"
    );
    assert_eq!(jumbo.0.borrow().driver_features & FEATURE_MTU, 0);
}

#[test]
fn until_an_interrupt_came_the_device_is_polled() {
    let machine = machine();
    assert_eq!(machine.network.poll_interval(), UNPROVEN_INTERVAL);
    machine.events.handle();
    assert_eq!(machine.network.poll_interval(), u64::MAX);
}

#[test]
fn a_quiet_device_is_polled_less_and_less_until_a_frame_comes_without_an_interrupt() {
    let machine = machine();
    for _ in 0..20 {
        assert!(machine.network.arm());
    }
    assert_eq!(machine.network.poll_interval(), UNPROVEN_INTERVAL_MAX);
    machine.deliver(&mut machine.registers.queue(0), &[7; 60]);
    assert_eq!(machine.received().len(), 1);
    for _ in 0..20 {
        assert!(machine.network.arm());
        assert_eq!(
            machine.network.poll_interval(),
            UNPROVEN_INTERVAL,
            "its interrupts get lost"
        );
    }
}

#[test]
fn devices_that_do_not_cooperate_are_refused() {
    let refusal = |bend: fn(&mut crate::virtio::fake::Device)| {
        let registers = fake(ALL);
        bend(&mut registers.0.borrow_mut());
        let failure = open(registers).err();
        let status = registers.0.borrow().status;
        assert!(status & FAILED != 0 || failure == Some(Failure::Reset));
        failure
    };
    assert_eq!(refusal(|device| device.stuck_reset = true), Some(Failure::Reset));
    assert_eq!(
        refusal(|device| device.refuse_features = true),
        Some(Failure::FeaturesRefused)
    );
    assert_eq!(
        refusal(|device| device.features &= !VERSION_1),
        Some(Failure::FeaturesRefused)
    );
    assert_eq!(refusal(|device| device.queue_maximum = 0), Some(Failure::NoQueue(0)));
    assert_eq!(
        refusal(|device| device.refuse_queues = true),
        Some(Failure::QueueRefused(0))
    );
    let small = fake(ALL);
    small.0.borrow_mut().queue_maximum = 3;
    assert_eq!(
        open(small).unwrap().network.receive.size(),
        2,
        "sizes are powers of two"
    );
}
