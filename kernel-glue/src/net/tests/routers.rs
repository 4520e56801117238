//! IPv6 from router advertisements.

use super::raw::*;
use super::world::*;
use super::*;

const ADVERTISED: &str = "address fd01::5054:ff:fe12:3401/64";

fn solicitations(machine: &Alone) -> usize {
    let frames = machine.sent.borrow();
    frames
        .iter()
        .filter(|frame| frame[12..14] == [0x86, 0xdd] && frame[54] == 133)
        .count()
}

/// A machine with a static IPv4 address that has heard `advertisements`.
fn hearing(advertisements: &[Advertisement]) -> Alone {
    let machine = alone();
    configure(&machine.stack, "static 10.0.2.15/24").unwrap();
    for advertisement in advertisements {
        hear(&machine, advertisement);
    }
    machine
}

fn hear(machine: &Alone, advertisement: &Advertisement) {
    machine.received.borrow_mut().push_back(advertisement.frame());
    machine.stack.poll();
}

#[test]
fn routers_are_asked_three_times_whatever_ipv4_is() {
    let machine = hearing(&[]);
    pass(3000);
    assert_eq!(solicitations(&machine), 1);
    pass(60_000);
    assert_eq!(solicitations(&machine), 3);
    let asked = machine.sent.borrow()[0].clone();
    assert_eq!(asked[..6], [0x33, 0x33, 0, 0, 0, 2]);
    assert_eq!(asked[21], 255, "hop limit");
    let answered = hearing(&[ADVERTISEMENT]);
    pass(60_000);
    assert_eq!(solicitations(&answered), 1);
}

#[test]
fn an_advertisement_gives_address_router_and_mtu() {
    let machine = hearing(&[Advertisement {
        mtu: Some(1400),
        ..ADVERTISEMENT
    }]);
    let text = describe(&machine.stack);
    assert!(text.contains(ADVERTISED), "{text}");
    assert!(text.contains("gateway fe80::1") && text.contains("mtu 1400"), "{text}");
    let off_link = hearing(&[Advertisement {
        prefix: Some((3600, 0x40)),
        ..ADVERTISEMENT
    }]);
    assert!(describe(&off_link.stack).contains("fd01::5054:ff:fe12:3401/128"));
    let stateful = hearing(&[Advertisement {
        prefix: Some((3600, 0x80)),
        ..ADVERTISEMENT
    }]);
    let text = describe(&stateful.stack);
    assert!(!text.contains("fd01") && text.contains("gateway fe80::1"), "{text}");
}

#[test]
fn what_is_no_advertisement_is_ignored() {
    let forwarded = Advertisement {
        hops: 254,
        ..ADVERTISEMENT
    };
    let foreign = Advertisement {
        source: [0xfd; 16].into(),
        ..ADVERTISEMENT
    };
    let machine = hearing(&[forwarded, foreign]);
    let mut garbled = ADVERTISEMENT.frame();
    garbled[60] ^= 1;
    machine.received.borrow_mut().push_back(garbled);
    for length in 14..ADVERTISEMENT.frame().len() {
        machine
            .received
            .borrow_mut()
            .push_back(ADVERTISEMENT.frame()[..length].to_vec());
        machine.stack.poll();
    }
    let text = describe(&machine.stack);
    assert!(!text.contains("fd01") && !text.contains("gateway"), "{text}");
    pass(60_000);
    assert_eq!(solicitations(&machine), 3, "asking goes on");
}

#[test]
fn what_was_advertised_ends() {
    let machine = hearing(&[ADVERTISEMENT]);
    pass(1_801_000);
    let text = describe(&machine.stack);
    assert!(text.contains(ADVERTISED) && !text.contains("gateway"), "{text}");
    pass(1_800_000);
    assert!(!describe(&machine.stack).contains("fd01"));
    // At once only with an authority that an advertisement has not (RFC 4862 5.5.3 e).
    let machine = hearing(&[
        ADVERTISEMENT,
        Advertisement {
            router: 0,
            prefix: Some((0, 0xc0)),
            ..ADVERTISEMENT
        },
    ]);
    let text = describe(&machine.stack);
    assert!(text.contains(ADVERTISED) && !text.contains("gateway"), "{text}");
}

#[test]
fn ipv4_goes_on_when_a_router_leaves() {
    let world = world();
    let listener = listen(&world.server, "0.0.0.0:80", 8);
    let gone = Advertisement {
        router: 0,
        prefix: None,
        ..ADVERTISEMENT
    };
    inject(&world, [gone.frame()]);
    let client = connect(&world.client, "10.0.0.1:80").unwrap();
    let server = accept(&listener);
    assert_eq!(server.write(b"still here"), Ok(10));
    assert_eq!(client.read(&mut [0; 64]), Ok(10));
}

#[test]
fn an_mtu_of_dhcp_leaves_the_advertised_address() {
    let machine = hearing(&[ADVERTISEMENT]);
    let server = Server {
        mtu: 1450,
        ..DHCP_SERVER
    };
    machine.answering(move |frame| server.answer(frame));
    configure(&machine.stack, "dhcp").unwrap();
    pass(3000);
    let text = describe(&machine.stack);
    assert!(
        text.contains("mtu 1450") && text.contains("10.0.2.15") && text.contains(ADVERTISED),
        "{text}"
    );
}

#[test]
fn nobody_waits_for_ipv6_longer_than_for_ipv4() {
    let machine = alone();
    machine.answering(|frame| DHCP_SERVER.answer(frame));
    configure(&machine.stack, "dhcp").unwrap();
    let begun = system::now();
    assert_eq!(
        connect(&machine.stack, "[2001:db8::1]:80").err(),
        Some(Errno::ENETUNREACH)
    );
    let waited = (system::now() - begun) / 1_000_000;
    assert!((4900..=5100).contains(&waited), "{waited} ms");
}

#[test]
fn a_renewal_forgets_no_neighbour() {
    let machine = alone();
    let server = Server {
        lease: 20,
        ..DHCP_SERVER
    };
    let requests = Rc::new(Cell::new(0));
    let counted = requests.clone();
    machine.answering(move |frame| {
        if frame[12..14] == [8, 6] {
            counted.set(counted.get() + 1);
            return std::vec![arp(2, [10, 0, 2, 2], [10, 0, 2, 15])];
        }
        server.answer(frame)
    });
    configure(&machine.stack, "dhcp").unwrap();
    pass(3000);
    let socket = UdpSocket::new(machine.stack.clone(), false);
    for _ in 0..5 {
        assert_eq!(socket.send_to(b"?", 0, Some(address("10.0.2.2:9"))), Ok(1));
        pass(9000);
    }
    assert_eq!(requests.get(), 1);
}
