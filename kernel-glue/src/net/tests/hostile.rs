//! What a peer, a router or a DHCP server may send to do harm.

use super::raw::*;
use super::world::*;
use super::*;
use smoltcp::wire::TcpControl;

#[test]
fn bytes_beyond_the_window_of_the_syn_ack_are_not_taken() {
    system::set_free_memory(512 << 20);
    let world = world();
    let listener = listen(&world.server, "0.0.0.0:80", 8);
    introduce(&world);
    let acknowledges = handshake(&world, 4000);
    let server = accept(&listener);
    inject(
        &world,
        [segment(
            4000,
            TcpControl::None,
            1001 + 65536,
            Some(acknowledges),
            &[1; 1460],
        )],
    );
    for at in (0..65536).step_by(1024) {
        inject(
            &world,
            [segment(
                4000,
                TcpControl::None,
                1001 + at,
                Some(acknowledges),
                &[2; 1024],
            )],
        );
    }
    let (mut total, mut buffer) = (0, [0; 5000]);
    server.set_nonblocking(true).unwrap();
    while let Ok(count) = server.read(&mut buffer) {
        assert!(
            buffer[..count].iter().all(|byte| *byte == 2),
            "what was never sent is read"
        );
        total += count;
    }
    assert!((60_000..=65535).contains(&total), "{total}");
}

/// A machine after `seconds` with this DHCP server.
fn leased(server: Server, seconds: u64) -> Alone {
    let machine = alone();
    machine.answering(move |frame| server.answer(frame));
    configure(&machine.stack, "dhcp").unwrap();
    pass(seconds * 1000);
    machine
}

#[test]
fn dhcp_cannot_name_an_impossible_next_hop() {
    assert!(describe(&leased(DHCP_SERVER, 3).stack).contains("gateway 10.0.2.2"));
    for hop in [[0; 4], [255; 4], [224, 0, 0, 1], [127, 0, 0, 1]] {
        let router = leased(
            Server {
                router: hop,
                ..DHCP_SERVER
            },
            3,
        );
        let [a, b, c, d] = hop;
        let routes = std::vec![0, a, b, c, d].leak();
        let classless = leased(Server { routes, ..DHCP_SERVER }, 3);
        for machine in [router, classless] {
            let text = describe(&machine.stack);
            assert!(
                text.contains("address 10.0.2.15/24") && !text.contains("gateway"),
                "{text}"
            );
            // An answer to another network asks for the route.
            machine
                .received
                .borrow_mut()
                .push_back(udp(([8, 8, 8, 8], 9), ([10, 0, 2, 15], 9), b"?"));
            machine.stack.poll();
        }
    }
}

#[test]
fn dhcp_cannot_come_from_nowhere() {
    // Its renewal would go to 0.0.0.0.
    let server = Server {
        source: [0; 4],
        lease: 2,
        ..DHCP_SERVER
    };
    assert!(!describe(&leased(server, 3).stack).contains("10.0.2.15"));
}

#[test]
fn a_peer_that_started_anew_comes_back() {
    let world = world();
    let listener = listen(&world.server, "0.0.0.0:80", 8);
    introduce(&world);
    let next = handshake(&world, 4000);
    let server = accept(&listener);
    // It forgot the connection, and uses its port again.
    inject(&world, [segment(4000, TcpControl::Syn, 777_777, None, &[])]);
    assert_eq!(answers(&world), [(TcpControl::None, next, Some(1001))], "a challenge");
    inject(&world, [segment(4000, TcpControl::Rst, 1001, None, &[])]);
    inject(&world, [segment(4000, TcpControl::Syn, 777_777, None, &[])]);
    assert!(matches!(answers(&world)[..], [(TcpControl::Syn, _, Some(777_778))]));
    assert_eq!(server.read(&mut [0; 8]), Err(Errno::ECONNRESET));
    // A forged SYN changes nothing.
    let next = handshake(&world, 4001);
    let server = accept(&listener);
    for round in 0..100 {
        inject(&world, [segment(4001, TcpControl::Syn, round * 40_000_000, None, &[])]);
    }
    inject(&world, [segment(4001, TcpControl::None, 1001, Some(next), b"here")]);
    assert_eq!(server.read(&mut [0; 8]), Ok(4));
}

#[test]
fn a_flood_of_handshakes_gets_small_buffers() {
    let world = world();
    let _listener = listen(&world.server, "0.0.0.0:80", 128);
    introduce(&world);
    for port in 1..=128 {
        inject(&world, [segment(port, TcpControl::Syn, 1, None, &[])]);
    }
    let bytes = world.server.run(|inner, _| inner.connections.bytes());
    assert!(bytes <= 128 * 8192 + super::super::CROWD as u64 * 8192, "{bytes}");
}

#[test]
fn a_closed_window_does_not_keep_a_closed_connection_for_ever() {
    let world = world();
    let listener = listen(&world.server, "0.0.0.0:80", 8);
    let client = connect(&world.client, "10.0.0.1:80").unwrap();
    let server = accept(&listener);
    server.set_nonblocking(true).unwrap();
    while server.write(&[0; 4096]).is_ok() {
        pass(10);
    }
    drop(server);
    pass(250_000);
    // The rest is still there for a reader that pauses.
    let (mut total, mut buffer) = (0, [0; 4096]);
    client
        .set_option(abi::SOL_SOCKET, abi::SO_RCVTIMEO, &timeout(60_000))
        .unwrap();
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        total += count;
    }
    assert!(total > 8192, "{total}");
    let _client = connect(&world.client, "10.0.0.1:80").unwrap();
    let server = accept(&listener);
    server.set_nonblocking(true).unwrap();
    while server.write(&[0; 4096]).is_ok() {
        pass(10);
    }
    drop(server);
    pass(700_000);
    assert_eq!(connections(&world.server), 0);
}

#[test]
fn a_half_closed_connection_to_a_vanished_peer_ends() {
    let world = world();
    let _listener = listen(&world.server, "0.0.0.0:80", 8);
    let client = connect(&world.client, "10.0.0.1:80").unwrap();
    let polled = world.client.clone();
    let sent = world.to_server.clone();
    system::while_waiting(move || {
        polled.poll();
        sent.borrow_mut().clear();
    });
    client.shutdown(abi::SHUT_WR).unwrap();
    let begun = system::now();
    assert_eq!(client.read(&mut [0; 8]), Err(Errno::ETIMEDOUT));
    assert!(system::now() - begun < 400_000_000_000);
}

/// Frames of every kind that the stack looks into.
fn samples(world: &World) -> Vec<Vec<u8>> {
    let client = connect(&world.client, "10.0.0.1:80").unwrap();
    client.write(b"sample").unwrap();
    let six = TcpSocket::new(world.client.clone(), true);
    six.set_nonblocking(true).unwrap();
    let _ = six.connect(address("[fd00::1]:80"));
    // TCP, and a neighbour solicitation.
    let mut samples: Vec<Vec<u8>> = world.to_server.borrow_mut().drain(..).collect();
    assert!(samples.len() >= 2);
    let mut fragment = ipv4(17, RAW, [10, 0, 0, 1], &[7; 64]);
    fragment[20] = 0x20;
    let too_big = [&[3, 4, 0, 0, 0, 0, 2, 200][..], &samples[0][14..42]].concat();
    let advertisement = Advertisement {
        mtu: Some(1400),
        ..ADVERTISEMENT
    };
    samples.extend([
        fragment,
        arp(1, RAW, [10, 0, 0, 1]),
        arp(2, RAW, [10, 0, 0, 1]),
        udp((RAW, 1000), ([10, 0, 0, 1], 9), b"nobody"),
        ipv4(1, RAW, [10, 0, 0, 1], &[8, 0, 0xf7, 0xff, 0, 0, 0, 0]),
        ipv4(1, RAW, [10, 0, 0, 1], &too_big),
        advertisement.frame(),
        segment(4000, smoltcp::wire::TcpControl::Syn, 1, None, &[]),
    ]);
    samples
}

#[test]
fn rubbish_on_the_wire_does_no_harm() {
    let world = world();
    let _listener = listen(&world.server, SERVER_ANY, 8);
    let samples = samples(&world);
    let mut state = 1u32;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for round in 0..40_000 {
        let mut frame = samples[round % samples.len()].clone();
        for _ in 0..1 + round % 4 {
            let at = random(frame.len());
            frame[at] = random(256) as u8;
        }
        if round % 3 == 0 {
            frame.truncate(random(frame.len()));
        }
        world.to_server.borrow_mut().push_back(frame);
        world.server.poll();
        world.to_client.borrow_mut().clear();
    }
    assert!(
        connect(&world.client, &std::format!("{SERVER}:80")).is_ok(),
        "it still works"
    );
}
