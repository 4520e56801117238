//! Health statistics over Thrift.

use crate::bounds::heap_at_most;
use crate::script::{Script, pieces};
use cartridge_agent_core::control::Figures;
use cartridge_agent_core::parameters::Parameters;
use cartridge_agent_core::stratos::health::publisher::Publisher;
use cartridge_agent_core::stratos::health::settings::Settings;
use cartridge_agent_core::stratos::health::thrift::{Malformed, Outcome, Reader, TEXT_LIMIT};
use cartridge_agent_core::text::Message;
use std::time::Duration;

/// The first byte says how the rest is cut into pieces.
pub fn reply(input: &[u8]) {
    let mut script = Script::new(input);
    let how = script.byte();
    let bytes = script.rest();
    let cut = heap_at_most(0, || read(pieces(bytes, how)));
    let whole = heap_at_most(0, || read(core::iter::once(bytes)));
    assert_eq!(whole.0, cut.0, "in pieces it is something else");
    if whole.0 == Ok(true) {
        assert_eq!(whole.1, cut.1);
    }
}

type Read = (Result<bool, Malformed>, (Outcome, u32, bool, [u8; TEXT_LIMIT]));

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Read {
    let mut reader = Reader::new();
    let mut result = Ok(false);
    for piece in pieces {
        result = reader.take(piece);
        if result.is_err() {
            break;
        }
    }
    let mut text = [0; TEXT_LIMIT];
    text[..reader.text().len()].copy_from_slice(reader.text());
    (result, (reader.outcome(), reader.sequence(), reader.is_cut(), text))
}

const PAYLOAD: &str = "thrift.receiver.urls=one:7611|tcp://two:7711,CLUSTER_ID=c,MEMBER_ID=m,CEP_PASSWORD=hush-hunter2";

/// What a member publishes to whom.
pub fn settings() -> Option<Settings<'static>> {
    let parameters = Parameters::new(b"", PAYLOAD.as_bytes());
    Settings::read(&parameters, &mut |bad| panic!("{bad}"))
}

/// The longest call there is.
const CALL: usize = 2048;

/// A script of what receivers say and of time.
pub fn receiver(input: &[u8]) {
    let settings = settings().expect("they are good");
    heap_at_most(0, || {
        let mut script = Script::new(input);
        let mut world = World {
            publisher: Publisher::new(settings, u32::from(script.byte())),
            now: Duration::from_secs(1),
            attempts: 0,
            is_up: false,
        };
        world.publisher.begin(world.now);
        while !script.is_over() {
            world.step(&mut script);
        }
        world.publisher.end(world.now);
        world.pass(Duration::from_secs(60));
        assert!(world.publisher.is_over(), "the session does not end");
    });
}

struct World {
    publisher: Publisher<'static>,
    now: Duration,
    attempts: u64,
    is_up: bool,
}

impl World {
    fn step(&mut self, script: &mut Script<'_>) {
        let what = script.byte();
        match what % 6 {
            0 => self.pass(script.time()),
            1 => {
                let up = what & 0x40 != 0 && self.publisher.peer().is_some();
                self.connected(up);
            }
            2 => {
                let length = script.byte();
                self.receive(script.take(length.into()));
            }
            3 => self.answer(script),
            4 => {
                let count = usize::from(script.byte()).min(self.publisher.to_send().len());
                self.publisher.sent(count, self.now);
            }
            _ => {
                // What a connection that works does.
                if !self.is_up && self.publisher.peer().is_some() {
                    self.connected(true);
                }
                let count = self.publisher.to_send().len();
                self.publisher.sent(count, self.now);
            }
        }
        self.turn();
    }

    /// A reply as the protocol has it, with the sequence number of the call, to what was sent whole.
    fn answer(&mut self, script: &mut Script<'_>) {
        let (kind, field, length) = (script.byte(), script.byte(), script.byte() % 200);
        let text = script.take(length.into());
        let mut call = [0; 64];
        let sent = self.publisher.to_send();
        let count = sent.len().min(call.len());
        call[..count].copy_from_slice(&sent[..count]);
        let all = sent.len();
        self.publisher.sent(all, self.now);
        let name_length = usize::from(call[7]).min(40);
        let sequence = &call[8 + name_length..12 + name_length];
        let kind = if kind & 3 == 3 { 3 } else { 2 };
        for part in [
            &[0x80, 1, 0, kind, 0, 0, 0, name_length as u8][..],
            &call[8..8 + name_length],
            sequence,
        ] {
            self.receive(part);
        }
        if kind == 3 {
            self.receive(&[11, 0, 1, 0, 0, 0, text.len() as u8]);
            self.receive(text);
            self.receive(&[8, 0, 2, 0, 0, 0, field, 0]);
        } else if field == 0 {
            self.receive(&[11, 0, 0, 0, 0, 0, text.len() as u8]);
            self.receive(text);
            self.receive(&[0]);
        } else if field & 7 == 7 {
            self.receive(&[0]);
        } else {
            self.receive(&[12, 0, field & 7, 11, 0, 1, 0, 0, 0, text.len() as u8]);
            self.receive(text);
            self.receive(&[0, 0]);
        }
    }

    fn connected(&mut self, up: bool) {
        self.attempts += u64::from(up);
        self.is_up = up;
        self.publisher.connected(up, self.now);
        self.turn();
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.publisher.receive(bytes, self.now);
        self.turn();
    }

    /// Does whatever is due, as the driver.
    fn turn(&mut self) {
        self.publisher.tick(self.now);
        if self.publisher.wants_figures(self.now) {
            let figures = Figures {
                memory_used_bytes: 1 << 20,
                memory_total_bytes: 4 << 20,
                load_hundredths: 150,
                processors: 2,
                unix_ms: 1_795_197_580_123,
            };
            self.publisher.figures(figures, self.now);
            assert!(
                !self.publisher.wants_figures(self.now),
                "figures are wanted without end"
            );
        }
        let mut lines = 0;
        while let Some(note) = self.publisher.note() {
            let line = Message::of(note);
            assert!(!line.as_str().contains("hush-hunter2"), "a secret is shown");
            lines += 1;
            assert!(lines <= 2, "lines without end");
        }
        assert!(self.publisher.to_send().len() <= CALL);
        if self.publisher.peer().is_none() {
            self.is_up = false;
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.turn();
        // Another receiver is tried without a pause.
        let mut at_once = 0;
        while let Some(wake) = self.publisher.wake().filter(|wake| *wake <= end) {
            at_once = if wake > self.now { 0 } else { at_once + 1 };
            assert!(at_once <= 4, "a busy loop");
            self.now = self.now.max(wake);
            self.turn();
        }
        self.now = end;
        self.turn();
    }
}
