//! The whole stack against itself: two machines on a simulated cable, simulated time.

use super::device::{Counters, NetworkDevice};
use super::stack::Stack;
use super::system;
use super::tcp::TcpSocket;
use super::udp::UdpSocket;
use crate::errno::Errno;
use crate::object::{Events, Object, Socket};
use hermit_abi as abi;
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::string::String;
use std::string::ToString;
use std::vec::Vec;

mod dhcp;
mod hostile;
mod paths;
mod raw;
mod routers;
mod world;
use world::*;

#[test]
fn a_connection_carries_bytes_both_ways_and_ends() {
    let world = world();
    let listener = listen(&world.server, "0.0.0.0:80", 8);
    let client = connect(&world.client, "10.0.0.1:80").unwrap();
    let server = accept(&listener);
    assert_eq!(client.write(b"request"), Ok(7));
    let mut buffer = [0; 64];
    assert_eq!(server.read(&mut buffer), Ok(7));
    assert_eq!(server.write(b"answer"), Ok(6));
    drop(server);
    assert_eq!(client.receive_from(&mut buffer, abi::MSG_PEEK), Ok((6, None)));
    assert_eq!(client.read(&mut buffer), Ok(6));
    assert_eq!(client.read(&mut buffer), Ok(0));
    drop(client);
    pass(2000);
    assert_eq!((connections(&world.server), connections(&world.client)), (0, 0));
}

#[test]
fn much_arrives_whole_though_frames_are_lost() {
    let world = world();
    let listener = listen(&world.server, "[::]:80", 8);
    for (to, lose) in [
        ("10.0.0.1:80", 0),
        ("[fd00::1]:80", 0),
        ("10.0.0.1:80", 31),
        ("[fd00::1]:80", 17),
    ] {
        let client = connect(&world.client, to).unwrap();
        let server = accept(&listener);
        world.lose_every.set(lose);
        client.set_nonblocking(true).unwrap();
        let sent: Vec<u8> = (0..300_000u32).map(|n| ((n * 7) >> 3) as u8).collect();
        let (mut at, mut got, mut buffer) = (0, Vec::new(), [0; 5000]);
        while got.len() < sent.len() {
            while at < sent.len() {
                match client.write(&sent[at..]) {
                    Ok(count) => at += count,
                    Err(error) => {
                        assert_eq!(error, Errno::EAGAIN);
                        break;
                    }
                }
            }
            let count = server.read(&mut buffer).unwrap();
            got.extend_from_slice(&buffer[..count]);
        }
        assert!(got == sent);
    }
    world.lose_every.set(0);
    pass(120_000);
    assert_eq!((connections(&world.server), connections(&world.client)), (0, 0));
}

#[test]
fn lost_frames_are_sent_again() {
    let world = world();
    let listener = listen(&world.server, "0.0.0.0:80", 8);
    let client = connect(&world.client, "10.0.0.1:80").unwrap();
    let server = accept(&listener);
    client.set_nonblocking(true).unwrap();
    server.set_nonblocking(true).unwrap();
    world.lose_every.set(23);
    let sent: Vec<u8> = (0..100_000u32).map(|n| ((n * 7) >> 3) as u8).collect();
    let (mut at, mut got, mut buffer) = (0, Vec::new(), [0; 5000]);
    let begun = system::now();
    while got.len() < sent.len() {
        at += client.write(&sent[at..]).unwrap_or(0);
        let count = server.read(&mut buffer).unwrap_or(0);
        got.extend_from_slice(&buffer[..count]);
        pass(1);
        assert!(
            system::now() - begun < 300_000_000_000,
            "{} of {} bytes in 300 s",
            got.len(),
            sent.len()
        );
    }
    assert!(got == sent);
}

#[test]
fn frames_wait_while_none_can_be_sent() {
    let world = world();
    let listener = listen(&world.server, "0.0.0.0:80", 8);
    let client = connect(&world.client, "10.0.0.1:80").unwrap();
    let server = accept(&listener);
    system::while_waiting(|| ());
    world.to_client.borrow_mut().resize(SEND_RING, Vec::new());
    assert_eq!(client.write(b"not lost"), Ok(8));
    world.server.poll();
    assert!(
        !world.to_server.borrow().is_empty(),
        "taken though it cannot be acted on"
    );
    assert!(
        world.server.deadline() > system::now(),
        "the machine may sleep meanwhile"
    );
    world.to_client.borrow_mut().clear();
    world.server.poll();
    let mut buffer = [0; 64];
    server.set_nonblocking(true).unwrap();
    assert_eq!(server.read(&mut buffer), Ok(8));
}

#[test]
fn without_memory_a_connection_is_refused_at_once_and_others_go_on() {
    let world = world();
    let listener = listen(&world.server, "0.0.0.0:80", 8);
    let client = connect(&world.client, "10.0.0.1:80").unwrap();
    let server = accept(&listener);
    let waiting = TcpSocket::new(world.client.clone(), false);
    waiting.set_nonblocking(true).unwrap();
    assert_eq!(waiting.connect(address("10.0.0.1:80")), Err(Errno::EINPROGRESS));
    system::set_free_memory(100 << 10);
    pass(10);
    let mut value = [0; 4];
    waiting.option(abi::SOL_SOCKET, abi::SO_ERROR, &mut value).unwrap();
    assert_eq!(i32::from_ne_bytes(value), abi::errno::ECONNREFUSED);
    assert_eq!(client.write(b"request"), Ok(7));
    assert_eq!(server.read(&mut [0; 64]), Ok(7));
    system::set_free_memory(16 << 20);
    connect(&world.client, "10.0.0.1:80").unwrap();
}

#[test]
fn names_are_asked_of_the_server() {
    let world = world();
    configure(&world.client, "static 10.0.0.2/24 dns 10.0.0.1").unwrap();
    let server = UdpSocket::new(world.server.clone(), false);
    server.bind(address("10.0.0.1:53")).unwrap();
    server.set_nonblocking(true).unwrap();
    let (one, two) = (world.server.clone(), world.client.clone());
    system::while_waiting(move || {
        one.poll();
        two.poll();
        let mut query = [0; 512];
        let Ok((length, Some(from))) = server.receive_from(&mut query, 0) else {
            return;
        };
        // The question, then one answer: its name, A, IN, 60 s, 4 bytes. Any other name does not exist.
        let mut answer = query[..length].to_vec();
        answer[2] = 0x81;
        answer[3] = if query[13..].starts_with(b"here") { 0x80 } else { 0x83 };
        answer[7] = 1;
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 9, 8, 7]);
        let _ = server.send_to(&answer, 0, Some(from));
    });
    let found = super::resolve::resolve(&world.client, "here.example", true, true).unwrap();
    assert_eq!(found, [std::net::IpAddr::from([10, 9, 8, 7])]);
    assert_eq!(
        super::resolve::resolve(&world.client, "gone.example", true, false),
        Err(Errno::ENOENT)
    );
    let before = system::now();
    configure(&world.client, "static 10.0.0.2/24 dns 10.0.0.77").unwrap();
    assert!(super::resolve::resolve(&world.client, "here.example", true, false).is_err());
    assert!(system::now() - before <= 20_000_000_000);
}

#[test]
fn half_close_lets_the_answer_through() {
    let world = world();
    let listener = listen(&world.server, "0.0.0.0:80", 8);
    let client = connect(&world.client, "10.0.0.1:80").unwrap();
    let server = accept(&listener);
    client.write(b"question").unwrap();
    client.shutdown(abi::SHUT_WR).unwrap();
    assert_eq!(client.write(b"more"), Err(Errno::EPIPE));
    let mut buffer = [0; 64];
    assert_eq!(server.read(&mut buffer), Ok(8));
    assert_eq!(server.read(&mut buffer), Ok(0));
    assert_eq!(server.write(b"answer"), Ok(6));
    assert_eq!(client.read(&mut buffer), Ok(6));
    drop(server);
    assert_eq!(client.read(&mut buffer), Ok(0));
}

/// At the end of the program, the end of a peer's side is waited for, too.
#[test]
fn a_connection_is_delivered_when_its_peer_has_ended_it_too() {
    let world = world();
    let listener = listen(&world.server, "0.0.0.0:80", 8);
    let client = connect(&world.client, "10.0.0.1:80").unwrap();
    let server = accept(&listener);
    server.write(b"answer").unwrap();
    let owed = || world.server.look(|inner| inner.owed());
    assert!(owed() > 0);
    world.server.run(|inner, now| inner.close_all(now));
    let mut buffer = [0; 64];
    assert_eq!((client.read(&mut buffer), client.read(&mut buffer)), (Ok(6), Ok(0)));
    pass(50);
    assert_eq!(owed(), 1);
    drop(client);
    pass(50);
    assert_eq!(owed(), 0);
}

#[test]
fn refusals_resets_and_silence_are_told_apart() {
    let world = world();
    assert_eq!(connect(&world.client, "10.0.0.1:81").err(), Some(Errno::ECONNREFUSED));
    assert_eq!(connect(&world.client, "10.1.0.1:81").err(), Some(Errno::ENETUNREACH));
    let listener = listen(&world.server, "0.0.0.0:80", 8);
    let client = connect(&world.client, "10.0.0.1:80").unwrap();
    let server = accept(&listener);
    let mut linger = [0; 8];
    linger[0] = 1;
    server
        .as_socket()
        .unwrap()
        .set_option(abi::SOL_SOCKET, abi::SO_LINGER, &linger)
        .unwrap();
    drop(server);
    let mut buffer = [0; 8];
    assert_eq!(client.read(&mut buffer), Err(Errno::ECONNRESET));
    assert_eq!(client.read(&mut buffer), Ok(0));
    assert_eq!(client.write(b"x"), Err(Errno::EPIPE));
    // Nobody is there at all.
    assert_eq!(connect(&world.client, "10.0.0.9:80").err(), Some(Errno::ETIMEDOUT));
    drop((listener, client));
    pass(2000);
    assert_eq!((connections(&world.server), connections(&world.client)), (0, 0));
}

#[test]
fn an_idle_connection_stays() {
    let world = world();
    let listener = listen(&world.server, "0.0.0.0:80", 8);
    let client = connect(&world.client, "10.0.0.1:80").unwrap();
    let server = accept(&listener);
    pass(600_000);
    assert_eq!(client.write(b"still here"), Ok(10));
    assert_eq!(server.read(&mut [0; 64]), Ok(10));
}

#[test]
fn a_burst_larger_than_the_backlog_is_served_in_the_end() {
    let world = world();
    let listener = listen(&world.server, "0.0.0.0:80", 4);
    let clients: Vec<TcpSocket> = (0..20)
        .map(|_| {
            let client = TcpSocket::new(world.client.clone(), false);
            client.set_nonblocking(true).unwrap();
            assert_eq!(client.connect(address("10.0.0.1:80")), Err(Errno::EINPROGRESS));
            client
        })
        .collect();
    let accepted: Vec<_> = (0..20).map(|_| accept(&listener)).collect();
    pass(100);
    for client in &clients {
        assert_eq!(
            client.ready(Events(abi::POLLOUT)).0 & (abi::POLLOUT | abi::POLLERR | abi::POLLHUP),
            abi::POLLOUT
        );
    }
    drop((clients, accepted, listener));
    pass(12_000);
    assert_eq!((connections(&world.server), connections(&world.client)), (0, 0));
}

#[test]
fn a_failed_nonblocking_connect_shows_in_poll_and_so_error() {
    let world = world();
    let client = TcpSocket::new(world.client.clone(), false);
    client.set_nonblocking(true).unwrap();
    assert_eq!(client.connect(address("10.0.0.1:9")), Err(Errno::EINPROGRESS));
    pass(10);
    let expected = abi::POLLOUT | abi::POLLERR | abi::POLLHUP;
    assert_eq!(client.ready(Events(abi::POLLOUT)).0, expected);
    let mut value = [0; 4];
    client.option(abi::SOL_SOCKET, abi::SO_ERROR, &mut value).unwrap();
    assert_eq!(i32::from_ne_bytes(value), abi::errno::ECONNREFUSED);
    client.option(abi::SOL_SOCKET, abi::SO_ERROR, &mut value).unwrap();
    assert_eq!(i32::from_ne_bytes(value), 0);
}

#[test]
fn a_reader_outlives_the_connect_of_another_thread_that_fails() {
    let world = world();
    let client = Rc::new(TcpSocket::new(world.client.clone(), false));
    client.set_nonblocking(true).unwrap();
    assert_eq!(client.connect(address("10.0.0.1:9")), Err(Errno::EINPROGRESS));
    client.set_nonblocking(false).unwrap();
    let (other, failed) = (client.clone(), Rc::new(Cell::new(None)));
    let told = failed.clone();
    system::while_waiting(move || {
        world.server.poll();
        world.client.poll();
        if failed.get().is_none() && other.ready(Events(abi::POLLERR)).0 & abi::POLLERR != 0 {
            failed.set(other.connect(address("10.0.0.1:9")).err());
        }
    });
    assert_eq!(client.read(&mut [0; 8]), Err(Errno::ENOTCONN));
    assert_eq!(told.get(), Some(Errno::ECONNREFUSED));
}

#[test]
fn loopback_works_without_a_device() {
    let stack = Rc::new(Stack::new(None).unwrap());
    let polled = stack.clone();
    system::while_waiting(move || polled.poll());
    for at in ["127.0.0.1:80", "[::1]:80", "127.3.2.1:80"] {
        let listener = listen(&stack, at, 8);
        let client = connect(&stack, at).unwrap();
        let (server, peer) = listener.accept().unwrap();
        assert_eq!(Ok(peer), client.local_address());
        client.write(&[7; 10_000]).unwrap();
        let (mut total, mut buffer) = (0, [0; 4096]);
        while total < 10_000 {
            total += server.read(&mut buffer).unwrap();
        }
    }
    assert_eq!(connect(&stack, "10.0.0.1:80").err(), Some(Errno::ENETDOWN));
    assert_eq!(connect(&stack, "127.0.0.1:80").err(), Some(Errno::ECONNREFUSED));
    assert!(describe(&stack).starts_with("state absent"));
    pass(12_000);
    assert_eq!(connections(&stack), 0);
}

#[test]
fn what_comes_by_loopback_before_a_reader_waits_is_not_missed() {
    let world = world();
    let reader = UdpSocket::new(world.server.clone(), false);
    reader.bind(address("127.0.0.1:53000")).unwrap();
    let frame = raw::udp(([127, 0, 0, 1], 7), ([127, 0, 0, 1], 53000), b"left over");
    // As after a burst larger than what is delivered at once.
    world.server.look(|inner| {
        let packet = &frame[14..];
        let device = inner.links.loopback.device;
        device.transmit(packet.len(), &mut |room| room.copy_from_slice(packet));
    });
    assert_eq!(reader.read(&mut [0; 64]), Ok(9));
}

#[test]
fn own_addresses_are_local() {
    let world = world();
    let listener = listen(&world.server, "0.0.0.0:80", 8);
    let client = connect(&world.server, "10.0.0.1:80").unwrap();
    assert_eq!(
        accept(&listener).as_socket().unwrap().peer_address(),
        client.local_address()
    );
    assert_eq!(client.peer_address(), Ok(address("10.0.0.1:80")));
}

#[test]
fn names_in_use_are_refused() {
    let world = world();
    let _listener = listen(&world.server, "0.0.0.0:80", 8);
    let second = TcpSocket::new(world.server.clone(), false);
    assert_eq!(second.bind(address("10.0.0.1:80")), Err(Errno::EADDRINUSE));
    assert_eq!(second.bind(address("10.0.0.7:80")), Err(Errno::EADDRNOTAVAIL));
    assert_eq!(second.bind(address("10.0.0.1:81")), Ok(()));
    assert_eq!(second.local_address(), Ok(address("10.0.0.1:81")));
}

#[test]
fn ipv6_alone_is_not_ipv4() {
    let world = world();
    let six = TcpSocket::new(world.server.clone(), true);
    six.set_option(abi::IPPROTO_IPV6, abi::IPV6_V6ONLY, &[1, 0, 0, 0])
        .unwrap();
    six.bind(address("[::]:80")).unwrap();
    six.listen(8).unwrap();
    assert_eq!(connect(&world.client, "10.0.0.1:80").err(), Some(Errno::ECONNREFUSED));
    assert!(connect(&world.client, "[fd00::1]:80").is_ok());
    let _four = listen(&world.server, "0.0.0.0:80", 8);
    assert!(connect(&world.client, "10.0.0.1:80").is_ok());
}

#[test]
fn reads_time_out_and_shutdown_ends_them() {
    let world = world();
    let listener = listen(&world.server, "0.0.0.0:80", 8);
    let client = connect(&world.client, "10.0.0.1:80").unwrap();
    let _server = accept(&listener);
    client
        .set_option(abi::SOL_SOCKET, abi::SO_RCVTIMEO, &timeout(250))
        .unwrap();
    let before = system::now();
    assert_eq!(client.read(&mut [0; 8]), Err(Errno::EAGAIN));
    assert_eq!((system::now() - before) / 1_000_000, 250);
    client.shutdown(abi::SHUT_RD).unwrap();
    assert_eq!(client.read(&mut [0; 8]), Ok(0));
}

#[test]
fn datagrams() {
    let world = world();
    let server = UdpSocket::new(world.server.clone(), true);
    server.bind(address("[::]:53000")).unwrap();
    let client = UdpSocket::new(world.client.clone(), false);
    assert_eq!(client.send_to(b"one", 0, Some(address("10.0.0.1:53000"))), Ok(3));
    let mut buffer = [0; 64];
    let (count, from) = server.receive_from(&mut buffer, abi::MSG_PEEK).unwrap();
    assert_eq!(count, 3);
    assert!(from.unwrap().to_string().starts_with("[::ffff:10.0.0.2]"));
    assert_eq!(server.receive_from(&mut buffer[..2], 0).unwrap().0, 2);
    client.connect(address("10.0.0.1:53000")).unwrap();
    assert_eq!(client.local_address().unwrap().ip().to_string(), "10.0.0.2");
    assert_eq!(server.send_to(b"two", 0, from), Ok(3));
    assert_eq!(client.read(&mut buffer), Ok(3));
    assert_eq!(client.write(&[0; 1473]), Err(Errno::EMSGSIZE));
    assert_eq!(
        client.send_to(b"all", 0, Some(address("10.0.0.255:53000"))),
        Err(Errno::EACCES)
    );
    client
        .set_option(abi::SOL_SOCKET, abi::SO_BROADCAST, &[1, 0, 0, 0])
        .unwrap();
    assert_eq!(client.send_to(b"all", 0, Some(address("10.0.0.255:53000"))), Ok(3));
    assert_eq!(server.read(&mut buffer), Ok(3));
    drop(server);
    assert_eq!(client.write(b"nobody"), Ok(6));
    assert_eq!(client.read(&mut buffer), Err(Errno::ECONNREFUSED));
}

#[test]
fn servers_and_mtu_of_the_payload_hold_beside_dhcp() {
    let world = world();
    configure(&world.client, "dhcp dns 10.0.0.9 mtu 1400").unwrap();
    let told = describe(&world.client);
    assert!(told.contains("dns 10.0.0.9\n") && told.contains("mtu 1400\n"), "{told}");
    assert!(
        !told.contains("address 10.0.0.2") && !told.contains("0.0.0.0"),
        "{told}"
    );
}

#[test]
fn silence_of_dhcp_is_told_and_asking_goes_on() {
    let world = world();
    configure(&world.client, "dhcp").unwrap();
    assert!(describe(&world.client).starts_with("state up"), "IPv6 is static");
    let alone = {
        let frames = Frames::default();
        let (received, sent) = (Frames::default(), frames.clone());
        let nic = Nic {
            mac: 3,
            received,
            sent,
            lose_every: Rc::default(),
            count: Cell::new(0),
        };
        let stack = Rc::new(Stack::new(Some(Box::leak(Box::new(nic)))).unwrap());
        (stack, frames)
    };
    let polled = alone.0.clone();
    system::while_waiting(move || polled.poll());
    assert!(describe(&alone.0).starts_with("state down"));
    let listener = listen(&alone.0, "0.0.0.0:80", 1);
    assert!(describe(&alone.0).starts_with("state configuring"));
    assert_eq!(connect(&alone.0, "10.0.0.1:80").err(), Some(Errno::ENETUNREACH));
    assert!(describe(&alone.0).starts_with("state failed"));
    let asked = |frames: &Frames| frames.borrow().iter().filter(|frame| frame[12..14] == [8, 0]).count();
    let before = asked(&alone.1);
    assert!((2..=4).contains(&before), "{before} discoveries in 5 s");
    alone.1.borrow_mut().clear();
    pass(200_000);
    assert!(
        (2..=6).contains(&asked(&alone.1)),
        "{} discoveries in the next 200 s",
        asked(&alone.1)
    );
    drop(listener);
}

const SERVER_ANY: &str = "0.0.0.0:80";
