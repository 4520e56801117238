use super::*;
use State::{Active, Created, InMaintenance, Initialized, Starting, Terminated};
use std::format;
use std::string::{String, ToString};

struct Table(Members);

fn seen<'a>(cluster: &'a str, member: &'a str, state: State) -> Seen<'a> {
    Seen {
        cluster,
        service: Some("s"),
        member,
        state,
        private_address: Some("10.0.0.1"),
        public_address: None,
    }
}

impl Table {
    fn new() -> Self {
        Table(Members::of(["own", "dep", "own"].into_iter()))
    }

    /// A whole topology; gives what the app is told.
    fn topology(&mut self, members: &[(&str, State)]) -> Vec<String> {
        self.0.begin();
        for (member, state) in members {
            self.0.stage(&seen("own", member, *state));
        }
        self.0.commit();
        self.told()
    }

    fn event(&mut self, member: &str, state: State) -> Vec<String> {
        self.0.update(&seen("own", member, state));
        self.told()
    }

    fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(member) = self.0.changed() {
            told.push(format!("{} {}", member.member, member.state));
            self.0.told();
        }
        told
    }
}

#[test]
fn only_changes_are_told_and_who_is_gone_is_terminated() {
    let mut table = Table::new();
    assert_eq!(
        table.topology(&[("a", Active), ("b", Starting)]),
        ["a Active", "b Starting"]
    );
    assert!(table.topology(&[("a", Active), ("b", Starting)]).is_empty());
    assert_eq!(table.topology(&[("b", Active)]), ["a Terminated", "b Active"]);
    assert!(table.topology(&[("b", Active)]).is_empty());
    assert_eq!(table.event("b", InMaintenance), ["b In_Maintenance"]);
    assert_eq!(table.event("b", Terminated), ["b Terminated"]);
    assert!(table.event("c", Terminated).is_empty(), "nobody knew it");
    assert!(table.topology(&[]).is_empty());
}

#[test]
fn old_news_move_no_member_backwards_but_two_topologies_do() {
    let mut table = Table::new();
    table.topology(&[("a", Starting)]);
    assert_eq!(table.event("a", Active), ["a Active"]);
    for _ in 0..3 {
        assert!(table.event("a", Starting).is_empty(), "repeated");
        assert!(table.event("a", Created).is_empty(), "reordered");
    }
    assert!(table.topology(&[("a", Starting)]).is_empty(), "reordered");
    assert!(table.topology(&[("a", Active)]).is_empty());
    assert!(table.topology(&[("a", Starting)]).is_empty());
    assert_eq!(
        table.topology(&[("a", Starting)]),
        ["a Starting"],
        "it was started anew"
    );
}

#[test]
fn a_member_that_an_old_topology_did_not_have_comes_back() {
    let mut table = Table::new();
    table.topology(&[("a", Active)]);
    assert_eq!(table.topology(&[]), ["a Terminated"]);
    assert_eq!(table.topology(&[("a", Active)]), ["a Active"]);
    // Not taken in between: the app sees no more than what holds.
    table.0.begin();
    table.0.commit();
    table.0.begin();
    table.0.stage(&seen("own", "a", Active));
    table.0.commit();
    assert_eq!(table.told(), ["a Active"]);
}

#[test]
fn a_topology_that_is_not_read_to_its_end_says_nothing() {
    let mut table = Table::new();
    table.topology(&[("a", Starting)]);
    table.0.begin();
    table.0.stage(&seen("own", "a", Active));
    table.0.stage(&seen("own", "new", Active));
    table.0.abort();
    assert!(table.told().is_empty());
    assert!(table.topology(&[("a", Starting)]).is_empty());
}

#[test]
fn states_that_the_app_does_not_take_are_told_as_the_last() {
    let mut table = Table::new();
    for state in [Initialized, Starting, Active] {
        table.0.update(&seen("own", "a", state));
    }
    assert_eq!(table.told(), ["a Active"]);
}

#[test]
fn other_clusters_are_passed_over() {
    let mut table = Table::new();
    table.0.update(&seen("other", "a", Active));
    assert!(table.told().is_empty());
    table.0.update(&seen("dep", "a", Active));
    table.0.update(&seen("own", "a", Starting));
    assert_eq!(
        table.told(),
        ["a Active", "a Starting"],
        "the same name in two clusters"
    );
}

#[test]
fn a_new_address_is_told_and_an_absent_one_is_not() {
    let mut table = Table::new();
    table.event("a", Active);
    let mut moved = seen("own", "a", Active);
    (moved.private_address, moved.public_address) = (None, Some("192.0.2.1"));
    table.0.update(&moved);
    let member = table.0.changed().expect("an event");
    assert_eq!(
        (member.private_address, member.public_address),
        (Some("10.0.0.1"), Some("192.0.2.1"))
    );
    table.0.told();
    table.0.update(&moved);
    moved.public_address = Some("x".repeat(46).leak());
    table.0.update(&moved);
    assert!(table.0.changed().is_none());
}

#[test]
fn members_past_the_limit_are_counted_and_the_dead_make_room() {
    let mut table = Table::new();
    let names: Vec<String> = (0..MEMBER_LIMIT + 5).map(|number| number.to_string()).collect();
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), Active)).collect();
    assert_eq!(table.topology(&all).len(), MEMBER_LIMIT);
    assert_eq!((table.0.left_out(), table.0.left_out()), (Some(5), None));
    // Nobody takes that these are gone.
    table.0.begin();
    for (member, state) in &all[10..] {
        table.0.stage(&seen("own", member, *state));
    }
    table.0.commit();
    table.0.begin();
    for (member, state) in &all[10..] {
        table.0.stage(&seen("own", member, *state));
    }
    table.0.commit();
    let told = table.told();
    assert!(told.contains(&"260 Active".to_string()), "{told:?}");
}
