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
