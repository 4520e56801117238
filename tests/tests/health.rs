//! Health statistics reach a real Thrift server, and come back to it whatever happens to either side.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use cartridge_agent_core::figures::Figures;
use cartridge_agent_core::parameters::Parameters;
use cartridge_agent_core::stratos::health::publisher::Publisher;
use cartridge_agent_core::stratos::health::settings::Settings;
use cartridge_tests::databridge::Databridge;
use cartridge_tests::port;

/// The publisher's time passes so much faster than ours.
const HASTE: u32 = 2;
/// No step takes longer, however busy the machine is.
const LIMIT: Duration = Duration::from_secs(60);
/// How long is waited for bytes before the time is looked at.
const LOOK: Duration = Duration::from_millis(5);

const FIGURES: Figures = Figures {
    memory_used_bytes: 3 << 20,
    memory_total_bytes: 12 << 20,
    load_hundredths: 150,
    processors: 2,
    unix_ms: 1_795_197_580_123,
};

const MEMBER: &str = "CLUSTER_ID=php.cluster,NETWORK_PARTITION_ID=np1,MEMBER_ID=php.member.1,PARTITION_ID=p1,\
                      CLUSTER_INSTANCE_ID=null,thrift.server.admin.username=me,CEP_PASSWORD=hush-hush";

/// A member's side: moves bytes between the publisher and its receiver.
struct Member {
    publisher: Publisher<'static>,
    began: Instant,
    /// Time that was passed over.
    skipped: Duration,
    wanted: Option<u16>,
    stream: Option<TcpStream>,
    connections: usize,
    log: Vec<String>,
}

impl Member {
    /// A member that publishes to these ports of this machine, every second by its own time.
    fn new(ports: &[u16]) -> Self {
        let urls: Vec<_> = ports.iter().map(|port| format!("tcp://127.0.0.1:{port}")).collect();
        let payload = format!(
            "{MEMBER},stats.notifier.interval=1,thrift.receiver.urls={}",
            urls.join("|")
        );
        let parameters = Parameters::new(b"", payload.leak().as_bytes());
        let settings = Settings::read(&parameters, &mut |bad| panic!("{bad}")).expect("a receiver");
        let mut publisher = Publisher::new(settings, std::process::id());
        publisher.begin(Duration::ZERO);
        Member {
            publisher,
            began: Instant::now(),
            skipped: Duration::ZERO,
            wanted: None,
            stream: None,
            connections: 0,
            log: Vec::new(),
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed() * HASTE + self.skipped
    }

    /// Moves on until `done`; false if it is not within the limit.
    fn run(&mut self, what: &str, mut done: impl FnMut(&Member) -> bool) {
        let end = Instant::now() + LIMIT;
        while !done(self) {
            assert!(
                Instant::now() < end,
                "no {what} within {LIMIT:?}; it logged {:?}",
                self.log
            );
            self.step();
        }
    }

    fn step(&mut self) {
        let now = self.now();
        self.publisher.tick(now);
        self.follow();
        self.transfer();
        if self.publisher.wants_figures(now) {
            self.publisher.figures(FIGURES, now);
        }
        while let Some(note) = self.publisher.note() {
            self.log.push(note.to_string());
        }
    }

    /// Connects and closes as the publisher wants it.
    fn follow(&mut self) {
        let peer = self.publisher.peer().map(|peer| {
            assert_eq!(peer.host, "127.0.0.1");
            peer.port
        });
        if peer == self.wanted {
            return;
        }
        (self.wanted, self.stream) = (peer, None);
        if let Some(port) = peer {
            self.stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
            self.connections += usize::from(self.stream.is_some());
            self.publisher.connected(self.stream.is_some(), self.now());
        }
    }

    /// Sends what there is, and waits a little for bytes.
    fn transfer(&mut self) {
        let now = self.now();
        let Some(stream) = &mut self.stream else {
            return thread::sleep(LOOK);
        };
        let mut room = [0; 64];
        stream.set_read_timeout(Some(LOOK)).unwrap();
        let count = self.publisher.to_send().len();
        let outcome = stream.write_all(self.publisher.to_send()).and_then(|()| {
            self.publisher.sent(count, now);
            stream.read(&mut room)
        });
        match outcome {
            Ok(0) => self.end(),
            Ok(count) => self.publisher.receive(&room[..count], now),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.end(),
        }
    }

    fn end(&mut self) {
        self.stream = None;
        self.publisher.connected(false, self.now());
    }

    fn logged(&self, text: &str) -> usize {
        self.log.iter().filter(|line| line.contains(text)).count()
    }
}

fn start(options: &[&str]) -> Databridge {
    let mut server = Databridge::start(port::free().unwrap(), options).unwrap();
    server.command("user me hush-hush").unwrap();
    server
}

/// What the events are of, in their order.
fn descriptions(server: &Databridge) -> Vec<String> {
    let events = server.events().unwrap();
    let description = |event: &serde_json::Value| event["health_description"].as_str().unwrap_or_default().to_owned();
    events.iter().map(description).collect()
}

/// Runs until so many events were taken.
fn run_to(member: &mut Member, server: &Databridge, events: usize) {
    member.run(&format!("{events} events"), |_| {
        server.events().unwrap().len() >= events
    });
    let told = descriptions(server);
    for pair in told.chunks_exact(2) {
        assert_eq!(pair, ["memory_consumption", "load_average"], "{told:?}");
    }
}

#[test]
fn two_events_an_interval_arrive_with_every_value_in_its_place() {
    let server = start(&[]);
    let mut member = Member::new(&[server.port()]);
    run_to(&mut member, &server, 6);
    for (event, (description, value)) in server
        .events()
        .unwrap()
        .iter()
        .zip([("memory_consumption", 25.0), ("load_average", 75.0)].iter().cycle())
    {
        assert_eq!(
            *event,
            serde_json::json!({
                "cluster_id": "php.cluster",
                "cluster_instance_id": "",
                "network_partition_id": "np1",
                "member_id": "php.member.1",
                "partition_id": "p1",
                "health_description": description,
                "value": value,
            })
        );
    }
    let call = &server.calls_of("publish")[0];
    assert_eq!(
        (call["time"].as_u64(), call["stream"].as_str()),
        (Some(FIGURES.unix_ms), Some("cartridge_agent_health_stats:1.0.0"))
    );
    let first: Vec<_> = server.calls().iter().take(3).map(|call| call["call"].clone()).collect();
    assert_eq!(first, ["connect", "defineStream", "publish"]);
    assert_eq!(
        (server.calls_of("connect").len(), server.calls_of("defineStream").len()),
        (1, 1)
    );
    // Two intervals have passed between the first pair and the third, by the member's time.
    assert!(
        member.now() >= Duration::from_secs(2) && member.log.len() == 1,
        "{:?}",
        member.log
    );
    member.publisher.end(member.now());
    member.run("end", |member| member.publisher.is_over());
    server
        .wait_for("disconnect", LIMIT, |lines| {
            lines
                .iter()
                .any(|line| line["call"] == "disconnect" && line["known"] == true)
        })
        .unwrap();
}

#[test]
fn a_session_that_expires_is_made_anew_and_its_event_sent_again() {
    for command in ["expire", "forget"] {
        let mut server = start(&[]);
        let mut member = Member::new(&[server.port()]);
        for round in 1..=3 {
            run_to(&mut member, &server, 4 * round);
            server.command(command).unwrap();
        }
        run_to(&mut member, &server, 14);
        assert_eq!((server.calls_of("connect").len(), member.connections), (4, 1));
        assert_eq!(member.log.len(), 1, "{:?}", member.log);
    }
}

/// Passes over the pause that the publisher makes, which is to last from `least` on.
fn pass_the_pause(member: &mut Member, least: Duration) {
    // The connection is closed first.
    member.step();
    let until = member.publisher.wake().expect("a pause");
    let left = until.saturating_sub(member.now());
    assert!(member.publisher.peer().is_none() && left > least, "{left:?}");
    member.skipped += left;
}

#[test]
fn a_refused_log_in_is_told_once_and_tried_again_slowly() {
    let mut server = start(&[]);
    server.command("user me another").unwrap();
    let mut member = Member::new(&[server.port()]);
    for attempt in 1..=3 {
        member.run("log-in", |_| server.calls_of("connect").len() == attempt);
        member.run("refusal", |member| member.publisher.peer().is_none());
        pass_the_pause(&mut member, Duration::from_secs(20));
    }
    assert_eq!(
        (member.logged("refuses the log-in"), member.log.len()),
        (1, 1),
        "{:?}",
        member.log
    );
    server.command("user me hush-hush").unwrap();
    run_to(&mut member, &server, 2);
    assert!(member.log.iter().all(|line| !line.contains("hush")), "{:?}", member.log);
}

#[test]
fn a_refused_definition_is_told_in_the_receivers_words() {
    for kind in ["different", "malformed", "definition"] {
        let mut server = start(&[]);
        server.command(&format!("refuse {kind}")).unwrap();
        let mut member = Member::new(&[server.port()]);
        member.run("refusal", |member| !member.log.is_empty());
        let expected = format!("refuses the definition of the stream; it says: refused as {kind}");
        assert_eq!(member.logged(&expected), 1, "{:?}", member.log);
        pass_the_pause(&mut member, Duration::from_secs(20));
        server.command("refuse").unwrap();
        run_to(&mut member, &server, 2);
    }
}

#[test]
fn a_receiver_that_takes_no_log_in_on_its_plain_port_is_told_of() {
    let server = Databridge::start(port::free().unwrap(), &["--without-login"]).unwrap();
    let mut member = Member::new(&[server.port()]);
    member.run("refusal", |member| !member.log.is_empty());
    assert_eq!(member.logged("takes no log-in on this port"), 1, "{:?}", member.log);
    pass_the_pause(&mut member, Duration::from_secs(20));
}

#[test]
fn a_receiver_that_is_gone_is_found_again_when_it_is_back() {
    let server = start(&[]);
    let port = server.port();
    let mut member = Member::new(&[port]);
    run_to(&mut member, &server, 4);
    drop(server);
    member.run("outage", |member| member.logged("no connection") == 1);
    // Longer than its longest pause.
    let (until, connections) = (member.now() + Duration::from_secs(16), member.connections);
    member.run("a while", |member| member.now() >= until);
    assert_eq!(member.connections, connections);
    assert!(member.log.len() <= 3, "{:?}", member.log);
    let mut server = Databridge::start(port, &[]).unwrap();
    server.command("user me hush-hush").unwrap();
    run_to(&mut member, &server, 4);
    assert_eq!(member.logged("they are taken"), 2, "{:?}", member.log);
}

#[test]
fn a_receiver_that_closes_idle_connections_gets_every_event() {
    // The interval is 500 ms by the receiver's time.
    let server = start(&["--idle", "50"]);
    let mut member = Member::new(&[server.port()]);
    run_to(&mut member, &server, 8);
    assert!(member.connections > 2, "it closed none");
    assert_eq!(member.log.len(), 1, "{:?}", member.log);
}

/// A port that answers whatever it is sent with these bytes, and then leaves the connection as it is until the handle is dropped.
fn odd_receiver(answer: &'static [u8], closes: bool) -> (u16, Receiver<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, was_asked) = channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        for mut client in listener.incoming().flatten() {
            let mut room = [0; 512];
            let _ = client.set_read_timeout(Some(LIMIT));
            let _ = client.read(&mut room);
            let _ = client.write_all(answer);
            if asked.send(()).is_err() {
                return;
            }
            if !closes {
                kept.push(client);
            }
        }
    });
    (port, was_asked)
}

#[test]
fn a_receiver_that_answers_nonsense_or_nothing_costs_a_line_and_the_next_one_is_used() {
    const CUT_OFF: &[u8] =
        b"\x80\x01\x00\x02\x00\x00\x00\x07connect\x00\x00\x00\x01\x0b\x00\x00\x00\x00\x00\x24half-a-sess";
    const ANOTHERS: &[u8] = b"\x80\x01\x00\x02\x00\x00\x00\x07connect\x00\x00\x00\x63\x00";
    const LONG: &[u8] = &[b'x'; 100_000];
    let cases = [
        (
            &b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"[..],
            false,
            "not Thrift",
        ),
        (b"\x15\x03\x01\x00\x02\x02\x46", false, "not Thrift"),
        (ANOTHERS, false, "not Thrift"),
        (LONG, false, "not Thrift"),
        (CUT_OFF, false, "no answer within 10 s"),
        (b"", false, "no answer within 10 s"),
        (CUT_OFF, true, "ended before an answer"),
        (b"", true, "ended before an answer"),
    ];
    // Side by side: they wait for time limits.
    thread::scope(|scope| {
        for (answer, closes, words) in cases {
            scope.spawn(move || {
                let server = start(&[]);
                let (odd, was_asked) = odd_receiver(answer, closes);
                let mut member = Member::new(&[odd, server.port()]);
                run_to(&mut member, &server, 4);
                assert!(
                    was_asked.try_recv().is_ok() && was_asked.try_recv().is_err(),
                    "asked once"
                );
                assert_eq!(
                    (member.logged(words), member.log.len()),
                    (1, 2),
                    "{words}: {:?}",
                    member.log
                );
            });
        }
    });
}
