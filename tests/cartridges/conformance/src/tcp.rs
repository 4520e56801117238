//! TCP between threads of the program.

use crate::report::{Check, Outcome};
use crate::{ensure, ensure_eq, tried};
use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

pub const CHECKS: &[Check] = &[
    ("echo", echo),
    ("echo over IPv6", echo_v6),
    ("addresses", addresses),
    ("a megabyte each way", bulk),
    ("half-close", half_close),
    ("peek", peek),
    ("vectored reads and writes", vectored),
    ("options", options),
    ("a cloned stream", cloned),
    ("shutdown wakes a reader in another thread", shutdown_wakes),
    ("the end of the peer is an end of file", end_of_file),
    ("many short connections", many_short),
    ("many connections at once", many_at_once),
    ("lines", lines),
];

/// A connected pair on `ip`.
pub fn pair_on(ip: IpAddr) -> Result<(TcpStream, TcpStream), String> {
    let listener = tried!(TcpListener::bind((ip, 0)));
    let client = tried!(TcpStream::connect(tried!(listener.local_addr())));
    let (server, _) = tried!(listener.accept());
    for stream in [&client, &server] {
        tried!(stream.set_read_timeout(Some(Duration::from_secs(20))));
    }
    Ok((client, server))
}

pub fn pair() -> Result<(TcpStream, TcpStream), String> {
    pair_on(Ipv4Addr::LOCALHOST.into())
}

fn echo_on(ip: IpAddr) -> Outcome {
    let (mut client, mut server) = pair_on(ip)?;
    let echo = thread::spawn(move || {
        let mut buffer = [0; 100];
        loop {
            match server.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => server.write_all(&buffer[..length])?,
                Err(error) => return Err(error),
            }
        }
    });
    for word in ["one", "two", "three"] {
        tried!(client.write_all(word.as_bytes()));
        let mut answer = vec![0; word.len()];
        tried!(client.read_exact(&mut answer));
        ensure_eq!(answer, word.as_bytes());
    }
    drop(client);
    ensure!(matches!(echo.join(), Ok(Ok(()))), "the echoing side failed");
    Ok(())
}

fn echo() -> Outcome {
    echo_on(Ipv4Addr::LOCALHOST.into())
}

fn echo_v6() -> Outcome {
    echo_on(Ipv6Addr::LOCALHOST.into())
}

fn addresses() -> Outcome {
    let listener = tried!(TcpListener::bind("127.0.0.1:0"));
    let address = tried!(listener.local_addr());
    ensure!(address.port() != 0, "the port is 0");
    let client = tried!(TcpStream::connect(address));
    let (server, from) = tried!(listener.accept());
    ensure_eq!(tried!(client.peer_addr()), address);
    ensure_eq!(tried!(server.local_addr()), address);
    ensure_eq!(tried!(client.local_addr()), from);
    ensure_eq!(tried!(server.peer_addr()), from);
    let everywhere = tried!(TcpListener::bind("0.0.0.0:0"));
    let port = tried!(everywhere.local_addr()).port();
    ensure!(
        TcpStream::connect(("127.0.0.1", port)).is_ok(),
        "a listener on every address cannot be reached"
    );
    Ok(())
}

fn bulk() -> Outcome {
    let (client, server) = pair()?;
    let byte = |position: usize, seed: usize| (position * 31 + position / 997 + seed) as u8;
    let run = move |mut stream: TcpStream, own: usize, other: usize| -> std::io::Result<bool> {
        let mut writer = stream.try_clone()?;
        let sender = thread::spawn(move || {
            let bytes: Vec<u8> = (0..1 << 20).map(|position| byte(position, own)).collect();
            writer.write_all(&bytes)?;
            writer.shutdown(Shutdown::Write)
        });
        let mut received = Vec::new();
        stream.read_to_end(&mut received)?;
        let sent = matches!(sender.join(), Ok(Ok(())));
        let right = received
            .iter()
            .enumerate()
            .all(|(position, value)| *value == byte(position, other));
        Ok(sent && right && received.len() == 1 << 20)
    };
    let other = thread::spawn(move || run(server, 5, 3));
    ensure_eq!(tried!(run(client, 3, 5)), true);
    ensure!(matches!(other.join(), Ok(Ok(true))), "the other side failed");
    Ok(())
}

fn half_close() -> Outcome {
    let (mut client, mut server) = pair()?;
    tried!(client.write_all(b"question"));
    tried!(client.shutdown(Shutdown::Write));
    let mut question = String::new();
    tried!(server.read_to_string(&mut question));
    ensure_eq!(question, "question");
    ensure!(client.write(b"more").is_err(), "writing after shutdown worked");
    tried!(server.write_all(b"answer"));
    drop(server);
    let mut answer = String::new();
    tried!(client.read_to_string(&mut answer));
    ensure_eq!(answer, "answer");
    Ok(())
}

fn peek() -> Outcome {
    let (mut client, mut server) = pair()?;
    tried!(client.write_all(b"abc"));
    let mut buffer = [0; 3];
    ensure!(tried!(server.peek(&mut buffer)) > 0, "nothing to peek at");
    ensure_eq!(buffer[0], b'a');
    tried!(server.read_exact(&mut buffer));
    ensure_eq!(&buffer, b"abc");
    Ok(())
}

fn vectored() -> Outcome {
    let (mut client, mut server) = pair()?;
    let parts = [b"head ".as_slice(), b"", b"body ", b"tail"];
    let written = tried!(client.write_vectored(&parts.map(IoSlice::new)));
    ensure!(written > 0, "nothing was written");
    tried!(client.write_all(&parts.concat()[written..]));
    drop(client);
    let (mut first, mut second) = ([0; 5], [0; 20]);
    let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    let read = tried!(server.read_vectored(&mut buffers));
    let mut all = [&first[..], &second[..]].concat();
    all.truncate(read);
    tried!(server.read_to_end(&mut all));
    ensure_eq!(all, b"head body tail");
    Ok(())
}

fn options() -> Outcome {
    let (client, _server) = pair()?;
    for on in [true, false] {
        tried!(client.set_nodelay(on));
        ensure_eq!(tried!(client.nodelay()), on);
    }
    tried!(client.set_ttl(42));
    ensure_eq!(tried!(client.ttl()), 42);
    tried!(client.set_read_timeout(Some(Duration::from_millis(1_500))));
    ensure_eq!(tried!(client.read_timeout()), Some(Duration::from_millis(1_500)));
    tried!(client.set_write_timeout(None));
    ensure_eq!(tried!(client.write_timeout()), None);
    ensure!(
        client.set_read_timeout(Some(Duration::ZERO)).is_err(),
        "a time-out of nothing was accepted"
    );
    ensure!(
        tried!(client.take_error()).is_none(),
        "there is an error on a good connection"
    );
    Ok(())
}

fn cloned() -> Outcome {
    let (client, mut server) = pair()?;
    let mut second = tried!(client.try_clone());
    drop(client);
    tried!(second.write_all(b"still open"));
    drop(second);
    let mut text = String::new();
    tried!(server.read_to_string(&mut text));
    ensure_eq!(text, "still open");
    Ok(())
}

fn shutdown_wakes() -> Outcome {
    for how in [Shutdown::Read, Shutdown::Both] {
        let (client, _server) = pair()?;
        let mut reader = tried!(client.try_clone());
        let blocked = thread::spawn(move || reader.read(&mut [0; 10]).ok());
        thread::sleep(Duration::from_millis(50));
        tried!(client.shutdown(how));
        ensure_eq!(blocked.join().ok(), Some(Some(0)));
    }
    Ok(())
}

fn end_of_file() -> Outcome {
    let (mut client, server) = pair()?;
    drop(server);
    ensure_eq!(tried!(client.read(&mut [0; 10])), 0);
    ensure_eq!(tried!(client.read(&mut [0; 10])), 0);
    Ok(())
}

fn many_short() -> Outcome {
    let listener = tried!(TcpListener::bind("127.0.0.1:0"));
    let address = tried!(listener.local_addr());
    let server = thread::spawn(move || {
        for stream in listener.incoming().take(200) {
            stream?.write_all(b"hi")?;
        }
        std::io::Result::Ok(())
    });
    for number in 0..200 {
        let mut answer = Vec::new();
        tried!(tried!(TcpStream::connect(address)).read_to_end(&mut answer));
        ensure!(answer == b"hi", "connection {number} got {answer:?}");
    }
    ensure!(matches!(server.join(), Ok(Ok(()))), "the server failed");
    Ok(())
}

fn many_at_once() -> Outcome {
    let listener = tried!(TcpListener::bind("127.0.0.1:0"));
    let address = tried!(listener.local_addr());
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(tried!(TcpStream::connect(address)));
    }
    let mut servers = Vec::new();
    for _ in 0..40 {
        servers.push(tried!(listener.accept()).0);
    }
    for (number, client) in clients.iter_mut().enumerate() {
        tried!(client.write_all(&[number as u8]));
    }
    let mut seen = Vec::new();
    for server in &mut servers {
        let mut byte = [0];
        tried!(server.read_exact(&mut byte));
        seen.push(byte[0]);
    }
    seen.sort();
    ensure_eq!(seen, (0..40).collect::<Vec<u8>>());
    Ok(())
}

fn lines() -> Outcome {
    let (mut client, server) = pair()?;
    let reader = thread::spawn(move || BufReader::new(server).lines().collect::<Result<Vec<_>, _>>());
    for piece in ["fir", "st\nsec", "ond\n", "third"] {
        tried!(client.write_all(piece.as_bytes()));
    }
    drop(client);
    let lines = reader.join().map_err(|_| "the reader failed")?;
    ensure_eq!(tried!(lines), ["first", "second", "third"]);
    Ok(())
}
