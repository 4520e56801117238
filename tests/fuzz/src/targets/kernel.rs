//! What the kernel reads: tables of the firmware, and the network.

use crate::bounds::heap_at_most;
use crate::script::Script;
use kernel_glue::fuzz::{self, MAC, Machine};

/// ACPI tables.
pub fn acpi(input: &[u8]) {
    heap_at_most(0, || fuzz::acpi(input));
    // With the checksum that the table should have: it is no secret.
    let mut sound = input.to_vec();
    if let Some(length) = sound
        .get(4..8)
        .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    {
        let length = (length as usize).min(sound.len());
        if length > 9 {
            let sum = sound[..length].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
            sound[9] = sound[9].wrapping_sub(sum);
            heap_at_most(0, || fuzz::acpi(&sound));
        }
    }
}

/// SMBIOS: as an area with an entry point, and as a table.
pub fn smbios(input: &[u8]) {
    heap_at_most(0, || {
        if let Some((address, length)) = fuzz::smbios_place(input) {
            assert!(address != 0 && (1..=64 << 10).contains(&length));
        }
        let mut lines = 0;
        fuzz::smbios_texts(input, &mut |name, text| {
            lines += 1;
            assert!(!name.is_empty() && (1..=64).contains(&text.len()));
            assert!(text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
        });
        assert!(lines <= 6 * 512, "{lines} lines");
    });
}

/// The answer to a question, as it is, and with the question's own head before it.
pub fn dns(input: &[u8]) {
    for kind in [1, 28] {
        let question = fuzz::dns_question("a.example", kind).expect("it is a name");
        fuzz::dns_answer("a.example", kind, input);
        let mut answer = question.clone();
        let (flags, records) = input.split_at(input.len().min(4));
        for (place, byte) in answer[2..4].iter_mut().zip(flags) {
            *place = *byte;
        }
        for (place, byte) in answer[6..8].iter_mut().zip(&flags[flags.len().min(2)..]) {
            *place = *byte;
        }
        answer.extend_from_slice(records);
        // An address takes 17 bytes where it is kept, and 4 of the message; a vector doubles.
        let limit = 128 * (input.len() as u64 + 4);
        let found = heap_at_most(limit, || fuzz::dns_answer("a.example", kind, &answer));
        assert!(found.unwrap_or(0) <= input.len() / 12, "more addresses than records");
    }
    if let Ok(name) = core::str::from_utf8(input)
        && let Some(question) = fuzz::dns_question(name, 1)
    {
        assert!(question.len() <= 12 + 255 + 4);
    }
}

/// Lines for the guest's file `network`; what is taken can be read again.
pub fn network_file(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    let lines = fuzz::takes_network_lines(text);
    let mut machine = Machine::new();
    let taken = machine.configure(text);
    assert_eq!(lines, taken, "{text:?}");
    machine.pass(3000);
    assert!(machine.describe().len() <= 2048);
}

/// A second of a machine's: how many frames it may send for each, and how many it may send at once.
const FRAMES_A_SECOND: u64 = 8;
const FRAMES_AT_ONCE: u64 = 64;

/// So much time passes at once at most, in ms.
const LONGEST_TIME: u64 = 1_200_000;

/// A network with a machine in it, as a script has it.
struct Cable {
    machine: Machine,
    passed: u64,
    sent: u64,
    received: u64,
    /// Of the machine's last DHCP message.
    transaction: [u8; 4],
}

impl Cable {
    fn new(network: &str) -> Cable {
        let machine = Machine::new();
        assert!(machine.configure(network));
        let mut cable = Cable {
            machine,
            passed: 0,
            sent: 0,
            received: 0,
            transaction: [0; 4],
        };
        cable.listen();
        cable
    }

    fn receive(&mut self, frame: &[u8]) {
        self.received += 1;
        self.machine.receive(frame);
        self.listen();
    }

    fn pass(&mut self, script: &mut Script<'_>) {
        let time = (script.time().as_millis() as u64).min(LONGEST_TIME);
        let looks = self.machine.pass(time);
        assert!(looks <= 200 + time / 4, "{looks} looks within {time} ms");
        self.passed += time;
        self.listen();
    }

    /// What the machine sends: it does not flood the network, whatever it is told.
    fn listen(&mut self) {
        for frame in self.machine.sent() {
            self.sent += 1;
            if let Some(transaction) = frame.get(46..50).filter(|_| frame.get(34..36) == Some(&[0, 68])) {
                self.transaction.copy_from_slice(transaction);
            }
            assert!(frame.len() <= 1514);
        }
        let limit = FRAMES_AT_ONCE + FRAMES_A_SECOND * (self.passed / 1000) + 8 * self.received;
        assert!(self.sent <= limit, "{} frames sent, {limit} is enough", self.sent);
    }
}

/// Messages of DHCP servers; each with the machine's own transaction number, or that of the script.
pub fn dhcp(input: &[u8]) {
    let mut script = Script::new(input);
    let mut cable = Cable::new("dhcp");
    while !script.is_over() {
        let what = script.byte();
        if what & 1 == 0 {
            cable.pass(&mut script);
            continue;
        }
        let mut message = vec![0; 240];
        message[..3].copy_from_slice(&[2, 1, 6]);
        message[4..8].copy_from_slice(&cable.transaction);
        message[28..34].copy_from_slice(&MAC);
        message[236..].copy_from_slice(&[99, 130, 83, 99]);
        if what & 2 != 0 {
            message[16..20].copy_from_slice(&[10, 0, 2, 15]);
        } else {
            message[16..20].copy_from_slice(&[script.byte(), script.byte(), script.byte(), script.byte()]);
        }
        // The kind, and a server; what follows may say otherwise.
        message.extend([53, 1, what >> 4 & 7, 54, 4, 10, 0, 2, 2]);
        if what & 4 != 0 {
            message.extend([1, 4, 255, 255, 255, 0]);
        }
        let length = script.byte();
        message.extend(script.take(length.into()));
        let source = if what & 8 != 0 {
            [10, 0, 2, 2]
        } else {
            [script.byte(), 0, 2, 2]
        };
        cable.receive(&udp4((source, 67), ([255; 4], 68), &message));
        assert!(cable.machine.describe().len() <= 2048);
    }
}

/// Router advertisements: lifetime, source and options are the script's.
pub fn router(input: &[u8]) {
    let mut script = Script::new(input);
    let mut cable = Cable::new("static 10.0.2.15/24");
    while !script.is_over() {
        let what = script.byte();
        if what & 1 == 0 {
            cable.pass(&mut script);
            continue;
        }
        let mut source = [0; 16];
        source[..2].copy_from_slice(if what & 2 != 0 { &[0xfe, 0x80] } else { &[0x20, 1] });
        source[15] = script.byte();
        let mut message = vec![
            134,
            0,
            0,
            0,
            64,
            0,
            script.byte(),
            script.byte(),
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ];
        let length = usize::from(what >> 2) * 8;
        message.extend(script.take(length));
        let mut group = [0; 16];
        (group[0], group[1], group[15]) = (0xff, 2, 1);
        cable.receive(&ip6(source, group, 58, &mut message));
        assert!(cable.machine.describe().len() <= 2048);
    }
}

/// What the stack may keep, whatever comes: the machine says that it has 16 MiB to spare, of which connections get a part.
const STACK: u64 = 16 << 20;

/// Frames of every kind to a machine with servers: raw, or with the lengths and checksums that they need.
pub fn frames(input: &[u8]) {
    heap_at_most(STACK, || {
        let mut script = Script::new(input);
        let mut cable = Cable::new("static 10.0.2.15/24 gateway 10.0.2.2\nstatic fd00::f/64");
        while !script.is_over() {
            let what = script.byte();
            let length = usize::from(script.byte()) << (what >> 7);
            let (mine, theirs) = (fd00(15), fd00(script.byte()));
            match what & 7 {
                0 => cable.pass(&mut script),
                1 => cable.receive(script.take(length)),
                2 => cable.receive(&[&MAC, &[2; 6], script.take(length)].concat()),
                3 => {
                    let kind = [1, 6, 17, 2][usize::from(what >> 3 & 3)];
                    let mut payload = script.take(length).to_vec();
                    cable.receive(&ip4([10, 0, 2, theirs[15]], [10, 0, 2, 15], kind, &mut payload));
                }
                4 => {
                    let kind = [58, 6, 17, 0][usize::from(what >> 3 & 3)];
                    let mut payload = script.take(length).to_vec();
                    cable.receive(&ip6(theirs, mine, kind, &mut payload));
                }
                5 => {
                    // A segment to the server: ports, numbers, flags; then data.
                    let mut segment = vec![0x10, script.byte(), 0, 80];
                    segment.extend(script.take(8));
                    segment.resize(12, 0);
                    segment.extend([0x50, what >> 3 & 0x1f, 0xff, 0xff, 0, 0, 0, 0]);
                    segment.extend(script.take(length));
                    cable.receive(&ip4([10, 0, 2, 2], [10, 0, 2, 15], 6, &mut segment));
                }
                6 => {
                    let data = script.take(length);
                    cable.receive(&udp4(([10, 0, 2, 2], 4000), ([10, 0, 2, 15], 80), data));
                }
                _ => {
                    // ARP: who the neighbours are.
                    let mut frame = [&MAC[..], &[2; 6], &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2], &[2; 6]].concat();
                    frame.extend([10, 0, 2, theirs[15]]);
                    frame.extend(MAC);
                    frame.extend([10, 0, 2, 15]);
                    cable.receive(&frame);
                }
            }
        }
        let (count, bytes) = cable.machine.connections();
        assert!(bytes <= STACK / 2, "{count} connections take {bytes} bytes");
    });
}

fn fd00(last: u8) -> [u8; 16] {
    let mut address = [0; 16];
    (address[0], address[15]) = (0xfd, last);
    address
}

/// Adds up 16-bit words as RFC 1071 has it.
fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum()
}

fn checksum(mut sum: u32) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    (!(sum as u16)).to_be_bytes()
}

/// Puts the checksum of TCP, UDP or ICMP where it belongs; `ends` is the sum of both addresses.
fn seal(kind: u8, ends: u32, payload: &mut [u8]) {
    let at = match kind {
        1 | 58 => 2,
        6 => 16,
        17 => 6,
        _ => return,
    };
    if payload.len() < at + 2 {
        return;
    }
    payload[at..at + 2].fill(0);
    let pseudo = if kind == 1 {
        0
    } else {
        ends + u32::from(kind) + payload.len() as u32
    };
    let value = checksum(pseudo + sum(payload));
    payload[at..at + 2].copy_from_slice(&value);
}

fn udp4(from: ([u8; 4], u16), to: ([u8; 4], u16), data: &[u8]) -> Vec<u8> {
    let mut datagram = [
        from.1.to_be_bytes(),
        to.1.to_be_bytes(),
        (8 + data.len() as u16).to_be_bytes(),
        [0; 2],
    ]
    .concat();
    datagram.extend_from_slice(data);
    ip4(from.0, to.0, 17, &mut datagram)
}

fn ip4(source: [u8; 4], destination: [u8; 4], kind: u8, payload: &mut [u8]) -> Vec<u8> {
    seal(kind, sum(&source) + sum(&destination), payload);
    let [high, low] = (20 + payload.len() as u16).to_be_bytes();
    let mut header = [0x45, 0, high, low, 0, 0, 0, 0, 64, kind, 0, 0].to_vec();
    header.extend(source);
    header.extend(destination);
    let value = checksum(sum(&header));
    header[10..12].copy_from_slice(&value);
    [&MAC[..], &[2; 6], &[8, 0], &header, payload].concat()
}

fn ip6(source: [u8; 16], destination: [u8; 16], kind: u8, payload: &mut [u8]) -> Vec<u8> {
    seal(kind, sum(&source) + sum(&destination), payload);
    let [high, low] = (payload.len() as u16).to_be_bytes();
    let header = [0x60, 0, 0, 0, high, low, kind, 255];
    [
        &MAC[..],
        &[2; 6],
        &[0x86, 0xdd],
        &header,
        &source,
        &destination,
        payload,
    ]
    .concat()
}
