//! A member under a control plane on the other end of a real connection.

use super::*;
use crate::events::{Event, Events};
use crate::shared::nobody;
use cartridge_agent_core::control::{self, Command, Peer, Tenant};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

/// An adapter for a protocol of lines: it says each state, all of them again on a new connection, and is told `start`, `stop`, `heard` and `tenant NAME`.
#[derive(Default)]
struct Lines {
    port: u16,
    down: bool,
    wake: Option<Duration>,
    input: Vec<u8>,
    said: String,
    sent: usize,
    commands: VecDeque<Command>,
    events: VecDeque<String>,
    unheard: usize,
}

impl ControlPlane for Lines {
    fn name(&self) -> &'static str {
        "lines"
    }

    fn entered(&mut self, state: State, _now: Duration) {
        // Of the end nobody can be told.
        if state != State::Terminated {
            self.said += &format!("{state}\n");
            self.unheard += 1;
        }
    }

    fn command(&mut self, now: Duration) -> Option<Command> {
        if self.wake.is_some_and(|wake| now >= wake) {
            (self.wake, self.down) = (None, false);
        }
        self.commands.pop_front()
    }

    fn event(&self) -> Option<control::Event<&str>> {
        let id = self.events.front()?.as_str();
        Some(control::Event::TenantSubscribed(Tenant { id, domain: None }))
    }

    fn event_taken(&mut self) {
        self.events.pop_front();
    }

    fn wake(&self) -> Option<Duration> {
        self.wake
    }

    fn is_heard(&self) -> bool {
        self.unheard == 0
    }

    fn links(&self) -> usize {
        1
    }

    fn peer(&self, _link: usize) -> Option<Peer<'_>> {
        let (host, port) = ("127.0.0.1", self.port);
        (!self.down).then_some(Peer { host, port })
    }

    fn connected(&mut self, _link: usize, up: bool, now: Duration) {
        self.sent = 0;
        if !up {
            (self.down, self.wake) = (true, Some(now + Duration::from_millis(20)));
        }
    }

    fn receive(&mut self, _link: usize, bytes: &[u8], _now: Duration) {
        self.input.extend_from_slice(bytes);
        while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            match std::str::from_utf8(&line).unwrap().trim_end().split_once(' ') {
                Some((_, tenant)) => self.events.push_back(tenant.to_owned()),
                None if line == b"start\n" => self.commands.push_back(Command::Initialize),
                None if line == b"stop\n" => self.commands.push_back(Command::Stop),
                None => self.unheard -= 1,
            }
        }
    }

    fn to_send(&self, _link: usize) -> &[u8] {
        &self.said.as_bytes()[self.sent..]
    }

    fn sent(&mut self, _link: usize, count: usize, _now: Duration) {
        self.sent += count;
    }
}

/// Nothing here takes longer, however busy the machine is.
const DEADLINE: Duration = Duration::from_secs(20);

/// Lives until the end; gives the exit status.
fn run(shared: &'static Shared, mut member: Member<&mut dyn ControlPlane>) -> i32 {
    shared.set_agent(thread::current());
    loop {
        match member.advance() {
            Next::Exit(status) => return status,
            Next::Wait(_) if shared.now() > DEADLINE => panic!("no end in state {}", shared.state()),
            Next::Wait(until) => wait(shared, Some(until.unwrap_or(DEADLINE).min(DEADLINE))),
        }
    }
}

#[test]
fn a_control_plane_on_a_link_leads_a_member_through_its_life() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (has_all, app_has_all) = std::sync::mpsc::channel();
    let shared = nobody();
    let platform = thread::spawn(move || {
        // The first connection ends at once, and is made again.
        drop(listener.accept().unwrap());
        let (mut client, _) = listener.accept().unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut states = BufReader::new(client.try_clone().unwrap())
            .lines()
            .map_while(Result::ok);
        let mut seen = Vec::new();
        for (says, until) in [("start\n", "Created"), ("stop\n", "Active"), ("", "ReadyToShutDown")] {
            for state in states.by_ref() {
                seen.push(state);
                if seen.last().is_some_and(|last| last == until) {
                    break;
                }
            }
            if until == "Active" {
                let tenants: String = (0..100).map(|tenant| format!("tenant {tenant}\n")).collect();
                client.write_all(tenants.as_bytes()).unwrap();
                // The app takes events for as long as it runs.
                app_has_all.recv_timeout(DEADLINE).unwrap();
            }
            client.write_all(says.as_bytes()).unwrap();
        }
        let before_it_was_heard = shared.state();
        client.write_all("heard\n".repeat(seen.len()).as_bytes()).unwrap();
        (seen, before_it_was_heard)
    });
    let app = thread::spawn(move || {
        let events = Events::new(shared);
        let next = |_| events.wait_timeout(DEADLINE).expect("an event");
        let taken: Vec<_> = (0..100).map(next).collect();
        has_all.send(()).unwrap();
        taken
    });
    let plane = Box::leak(Box::new(Lines {
        port,
        ..Lines::default()
    }));
    assert_eq!(run(shared, Member::new(shared, plane)), 0);
    let (seen, before_it_was_heard) = platform.join().unwrap();
    assert_eq!(seen, State::ALL.map(State::name)[..6]);
    assert_eq!(before_it_was_heard, State::ReadyToShutDown);
    let tenants: Vec<_> = (0..100)
        .map(|tenant| tenant.to_string())
        .map(|id| Event::TenantSubscribed(Tenant { id, domain: None }))
        .collect();
    assert_eq!(app.join().unwrap(), tenants, "more than there is room for, in order");
}
