use super::super::thrift::tests::{exception, failure, nothing, result};
use super::*;
use crate::parameters::Parameters;
use std::string::String;
use std::vec::Vec;

const FIGURES: Figures = Figures {
    memory_used_bytes: 3 << 20,
    memory_total_bytes: 12 << 20,
    load_hundredths: 150,
    processors: 2,
    unix_ms: 1_795_197_580_123,
};

/// A publisher, the receivers' side of it, and the time.
struct World {
    publisher: Publisher<'static>,
    now: Duration,
    /// Everything logged.
    log: Vec<String>,
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl World {
    fn new(payload: &'static str) -> Self {
        let parameters = Parameters::new(b"", payload.as_bytes());
        let settings = Settings::read(&parameters, &mut |bad| panic!("{bad}")).unwrap();
        let mut world = World {
            publisher: Publisher::new(settings, 7),
            now: seconds(100),
            log: Vec::new(),
        };
        world.publisher.begin(world.now);
        world
    }

    fn one() -> Self {
        World::new("thrift.receiver.urls=a:1,CLUSTER_ID=c,MEMBER_ID=m,CEP_PASSWORD=hush")
    }

    /// As the driver does: whatever is due.
    fn turn(&mut self) {
        self.publisher.tick(self.now);
        if self.publisher.wants_figures(self.now) {
            self.publisher.figures(FIGURES, self.now);
        }
        while let Some(note) = self.publisher.note() {
            self.log.push(std::format!("{:?} {note}", note.level()));
        }
    }

    /// Time passes until there is something to do.
    fn sleep(&mut self) {
        let wake = self.publisher.wake().expect("something to wait for");
        self.now = self.now.max(wake);
        self.turn();
    }

    fn peer(&self) -> Option<u16> {
        self.publisher.peer().map(|peer| peer.port)
    }

    /// Connects to what is asked for, waiting until something is.
    fn connect(&mut self) -> u16 {
        self.turn();
        while self.publisher.peer().is_none() {
            self.sleep();
        }
        self.publisher.connected(true, self.now);
        self.peer().unwrap()
    }

    fn connected(&mut self, up: bool) {
        self.publisher.connected(up, self.now);
        self.turn();
    }

    /// Takes the call that is being sent: its method and sequence number.
    fn taken(&mut self) -> (String, u32) {
        let (method, sequence) = call_in(self.publisher.to_send());
        let count = self.publisher.to_send().len();
        self.publisher.sent(count, self.now);
        (method, sequence)
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.publisher.receive(bytes, self.now);
        self.turn();
    }

    /// Takes the call, which is to be `method`, and answers it.
    fn answer(&mut self, method: &str, answer: impl Fn(u32) -> Vec<u8>) {
        let (asked, sequence) = self.taken();
        assert_eq!(asked, method);
        self.receive(&answer(sequence));
    }

    fn log_in(&mut self) {
        self.answer("connect", |sequence| result(sequence, "session-1"));
        self.answer("defineStream", |sequence| result(sequence, "stream-1"));
    }

    fn publish(&mut self) {
        self.answer("publish", nothing);
        self.answer("publish", nothing);
    }

    /// To the moment after the first two events.
    fn published() -> Self {
        let mut world = World::one();
        world.connect();
        world.log_in();
        world.publish();
        world
    }
}

fn call_in(bytes: &[u8]) -> (String, u32) {
    let length = bytes[7] as usize;
    let method = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
    let sequence = bytes[8 + length..12 + length].try_into().unwrap();
    (method, u32::from_be_bytes(sequence))
}

#[test]
fn two_events_are_published_at_once_and_every_interval() {
    let mut world = World::one();
    world.connect();
    world.log_in();
    let began = world.now;
    for round in 0..5 {
        assert_eq!(world.now, began + seconds(15 * round));
        let shown = |world: &World| String::from_utf8_lossy(world.publisher.to_send()).into_owned();
        let memory = shown(&world);
        assert!(memory.contains("memory_consumption") && memory.contains("session-1") && memory.contains("stream-1"));
        assert!(
            world.publisher.to_send().windows(8).any(|it| it == 25f64.to_be_bytes()),
            "25 %"
        );
        world.answer("publish", nothing);
        assert!(shown(&world).contains("load_average"));
        assert!(
            world.publisher.to_send().windows(8).any(|it| it == 75f64.to_be_bytes()),
            "75 %"
        );
        world.answer("publish", nothing);
        assert!(world.publisher.to_send().is_empty());
        world.sleep();
    }
    assert_eq!(world.log, ["Info health statistics for a port 1: they are taken"]);
}

#[test]
fn nothing_is_done_before_the_member_is_active_or_after_it_ended() {
    let mut world = World::one();
    let parameters = Parameters::new(b"", b"CEP_IP=c");
    let settings = Settings::read(&parameters, &mut |_| {}).unwrap();
    let mut idle = Publisher::new(settings, 1);
    idle.tick(seconds(1000));
    assert!(idle.peer().is_none() && idle.wake().is_none() && !idle.wants_figures(seconds(1000)));
    world.publisher.end(world.now);
    assert!(world.publisher.is_over() && world.publisher.wake().is_none() && world.peer().is_none());
    world.publisher.begin(world.now);
    world.turn();
    assert!(world.peer().is_none(), "no new beginning");
}

#[test]
fn the_end_of_the_member_ends_the_session() {
    let mut world = World::published();
    world.publisher.end(world.now);
    assert!(!world.publisher.is_over());
    let text = String::from_utf8_lossy(world.publisher.to_send()).into_owned();
    assert!(text.contains("session-1"));
    world.answer("disconnect", nothing);
    assert!(world.publisher.is_over() && world.peer().is_none());
    // In the middle of an event: after its answer.
    let mut world = World::published();
    world.sleep();
    world.publisher.end(world.now);
    world.answer("publish", nothing);
    world.answer("disconnect", nothing);
    assert!(world.publisher.is_over());
    // A receiver that says nothing: until its deadline.
    let mut world = World::published();
    world.publisher.end(world.now);
    world.sleep();
    assert!(world.publisher.is_over());
}

#[test]
fn a_session_that_is_over_is_made_anew_and_the_event_sent_again_once() {
    for number in [1, 2] {
        let mut world = World::published();
        world.sleep();
        world.answer("publish", nothing);
        world.answer("publish", |sequence| exception(sequence, number, "over"));
        world.answer("connect", |sequence| result(sequence, "session-2"));
        world.answer("defineStream", |sequence| result(sequence, "stream-2"));
        let again = String::from_utf8_lossy(world.publisher.to_send()).into_owned();
        assert!(again.contains("load_average") && again.contains("session-2") && again.contains("stream-2"));
        world.answer("publish", nothing);
        assert_eq!((world.peer(), world.log.len()), (Some(1), 1), "{:?}", world.log);
        // Twice for the same figures: a pause.
        world.sleep();
        world.answer("publish", |sequence| exception(sequence, number, "over"));
        world.log_in();
        world.answer("publish", |sequence| exception(sequence, number, "over"));
        assert_eq!((world.peer(), world.log.len()), (None, 2), "{:?}", world.log);
        assert!(world.log[1].contains("ends each session at once"));
    }
}

#[test]
fn a_session_may_be_over_when_the_stream_is_defined() {
    let mut world = World::one();
    world.connect();
    world.answer("connect", |sequence| result(sequence, "session-1"));
    world.answer("defineStream", |sequence| exception(sequence, 4, "over"));
    world.log_in();
    world.publish();
    assert_eq!(world.log, ["Info health statistics for a port 1: they are taken"]);
}

#[test]
fn a_refusal_is_told_once_in_clear_words_and_tried_again_slowly() {
    let refuse = |answer: fn(u32) -> Vec<u8>, method: &str, words: &str| {
        let mut world = World::one();
        for _ in 0..4 {
            world.connect();
            if method != "connect" {
                world.answer("connect", |sequence| result(sequence, "session-1"));
            }
            world.answer(method, answer);
            assert_eq!(world.peer(), None);
            let pause = world.publisher.wake().unwrap() - world.now;
            assert!((seconds(30)..=seconds(60)).contains(&pause), "{pause:?}");
        }
        assert_eq!(world.log.len(), 1, "{:?}", world.log);
        assert!(
            world.log[0].starts_with("Error") && world.log[0].contains(words),
            "{:?}",
            world.log
        );
        assert!(!world.log[0].contains("hush") && !world.log[0].contains("session-1"));
        // It comes to its senses: so do we, and the next refusal is told again.
        world.connect();
        world.log_in();
        world.publish();
        assert_eq!(world.log.len(), 2);
        world.sleep();
        world.answer("publish", |sequence| failure(sequence, "out of order", 6));
        assert_eq!(world.log.len(), 3);
        assert!(
            world.log[2].ends_with("it refuses a call; it says: out of order"),
            "{:?}",
            world.log
        );
    };
    refuse(
        |sequence| exception(sequence, 1, "wrong: hush"),
        "connect",
        "thrift.server.admin.password",
    );
    refuse(
        |sequence| failure(sequence, "Invalid method", 1),
        "connect",
        "takes no log-in on this port",
    );
    refuse(
        |sequence| exception(sequence, 1, "it differs"),
        "defineStream",
        "definition of the stream; it says: it differs",
    );
    refuse(
        |sequence| exception(sequence, 2, "no JSON"),
        "defineStream",
        "definition of the stream; it says: no JSON",
    );
    refuse(
        |sequence| exception(sequence, 3, "bad"),
        "defineStream",
        "definition of the stream; it says: bad",
    );
}

#[test]
fn every_receiver_is_tried_at_once_and_then_with_longer_pauses() {
    let mut world = World::new("thrift.receiver.urls=a:1|b:2|c:3");
    let mut pauses = Vec::new();
    for _ in 0..7 {
        for port in [1, 2, 3] {
            world.turn();
            while world.peer().is_none() {
                world.sleep();
            }
            assert_eq!(world.peer(), Some(port));
            world.publisher.connected(false, world.now);
            assert_eq!(world.peer(), None, "closed in between");
            let pause = world.publisher.wake().unwrap() - world.now;
            if port == 3 {
                pauses.push(pause.as_millis());
            } else {
                assert_eq!(pause, Duration::ZERO);
            }
        }
    }
    for (pause, most) in pauses.iter().zip([1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]) {
        assert!((most / 2..=most).contains(pause), "{pauses:?}");
    }
    let one = pauses[5];
    assert!(one != pauses[6], "no jitter: {pauses:?}");
    world.turn();
    assert_eq!(
        world.log,
        ["Warn health statistics for a port 1: no connection; trying again"]
    );
    // It stays with the one that works, and tells so.
    while world.peer() != Some(2) {
        world.sleep();
        if world.peer() == Some(1) {
            world.connected(false);
        }
    }
    world.connected(true);
    world.log_in();
    world.publish();
    world.sleep();
    world.publish();
    assert_eq!(world.peer(), Some(2));
    assert_eq!(world.log.len(), 2, "{:?}", world.log);
}

#[test]
fn other_seeds_pause_for_other_times() {
    let pause = |seed| {
        let parameters = Parameters::new(b"", b"CEP_IP=c");
        let mut publisher = Publisher::new(Settings::read(&parameters, &mut |_| {}).unwrap(), seed);
        publisher.begin(seconds(0));
        publisher.tick(seconds(0));
        publisher.connected(false, seconds(0));
        publisher.wake().unwrap()
    };
    assert!(pause(1) != pause(2) || pause(2) != pause(3));
}

#[test]
fn a_silent_receiver_is_left_at_its_deadline_and_new_figures_are_told_after_it() {
    let mut world = World::published();
    world.sleep();
    world.taken();
    let asked = world.now;
    world.sleep();
    assert_eq!((world.now - asked, world.peer()), (ANSWER_LIMIT, None));
    assert!(world.log[1].contains("no answer within 10 s"), "{:?}", world.log);
    world.connect();
    world.log_in();
    // At once, not when the interval is over.
    world.publish();
    assert_eq!(world.log.len(), 3);
    // A connection that is not made.
    let mut world = World::one();
    world.turn();
    let began = world.now;
    world.sleep();
    assert_eq!((world.now - began, world.peer()), (CONNECT_LIMIT, None));
}

#[test]
fn what_is_no_answer_or_another_calls_ends_the_connection() {
    for bytes in [
        b"HTTP/1.1 400 Bad Request\r\n".to_vec(),
        nothing(12345),
        result(0, "x"),
        result(1, ""),
    ] {
        let mut world = World::one();
        world.connect();
        world.taken();
        world.receive(&bytes);
        assert_eq!((world.peer(), world.log.len()), (None, 1));
        assert!(world.log[0].contains("not Thrift"), "{:?}", world.log);
    }
    let mut world = World::published();
    world.receive(b"unasked");
    assert_eq!((world.peer(), world.log.len()), (None, 2));
    // A session too long to be given back.
    let mut world = World::one();
    world.connect();
    world.answer("connect", |sequence| result(sequence, &"s".repeat(TEXT_LIMIT + 1)));
    assert_eq!(world.peer(), None);
}

#[test]
fn an_idle_connection_that_a_receiver_closes_is_made_again_without_a_word() {
    let mut world = World::published();
    world.connected(false);
    assert_eq!(world.peer(), None);
    world.connect();
    world.log_in();
    world.sleep();
    world.publish();
    assert_eq!(world.log.len(), 1, "{:?}", world.log);
    world.sleep();
    world.connected(false);
    assert!(
        world.log.len() == 2 && world.log[1].contains("ended before an answer"),
        "{:?}",
        world.log
    );
}

#[test]
fn an_answer_may_come_before_the_driver_says_that_the_call_was_sent() {
    let mut world = World::one();
    world.connect();
    let (_, sequence) = call_in(world.publisher.to_send());
    let count = world.publisher.to_send().len();
    let answer = result(sequence, "session-1");
    world.receive(&answer[..10]);
    world.receive(&answer[10..]);
    assert_eq!(world.publisher.to_send().len(), count, "still the first call");
    world.publisher.sent(5, world.now);
    assert_eq!(world.publisher.to_send().len(), count - 5);
    world.publisher.sent(count - 5, world.now);
    world.answer("defineStream", |sequence| result(sequence, "stream-1"));
}

#[test]
fn the_longest_texts_fit() {
    let long = |key: &str| std::format!("{key}={},", "x".repeat(200));
    let keys = "CLUSTER_ID CLUSTER_INSTANCE_ID NETWORK_PARTITION_ID MEMBER_ID PARTITION_ID CEP_USERNAME CEP_PASSWORD";
    let payload: String = keys.split(' ').map(long).collect();
    let mut world = World::new((payload + "CEP_IP=c").leak());
    world.connect();
    let id = "i".repeat(TEXT_LIMIT);
    world.answer("connect", |sequence| result(sequence, &id));
    world.answer("defineStream", |sequence| result(sequence, &id));
    assert!(world.publisher.to_send().len() > 1300);
    world.publish();
}

#[test]
fn unknown_figures_are_told_as_zero() {
    let none = Figures::default();
    assert_eq!([value(&none, 0), value(&none, 1)], [0.0, 0.0]);
    assert_eq!([value(&FIGURES, 0), value(&FIGURES, 1)], [25.0, 75.0]);
}

#[test]
fn its_memory_is_bounded() {
    assert!(size_of::<Publisher<'_>>() < 4096, "{}", size_of::<Publisher<'_>>());
}

/// Whatever happens in whatever order, it neither panics nor asks to be woken for ever without a step.
#[test]
fn no_order_of_happenings_confuses_it() {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut number = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for _ in 0..300 {
        let mut world = World::new("thrift.receiver.urls=a:1|b:2");
        let mut still = 0;
        for _ in 0..200 {
            let sequence = world.publisher.sequence;
            match number(9) {
                0 => world.connected(true),
                1 => world.connected(false),
                2 => world.receive(&result(sequence, "x")),
                3 => world.receive(&nothing(sequence)),
                4 => world.receive(&exception(sequence, number(6) as u8, "x")),
                5 => world.receive(&[number(256) as u8]),
                6 => world.publisher.sent(number(3000) as usize, world.now),
                7 => world.turn(),
                _ => {
                    let before = world.now;
                    world.sleep();
                    still = if world.now == before { still + 1 } else { 0 };
                    assert!(still < 10, "awake without an end");
                }
            }
        }
        world.publisher.end(world.now);
        for _ in 0..10 {
            if !world.publisher.is_over() {
                world.sleep();
            }
        }
        assert!(world.publisher.is_over());
    }
}
