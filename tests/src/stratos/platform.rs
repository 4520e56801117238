//! The platform's end of the broker: answers what members ask for, keeps their states as the server does, tells everyone of
//! them, and remembers every message that members published.

use super::identity::{CLUSTER, CLUSTER_INSTANCE};
use super::mosquitto::Broker;
use super::record::Seen;
use super::server::{self, Known, Refusal, State};
use super::session::{Listener, Session};
use super::topology::{self, Dress};
use anyhow::{Context, Result, ensure};
use rumqttc::mqttbytes::v4::Publish;
use serde_json::json;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Its name at the broker.
const NAME: &str = "platform";
/// For an exchange between the platform and its broker, both of this host.
const LIMIT: Duration = Duration::from_secs(20);
/// Comes back to us, after all that the broker had for us before.
const MARK: &str = "mark";

pub struct Platform {
    session: Session,
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
}

/// What the platform does by itself.
#[derive(Debug, Clone, Copy)]
pub struct Answers {
    pub topology: bool,
    pub tenants: bool,
    /// Tells everyone of states that members have reached.
    pub broadcasts: bool,
}

struct Inner {
    answers: Answers,
    dress: Dress,
    members: Vec<Known>,
    seen: Vec<Seen>,
    refusals: Vec<Refusal>,
    /// Marks that came back.
    marks: usize,
    is_subscribed: bool,
}

impl Platform {
    /// Connects to the broker, with these members in its topology. The broker may be absent yet.
    pub fn start(broker: &Broker, members: Vec<Known>) -> Platform {
        let shared = Arc::new(Shared {
            inner: Mutex::new(Inner {
                answers: Answers {
                    topology: true,
                    tenants: true,
                    broadcasts: true,
                },
                dress: Dress::default(),
                members,
                seen: Vec::new(),
                refusals: Vec::new(),
                marks: 0,
                is_subscribed: false,
            }),
            changed: Condvar::new(),
        });
        let session = Session::start(NAME, broker.port, Ear(Arc::clone(&shared)));
        Platform { session, shared }
    }

    /// Waits until it receives what members publish.
    pub fn wait_ready(&self) -> Result<()> {
        self.wait("the platform's subscription", LIMIT, |inner| {
            inner.is_subscribed.then_some(())
        })
    }

    /// Changes what it does by itself.
    pub fn answers(&self, change: impl FnOnce(&mut Answers)) {
        change(&mut self.shared.lock().answers);
    }

    /// Changes what its topologies look like.
    pub fn dress(&self, dress: Dress) {
        self.shared.lock().dress = dress;
    }

    /// Adds a member, or gives it another state, and tells everyone.
    pub fn set(&self, known: Known) -> Result<()> {
        let (topic, event) = known.broadcast();
        let mut inner = self.shared.lock();
        match inner.members.iter_mut().find(|member| member.member == known.member) {
            Some(member) => *member = known,
            None => inner.members.push(known),
        }
        self.publish(&topic, event.to_string())
    }

    /// Takes a member out of the topology without a word.
    pub fn forget(&self, member: &str) {
        self.shared.lock().members.retain(|known| known.member != member);
    }

    /// Sends the whole topology, as the cloud controller does every minute.
    pub fn send_topology(&self) -> Result<()> {
        let inner = self.shared.lock();
        self.publish(topology::TOPIC, topology::complete(&inner.members, inner.dress))
    }

    /// The whole topology as it is now.
    pub fn topology(&self) -> String {
        let inner = self.shared.lock();
        topology::complete(&inner.members, inner.dress)
    }

    /// Asks a member to leave.
    pub fn clean_up(&self, member: &str) -> Result<()> {
        self.publish(
            "instance/notifier/InstanceCleanupMemberEvent",
            json!({"memberId": member}).to_string(),
        )
    }

    /// Asks the whole cluster to leave.
    pub fn clean_up_cluster(&self) -> Result<()> {
        self.publish(
            "instance/notifier/InstanceCleanupClusterEvent",
            json!({"clusterId": CLUSTER, "clusterInstanceId": CLUSTER_INSTANCE}).to_string(),
        )
    }

    /// Publishes anything.
    pub fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>) -> Result<()> {
        self.session.publish(topic, payload)
    }

    /// What members published so far, in the order in which it came.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.lock().seen.clone()
    }

    /// Waits until there are `count` messages of a topic, and gives the last of them.
    pub fn wait_for(&self, topic: &str, count: usize, limit: Duration) -> Result<Seen> {
        self.wait(&format!("message {count} of {topic}"), limit, |inner| {
            let mut messages = inner.seen.iter().filter(|message| message.topic == topic);
            messages.nth(count - 1).cloned()
        })
    }

    /// Waits until a member has reached a state.
    pub fn wait_state(&self, member: &str, state: State, limit: Duration) -> Result<()> {
        self.wait(&format!("{member} in state {}", state.name()), limit, |inner| {
            let known = inner.members.iter().find(|known| known.member == member);
            known.filter(|known| known.state == state).map(|_| ())
        })
    }

    /// Waits until all that the broker had for the platform has come. After this, what was not seen was not published.
    pub fn settle(&self) -> Result<()> {
        self.wait_ready()?;
        let before = self.shared.lock().marks;
        self.session.publish(MARK, Vec::new())?;
        self.wait("the mark", LIMIT, |inner| (inner.marks > before).then_some(()))
    }

    /// No event came that the server would have refused.
    pub fn ensure_no_refusal(&self) -> Result<()> {
        let refusals: Vec<String> = self.refusals().iter().map(Refusal::to_string).collect();
        ensure!(refusals.is_empty(), "the server refuses {refusals:?}");
        Ok(())
    }

    pub fn refusals(&self) -> Vec<Refusal> {
        self.shared.lock().refusals.clone()
    }

    fn wait<T>(&self, what: &str, limit: Duration, mut look: impl FnMut(&Inner) -> Option<T>) -> Result<T> {
        let end = Instant::now() + limit;
        let mut inner = self.shared.lock();
        loop {
            if let Some(found) = look(&inner) {
                return Ok(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let seen: Vec<&str> = inner.seen.iter().map(|message| message.topic.as_str()).collect();
                return Err(anyhow::anyhow!("seen: {seen:#?}; refused: {:?}", inner.refusals))
                    .with_context(|| format!("{what}: not within {limit:?}"));
            }
            let waited = self.shared.changed.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the platform hears.
struct Ear(Arc<Shared>);

impl Listener for Ear {
    fn subscribed(&mut self, is: bool) {
        self.0.lock().is_subscribed = is;
        self.0.changed.notify_all();
    }

    fn received(&mut self, message: Publish, publish: &dyn Fn(&str, Vec<u8>) -> Result<()>) -> Result<()> {
        let mut inner = self.0.lock();
        let mut said = Ok(());
        if message.topic == MARK {
            inner.marks += 1;
        } else {
            let message = Seen {
                topic: message.topic,
                payload: message.payload.to_vec(),
                qos: message.qos as u8,
                is_retained: message.retain,
                at: Instant::now(),
            };
            if message.is_of_a_member() {
                // Under the lock, as all that the platform says of its members: what is older is said first.
                let answer = inner.take(message);
                said = answer.map_or(Ok(()), |(topic, payload)| publish(&topic, payload));
            }
        }
        self.0.changed.notify_all();
        said
    }
}

impl Inner {
    /// Takes a member's message, and gives what the platform says to it.
    fn take(&mut self, message: Seen) -> Option<(String, Vec<u8>)> {
        let event = message.event().to_owned();
        let (member, is_status) = (message.member(), message.topic.starts_with("instance/status/"));
        self.seen.push(message);
        match event.as_str() {
            "CompleteTopologyRequestEvent" if self.answers.topology => {
                let text = topology::complete(&self.members, self.dress);
                Some((topology::TOPIC.into(), text.into_bytes()))
            }
            "CompleteTenantRequestEvent" if self.answers.tenants => {
                let tenants = json!({"tenants": [{"tenantId": 1, "tenantDomain": "one.example"}]});
                Some(("tenant/CompleteTenantEvent".into(), tenants.to_string().into_bytes()))
            }
            _ if is_status => match server::take(&mut self.members, &event, member.as_deref().unwrap_or("(nobody)")) {
                Ok(known) if self.answers.broadcasts => {
                    let (topic, event) = known.broadcast();
                    Some((topic, event.to_string().into_bytes()))
                }
                Ok(_) => None,
                Err(refusal) => {
                    self.refusals.push(refusal);
                    None
                }
            },
            _ => None,
        }
    }
}
