//! The DHCP client against a server that may be absent, odd or gone.

use super::raw::*;
use super::world::*;
use super::*;
use smoltcp::wire::*;

/// What a machine asked: message type, and the addresses of Ethernet and IP it asked at.
type Asked = Rc<RefCell<Vec<(DhcpMessageType, [u8; 6], [u8; 4])>>>;

/// A machine whose DHCP server answers, as often as `answers` says, and what it asked.
fn served(server: Server, answers: usize) -> (Alone, Asked) {
    let machine = alone();
    let asked = Asked::default();
    let told = asked.clone();
    machine.answering(move |frame| {
        let answer = server.answer(frame);
        if answer.is_empty() {
            return answer;
        }
        let packet = DhcpPacket::new_unchecked(&frame[42..]);
        let kind = DhcpRepr::parse(&packet).unwrap().message_type;
        let mut asked = told.borrow_mut();
        asked.push((kind, frame[..6].try_into().unwrap(), frame[30..34].try_into().unwrap()));
        if asked.len() <= answers { answer } else { Vec::new() }
    });
    configure(&machine.stack, "dhcp").unwrap();
    (machine, asked)
}

#[test]
fn a_lease_is_renewed_with_its_server_then_with_any_then_lost() {
    let server = Server {
        lease: 1000,
        ..DHCP_SERVER
    };
    let (machine, asked) = served(server, 2);
    let all = ([0xff; 6], [255; 4]);
    pass(490_000);
    assert_eq!(
        *asked.borrow(),
        [
            (DhcpMessageType::Discover, all.0, all.1),
            (DhcpMessageType::Request, all.0, all.1)
        ]
    );
    asked.borrow_mut().clear();
    // No answer any more.
    asked.borrow_mut().extend([(DhcpMessageType::Nak, all.0, all.1); 2]);
    pass(380_000);
    let renewals = asked.borrow()[2..].to_vec();
    assert!((3..=6).contains(&renewals.len()), "{renewals:?}");
    assert!(
        renewals
            .iter()
            .all(|ask| *ask == (DhcpMessageType::Request, RAW_MAC, [10, 0, 2, 2])),
        "{renewals:?}"
    );
    pass(125_000);
    assert_eq!(asked.borrow().last(), Some(&(DhcpMessageType::Request, all.0, all.1)));
    assert!(describe(&machine.stack).contains("10.0.2.15"));
    pass(20_000);
    let text = describe(&machine.stack);
    assert!(!text.contains("10.0.2.15") && !text.contains("gateway"), "{text}");
    assert_eq!(asked.borrow().last(), Some(&(DhcpMessageType::Discover, all.0, all.1)));
}

#[test]
fn a_renewed_lease_stays() {
    let server = Server {
        lease: 120,
        ..DHCP_SERVER
    };
    let (machine, asked) = served(server, usize::MAX);
    pass(490_000);
    assert!(describe(&machine.stack).contains("address 10.0.2.15/24"));
    let asked = asked.borrow();
    assert!((9..=11).contains(&asked.len()), "{}", asked.len());
}

#[test]
fn a_server_of_short_leases_is_not_asked_without_end() {
    let (machine, asked) = served(
        Server {
            lease: 0,
            ..DHCP_SERVER
        },
        usize::MAX,
    );
    pass(600_000);
    assert!(describe(&machine.stack).contains("address 10.0.2.15/24"));
    // At half of the shortest lease, 8 s: every 4 s.
    assert!(asked.borrow().len() <= 155, "{}", asked.borrow().len());
}

#[test]
fn an_offer_that_is_not_kept_is_given_up() {
    let (machine, asked) = served(DHCP_SERVER, 1);
    pass(40_000);
    let requests = |kind| asked.borrow().iter().filter(|ask| ask.0 == kind).count();
    assert_eq!(requests(DhcpMessageType::Request), 4);
    assert!(requests(DhcpMessageType::Discover) >= 2);
    assert!(describe(&machine.stack).starts_with("state failed"));
}

#[test]
fn a_server_that_refuses_what_it_offers_is_asked_more_and_more_seldom() {
    let server = Server {
        refuses: true,
        ..DHCP_SERVER
    };
    let (_machine, asked) = served(server, usize::MAX);
    pass(60_000);
    let discoveries = asked
        .borrow()
        .iter()
        .filter(|ask| ask.0 == DhcpMessageType::Discover)
        .count();
    assert!((4..=8).contains(&discoveries), "{discoveries} in a minute");
}

/// A device that was given up.
struct Dead;

impl NetworkDevice for Dead {
    fn mac_address(&self) -> [u8; 6] {
        RAW_MAC
    }
    fn mtu(&self) -> usize {
        1500
    }
    fn link_up(&self) -> bool {
        false
    }
    fn receive(&self, _take: &mut dyn FnMut(&[u8])) -> bool {
        false
    }
    fn can_receive(&self) -> bool {
        false
    }
    fn can_transmit(&self) -> bool {
        false
    }
    fn transmit(&self, _length: usize, _fill: &mut dyn FnMut(&mut [u8])) {}
    fn flush(&self) {}
    fn arm(&self) -> bool {
        true
    }
    fn disarm(&self) {}
    fn counters(&self) -> Counters {
        Counters::default()
    }
}

#[test]
fn a_device_that_was_given_up_lets_the_machine_sleep() {
    let stack = Stack::new(Some(&Dead)).unwrap();
    configure(&stack, "dhcp").unwrap();
    assert!(stack.deadline() >= system::now() + 1_000_000_000);
}

#[test]
fn routes_and_mtu_are_taken() {
    let routes = &[0, 10, 0, 2, 1, 32, 169, 254, 169, 254, 10, 0, 2, 9];
    let (machine, _) = served(
        Server {
            routes,
            mtu: 1400,
            ..DHCP_SERVER
        },
        2,
    );
    pass(3000);
    let text = describe(&machine.stack);
    assert!(
        text.contains("gateway 10.0.2.1\n") && text.contains("mtu 1400"),
        "{text}"
    );
}

#[test]
fn garbled_answers_do_no_harm() {
    let machine = alone();
    let state = Cell::new(1u32);
    machine.answering(move |frame| {
        let mut answers = Vec::new();
        for answer in DHCP_SERVER.answer(frame) {
            for _ in 0..200 {
                state.set(state.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
                let mut bad = answer.clone();
                let at = 42 + (state.get() >> 8) as usize % (bad.len() - 42);
                bad[at] = (state.get() >> 24) as u8;
                // As a server would have sent it: without a checksum.
                bad[40..42].fill(0);
                bad.truncate(bad.len() - (state.get() as usize >> 3) % 3);
                answers.push(bad);
            }
        }
        answers
    });
    configure(&machine.stack, "dhcp").unwrap();
    pass(100_000);
}
