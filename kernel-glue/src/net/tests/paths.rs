//! Routers that cannot pass packets on, and neighbours that do not answer.

use super::raw::*;
use super::world::*;
use super::*;
use smoltcp::wire::{Icmpv6Packet, Ipv6Address};

/// An ICMP error of 10.0.0.3 about `frame`, which 10.0.0.1 sent.
fn error(kind: u8, code: u8, mtu: u16, frame: &[u8]) -> Vec<u8> {
    let mut message = std::vec![kind, code, 0, 0, 0, 0, (mtu >> 8) as u8, mtu as u8];
    message.extend(&frame[14..14 + 28]);
    ipv4(1, RAW, [10, 0, 0, 1], &message)
}

#[test]
fn segments_fit_a_path_that_says_it_is_narrow() {
    let world = world();
    let listener = listen(&world.server, "0.0.0.0:80", 8);
    let client = connect(&world.client, "10.0.0.1:80").unwrap();
    let server = accept(&listener);
    // A router between the two that takes 1300 bytes and says so.
    let (one, two) = (world.server.clone(), world.client.clone());
    let (to_server, to_client) = (world.to_server.clone(), world.to_client.clone());
    let largest = Rc::new(Cell::new(0));
    let seen = largest.clone();
    system::while_waiting(move || {
        one.poll();
        to_client.borrow_mut().retain(|frame| {
            let fits = frame.len() <= 14 + 1300;
            if !fits {
                to_server.borrow_mut().push_back(error(3, 4, 1300, frame));
            } else {
                seen.set(seen.get().max(frame.len()));
            }
            fits
        });
        two.poll();
    });
    assert_eq!(server.write(&[7; 6000]), Ok(6000));
    let (mut total, mut buffer) = (0, [0; 4096]);
    while total < 6000 {
        total += client.read(&mut buffer).unwrap();
    }
    assert_eq!(largest.get(), 14 + 1300);
    assert!(describe(&world.server).contains("mtu 1300"));
    pass(601_000);
    assert!(describe(&world.server).contains("mtu 1500"), "it may be wider now");
}

#[test]
fn a_path_is_believed_to_be_narrow_only_of_connections_and_not_below_the_least() {
    let world = world();
    let listener = listen(&world.server, "0.0.0.0:80", 8);
    introduce(&world);
    let next = handshake(&world, 4000);
    let _server = accept(&listener);
    let ours = |port: u16| {
        let mut frame = segment(port, smoltcp::wire::TcpControl::None, next, None, &[]);
        // From 10.0.0.1:80 to the raw peer's port.
        frame[26..34].rotate_left(4);
        frame[34..38].rotate_left(2);
        frame
    };
    inject(&world, [error(3, 4, 700, &ours(4001))]);
    assert!(describe(&world.server).contains("mtu 1500"));
    inject(&world, [error(3, 4, 0, &ours(4000))]);
    assert!(describe(&world.server).contains("mtu 576"));
    inject(&world, [error(3, 4, 1000, &ours(4000))]);
    assert!(describe(&world.server).contains("mtu 576"));
}

#[test]
fn icmpv6_errors_end_what_they_are_about() {
    let world = world();
    let (to_client, to_server) = (world.to_client.clone(), world.to_server.clone());
    let (one, two) = (world.server.clone(), world.client.clone());
    // In the server's place somebody who answers everything with `code`.
    let code = Rc::new(Cell::new(0));
    let told = code.clone();
    system::while_waiting(move || {
        two.poll();
        let mut kept = VecDeque::new();
        for frame in to_server.borrow_mut().drain(..) {
            if frame[12..14] != [0x86, 0xdd] || frame[20] == 58 {
                kept.push_back(frame);
                continue;
            }
            let mut message = std::vec![1, told.get(), 0, 0, 0, 0, 0, 0];
            message.extend(&frame[14..]);
            let address = |host| Ipv6Address::new(0xfd00, 0, 0, 0, 0, 0, 0, host);
            Icmpv6Packet::new_unchecked(&mut message[..]).fill_checksum(&address(1), &address(2));
            let mut answer = ipv6(58, 64, address(1), address(2), &message);
            answer[5] = 2;
            to_client.borrow_mut().push_back(answer);
        }
        *to_server.borrow_mut() = kept;
        one.poll();
        two.poll();
    });
    assert_eq!(connect(&world.client, "[fd00::1]:81").err(), Some(Errno::EHOSTUNREACH));
    code.set(4);
    assert_eq!(connect(&world.client, "[fd00::1]:81").err(), Some(Errno::ECONNREFUSED));
    let socket = UdpSocket::new(world.client.clone(), true);
    socket.connect(address("[fd00::1]:9")).unwrap();
    assert_eq!(socket.write(b"?"), Ok(1));
    assert_eq!(socket.read(&mut [0; 8]), Err(Errno::ECONNREFUSED));
}

#[test]
fn a_dead_neighbour_holds_up_no_datagram_to_others() {
    let world = world();
    let server = UdpSocket::new(world.server.clone(), false);
    server.bind(address("0.0.0.0:53000")).unwrap();
    let client = UdpSocket::new(world.client.clone(), false);
    for _ in 0..100 {
        assert_eq!(client.send_to(b"lost", 0, Some(address("10.0.0.77:9"))), Ok(4));
    }
    assert_eq!(client.send_to(b"one", 0, Some(address("10.0.0.1:53000"))), Ok(3));
    let mut buffer = [0; 64];
    server
        .set_option(abi::SOL_SOCKET, abi::SO_RCVTIMEO, &timeout(2500))
        .unwrap();
    assert_eq!(server.read(&mut buffer), Ok(3));
    pass(4000);
    assert_eq!(client.read(&mut buffer), Err(Errno::EHOSTUNREACH));
    assert_eq!(client.send_to(b"two", 0, Some(address("10.0.0.1:53000"))), Ok(3));
    assert_eq!(server.read(&mut buffer), Ok(3));
}

#[test]
fn a_datagram_outlives_its_socket() {
    let world = world();
    let server = UdpSocket::new(world.server.clone(), false);
    server.bind(address("0.0.0.0:53000")).unwrap();
    let client = UdpSocket::new(world.client.clone(), false);
    assert_eq!(client.send_to(b"farewell", 0, Some(address("10.0.0.1:53000"))), Ok(8));
    drop(client);
    server
        .set_option(abi::SOL_SOCKET, abi::SO_RCVTIMEO, &timeout(2500))
        .unwrap();
    assert_eq!(server.read(&mut [0; 64]), Ok(8));
}

#[test]
fn what_waits_for_a_neighbour_outside_is_not_looped_back() {
    let world = world();
    let at_home = UdpSocket::new(world.client.clone(), false);
    at_home.bind(address("0.0.0.0:9")).unwrap();
    let client = UdpSocket::new(world.client.clone(), false);
    assert_eq!(client.send_to(b"outside", 0, Some(address("10.0.0.77:9"))), Ok(7));
    assert_eq!(client.send_to(b"home", 0, Some(address("127.0.0.1:9"))), Ok(4));
    at_home
        .set_option(abi::SOL_SOCKET, abi::SO_RCVTIMEO, &timeout(100))
        .unwrap();
    assert_eq!(at_home.read(&mut [0; 64]), Ok(4));
    assert_eq!(at_home.read(&mut [0; 64]), Err(Errno::EAGAIN));
}

#[test]
fn next_hops_may_be_outside_the_prefix() {
    // As on Google's network: a /32, and a router that is on the link because a route says so. Beside it a host of its own.
    let server = Server {
        mask: [255; 4],
        routes: &[
            32, 172, 31, 1, 1, 0, 0, 0, 0, 0, 172, 31, 1, 1, 32, 169, 254, 169, 254, 0, 0, 0, 0,
        ],
        ..DHCP_SERVER
    };
    let machine = alone();
    let asked = Rc::new(RefCell::new(Vec::new()));
    let seen = asked.clone();
    machine.answering(move |frame| {
        if frame[12..14] == [8, 6] {
            assert_eq!(frame[28..32], [10, 0, 2, 15], "asked in its own name");
            let target = frame[38..42].try_into().unwrap();
            assert_eq!(frame[21], 1);
            seen.borrow_mut().push(target);
            return std::vec![arp(2, target, [10, 0, 2, 15])];
        }
        if frame[12..14] == [8, 0] && frame[23] == 17 && frame[36..38] == [0, 9] {
            // Answered from where it was sent to, if by the right way.
            assert_eq!(frame[..6], RAW_MAC);
            let from = frame[30..34].try_into().unwrap();
            let port = u16::from_be_bytes([frame[34], frame[35]]);
            return std::vec![udp((from, 9), ([10, 0, 2, 15], port), b"answer")];
        }
        server.answer(frame)
    });
    configure(&machine.stack, "dhcp").unwrap();
    pass(3000);
    let text = describe(&machine.stack);
    assert!(
        text.contains("address 10.0.2.15/32") && text.contains("gateway 172.31.1.1\n"),
        "{text}"
    );
    assert!(!text.contains("127."), "{text}");
    let socket = UdpSocket::new(machine.stack.clone(), false);
    socket
        .set_option(abi::SOL_SOCKET, abi::SO_RCVTIMEO, &timeout(500))
        .unwrap();
    for to in ["8.8.8.8:9", "169.254.169.254:9"] {
        assert_eq!(socket.send_to(b"?", 0, Some(address(to))), Ok(1));
        let (count, from) = socket.receive_from(&mut [0; 64], 0).unwrap();
        assert_eq!((count, from), (6, Some(address(to))));
    }
    assert_eq!(*asked.borrow(), [[172, 31, 1, 1], [169, 254, 169, 254]]);
    // The router asks for this machine too.
    machine
        .received
        .borrow_mut()
        .push_back(arp(1, [172, 31, 1, 1], [10, 0, 2, 15]));
    machine.stack.poll();
    let answer = machine.sent.borrow().back().unwrap().clone();
    assert_eq!(
        (&answer[..6], &answer[28..32], &answer[38..42]),
        (&RAW_MAC[..], &[10, 0, 2, 15][..], &[172, 31, 1, 1][..])
    );
}

#[test]
fn neighbours_are_found_side_by_side() {
    let world = world();
    for (at, to) in [("0.0.0.0:53000", "10.0.0.1:53000"), ("[::]:53001", "[fd00::1]:53001")] {
        let server = UdpSocket::new(world.server.clone(), at.starts_with('['));
        server.bind(address(at)).unwrap();
        let client = UdpSocket::new(world.client.clone(), at.starts_with('['));
        let dead = to.replace(".1:", ".77:").replace("::1]", "::77]");
        client.send_to(b"lost", 0, Some(address(&dead))).unwrap();
        client.send_to(b"one", 0, Some(address(to))).unwrap();
        server
            .set_option(abi::SOL_SOCKET, abi::SO_RCVTIMEO, &timeout(50))
            .unwrap();
        assert_eq!(server.read(&mut [0; 64]), Ok(3), "{to}");
    }
    let _listener = listen(&world.server, "0.0.0.0:80", 8);
    let begun = system::now();
    connect(&world.client, "10.0.0.1:80").unwrap();
    assert!(system::now() - begun < 100_000_000);
}
