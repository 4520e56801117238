//! A broker, the platform at it, and a member: how a test's story begins, goes on and ends.

use super::golden;
use super::member::{Member, Setup};
use super::mosquitto::Broker;
use super::platform::Platform;
use super::server::{Known, State};
use crate::target::{Place, STATES};
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// The member under test.
pub const MEMBER: &str = "shop.basket.cluster-1.basket-7d1c";
/// For one step of a life with a broker that is there. A busy host starts and runs guests slowly.
pub const STEP: Duration = Duration::from_secs(30);
/// What the member's log calls an outage.
const OUTAGES: [&str; 3] = ["has ended the connection", "cannot be reached", "does not answer"];
/// Attempts in an outage of some seconds, with pauses that double from one or two seconds on.
const ATTEMPTS: usize = 6;
/// Lines of the broker's log that a report shows.
const TAIL: usize = 60;

pub struct Story {
    pub broker: Broker,
    pub platform: Platform,
    pub member: Member,
}

impl Story {
    /// A member that its platform knows as Initialized.
    pub fn begin(place: Place) -> Result<Story> {
        Story::of(place, State::Initialized, |_| {})
    }

    /// A member that its platform knows in a state, and whose setup is changed before it starts.
    pub fn of(place: Place, state: State, change: impl FnOnce(&mut Setup)) -> Result<Story> {
        let broker = Broker::start()?;
        let platform = Platform::start(&broker, vec![Known::own(MEMBER, state)]);
        platform.wait_ready()?;
        let mut setup = Setup::new(place, MEMBER, broker.port);
        change(&mut setup);
        let member = setup.start()?;
        Ok(Story {
            broker,
            platform,
            member,
        })
    }

    /// Has its ports opened and waits until the platform knows it as Active.
    pub fn activate(&self) -> Result<()> {
        self.platform.wait_for(golden::STARTED, 1, STEP)?;
        self.member.open()?;
        self.platform.wait_state(MEMBER, State::Active, STEP)
    }

    /// Sends the topology with one more member of the own cluster, and waits until it was read: what is told after it has reached
    /// the app.
    pub fn grow(&self, round: usize) -> Result<()> {
        self.platform
            .set(Known::own(&format!("basket-{round}"), State::Active))?;
        self.platform.send_topology()?;
        let after = format!("db-{round}");
        self.platform.set(Known::dependency(&after, State::Active))?;
        self.member.feed.wait_for(&format!("{after}\", state: Active"), STEP)
    }

    /// Asks it to leave, and sees it go.
    pub fn leave(&mut self) -> Result<()> {
        self.platform.clean_up(MEMBER)?;
        self.is_gone()
    }

    /// It goes in order: the platform heard of it and its log says so.
    pub fn is_gone(&mut self) -> Result<()> {
        self.member.ends(STEP)?;
        self.platform.wait_state(MEMBER, State::ReadyToShutDown, STEP)?;
        ensure!(self.member.states() == STATES, "{:?}", self.member.states());
        Ok(())
    }

    /// Every status event of a whole life came, in order and once; nothing came that the server refuses; requests only may
    /// have been repeated.
    pub fn was_whole(&self) -> Result<()> {
        self.platform.settle()?;
        golden::ensure_same_status(&golden::life(MEMBER), &self.platform.seen())?;
        self.platform.ensure_no_refusal()
    }

    /// As [`Story::was_whole`], after an outage: the log told of it, of each attempt and of the end, and the attempts were few.
    pub fn was_whole_after_an_outage(&self) -> Result<()> {
        self.was_whole()?;
        let told = OUTAGES.map(|words| self.member.lines_with(words));
        let (troubles, connected) = (told.iter().sum::<usize>(), self.member.lines_with(": connected"));
        ensure!(
            (1..=ATTEMPTS).contains(&troubles),
            "{troubles} lines tell of the outage"
        );
        ensure!(
            (1..=ATTEMPTS).contains(&connected),
            "{connected} lines tell of a connection"
        );
        let sessions = self.broker.witness().sessions(MEMBER);
        // One more to end its session.
        ensure!(sessions <= ATTEMPTS + 1, "it connected {sessions} times");
        Ok(())
    }

    /// Nothing that the platform could hear is different from what it heard so far.
    pub fn ensure_quiet(&self, topic: &str) -> Result<()> {
        self.platform.settle()?;
        let is_there = self.platform.seen().iter().any(|message| message.topic == topic);
        ensure!(!is_there, "{topic} came too early");
        Ok(())
    }
}

/// Tells the story, and adds what everyone said to an error.
pub fn tell(story: &mut Story, tale: impl FnOnce(&mut Story) -> Result<()>) -> Result<()> {
    tale(story).map_err(|error| {
        let witness = story.broker.witness();
        let lines: Vec<&str> = witness.text().lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        let seen: Vec<String> = story.platform.seen().into_iter().map(|message| message.topic).collect();
        let said = format!("{}\nmosquitto:\n{tail}\nplatform: {seen:#?}", story.member.report());
        error.context(said)
    })
}

/// The rest of a life, from Initialized on.
pub fn live_and_leave(story: &mut Story) -> Result<()> {
    story.activate()?;
    story.leave()?;
    story.was_whole()
}

/// A story from its usual beginning.
pub fn story(place: Place, tale: impl FnOnce(&mut Story) -> Result<()>) -> Result<()> {
    let mut story = Story::begin(place).context("the beginning")?;
    tell(&mut story, tale)
}
